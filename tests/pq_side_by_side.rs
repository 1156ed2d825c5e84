//! Queries that are scanned for side by side find, to the last bit, what each finds alone.

mod common;

use cellprobe::{
    Device,
    device::{Options, adapters},
    ops::{self, Codebook, Ranked},
};
use common::{Kind, Numbers, devices, read, upload, upload_lists};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};

/// What the entries of tables are like.
#[derive(Clone, Copy, Debug)]
enum Entries {
    Of(Kind),
    /// One number alone.
    Same,
    /// Some of them so far from the others that these are all one whole number.
    Wide,
    /// So small that their products vanish.
    Tiny,
    /// So large that their sums are infinite.
    Huge,
    /// With some that are no numbers, or infinite.
    Broken,
}

/// Tables, codes and which of the queries search at all.
#[derive(Clone, Debug)]
struct Case {
    m: usize,
    nbits: usize,
    entries: usize,
    queries: usize,
    k: usize,
    kind: Entries,
    /// Different codes, at most.
    different: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    // Tables of 5 and 6 bits fit any device's workgroup memory for four queries, those of 8 for two.
    const SHAPES: [(usize, usize); 12] =
        [(16, 8), (13, 8), (48, 8), (21, 8), (16, 4), (9, 4), (96, 4), (48, 6), (16, 6), (7, 5), (16, 5), (30, 5)];
    const KINDS: [Entries; 8] = [
        Entries::Of(Kind::Whole),
        Entries::Of(Kind::Even),
        Entries::Of(Kind::Far),
        Entries::Same,
        Entries::Wide,
        Entries::Tiny,
        Entries::Huge,
        Entries::Broken,
    ];
    let counts = (
        // So many are scanned for side by side in all ways, and fewer in some.
        prop_oneof![1 => 0..3000usize, 4 => 32_768..36_000usize],
        prop_oneof![1 => 2..10usize, 4 => 32..40usize],
        prop_oneof![1..12usize, 12..=100usize, 101..=201usize],
    );
    let different = prop_oneof![Just(usize::MAX), 1..30usize];
    (prop::sample::select(&SHAPES[..]), prop::sample::select(&KINDS[..]), counts, different, any::<u64>()).prop_map(
        |((m, nbits), kind, (entries, queries, k), different, seed)| Case {
            m,
            nbits,
            entries,
            queries,
            k,
            kind,
            different,
            seed,
        },
    )
}

impl Entries {
    fn vector(self, numbers: &mut Numbers, count: usize) -> Vec<f32> {
        let mut even = numbers.vector(if let Entries::Of(kind) = self { kind } else { Kind::Even }, count);
        let mut some = |few: usize, value: &dyn Fn(usize) -> f32| {
            (0..few).for_each(|number| even[numbers.below(count)] = value(number));
        };
        match self {
            Entries::Of(_) => {}
            Entries::Same => even.fill(0.3),
            Entries::Wide => some(count / 50, &|number| 1e9 * (number % 3) as f32),
            Entries::Tiny => even.iter_mut().for_each(|value| *value *= 1e-38),
            Entries::Huge => even.iter_mut().for_each(|value| *value *= 3e38),
            Entries::Broken => {
                some(count / 200, &|number| [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][number % 3]);
            }
        }
        even
    }
}

/// GPUs with arrays in parts.
fn in_parts() -> Vec<Device> {
    if !devices().iter().any(Device::is_gpu) {
        return vec![];
    }
    let options = Options::default().checked(true).max_binding(1 << 18).max_workgroups(3);
    let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none() && adapter.backend != "gl");
    usable.map(|adapter| Device::open(&format!("gpu:{}", adapter.index), &options).unwrap()).collect()
}

fn check(device: &Device, case: &Case) {
    let &Case { m, nbits, entries, queries, k, kind, different, seed } = case;
    let mut numbers = Numbers::new(seed);
    let columns = m << nbits;
    let tables = kind.vector(&mut numbers, queries * columns);
    let words = (m * nbits).div_ceil(32);
    // Any bits are codes; those past the last are zero.
    let mut codes: Vec<u32> = (0..entries * words).map(|_| numbers.below(1 << 32) as u32).collect();
    if m * nbits % 32 != 0 {
        codes.chunks_mut(words).for_each(|code| code[words - 1] &= (1 << (m * nbits % 32)) - 1);
    }
    for entry in different..entries {
        let like = numbers.below(different);
        codes.copy_within(like * words..(like + 1) * words, entry * words);
    }
    let (offsets, ids) = numbers.lists(1, entries);
    // One in five does not search.
    let probes: Vec<Ranked> =
        (0..queries).map(|_| if numbers.below(5) == 0 { Ranked::NONE } else { Ranked::new(0.5, 0) }).collect();
    let codebook = Codebook::new(upload(device, &vec![0.0; columns], 1), m, nbits).unwrap();
    let lists = upload_lists(device, &offsets, &ids);
    let mut work = device.work();
    let interleaved = ops::pq_interleave(&mut work, &upload(device, &codes, words), &codebook).unwrap();
    work.submit().unwrap();
    let scan = |tables: &[f32], probes: &[Ranked]| {
        let (tables, probes) = (upload(device, tables, columns), upload(device, probes, 1));
        let mut work = device.work();
        let found = ops::pq_scan(&mut work, &tables, &codebook, &interleaved, &lists, None, &probes, false, k).unwrap();
        read(work, found)
    };
    let alone = tables.chunks(columns).zip(probes.chunks(1)).flat_map(|(table, probe)| scan(table, probe));
    assert_eq!(scan(&tables, &probes), alone.collect::<Vec<_>>(), "{case:?} on {device:?}");
}

#[test]
fn queries_side_by_side_find_what_each_finds_alone() {
    for device in &in_parts() {
        eprintln!("on {device:?}");
        let config = Config { cases: 16, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&cases(), |case| {
            check(device, &case);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{device:?}: {error}"));
    }
}

/// Many tiles, whose queues are settled again and again, in several workgroups; of few different codes, where identifiers
/// alone decide which of those that are as far away as the last are found.
#[test]
fn many_codes_are_found_as_well() {
    for device in &devices() {
        for (m, nbits, k) in [(16, 8, 100), (16, 4, 10), (16, 5, 10), (32, 6, 50), (8, 5, 150)] {
            for (kind, different) in [(Kind::Even, usize::MAX), (Kind::Far, 20)] {
                let kind = Entries::Of(kind);
                check(device, &Case { m, nbits, entries: 40_000, queries: 33, k, kind, different, seed: 1 });
            }
        }
    }
}
