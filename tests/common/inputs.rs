//! Data for tests of operations, and how answers are judged.

use std::fmt::Debug;

use bytemuck::Pod;
use cellprobe::{
    Device, DeviceArray, Metric, Work,
    ops::{Lists, Mask, Ranked},
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use rand_mt::Mt64;

use super::devices_in_variants;

/// Runs `test` on every device with the same dozen inputs.
pub fn on_devices<S: Strategy>(strategy: &S, test: impl Fn(&Device, S::Value)) {
    for device in &devices_in_variants() {
        eprintln!("on {device:?}");
        let config = Config { cases: 12, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(strategy, |input| {
            test(device, input);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{device:?}: {error}"));
    }
}

/// Does the work and reads an array.
pub fn read<T: Pod + Send + Sync>(work: Work, array: DeviceArray<T>) -> Vec<T> {
    pollster::block_on(work.read(array)).expect("the array is read")
}

/// What numbers look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Small whole numbers: many equal distances, and every sum is exact.
    Whole,
    /// Evenly from -1 to 1.
    Even,
    /// Around 1000, so that squares of norms would drown distances.
    Far,
}

pub fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Whole), Just(Kind::Even), Just(Kind::Far)]
}

pub fn metrics() -> impl Strategy<Value = Metric> {
    prop_oneof![Just(Metric::L2), Just(Metric::InnerProduct)]
}

/// Random numbers.
pub struct Numbers(Mt64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(Mt64::new(seed))
    }

    /// A whole number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 24) as f32
    }

    pub fn vector(&mut self, kind: Kind, length: usize) -> Vec<f32> {
        let mut number = || match kind {
            Kind::Whole => self.below(5) as f32 - 2.0,
            Kind::Even => self.unit() * 2.0 - 1.0,
            // Four uniform numbers are normal enough.
            Kind::Far => 1000.0 + (0..4).map(|_| self.unit() - 0.5).sum::<f32>() * 1.7,
        };
        (0..length).map(|_| number()).collect()
    }

    pub fn labels(&mut self, groups: usize, length: usize) -> Vec<u32> {
        (0..length).map(|_| self.below(groups) as u32).collect()
    }

    /// Words of a mask of which three bits in eight are set.
    pub fn mask(&mut self, length: usize) -> Vec<u32> {
        let mut word = || self.0.next_u64() as u32;
        let words = (0..length.div_ceil(32)).map(|_| word() & (word() | word()));
        let mut words: Vec<u32> = words.collect();
        if let Some(last) = words.last_mut() {
            *last &= u32::MAX >> (32 * length.div_ceil(32) - length);
        }
        words
    }

    /// 0..length in any order.
    pub fn permutation(&mut self, length: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..length as u32).collect();
        for last in (1..length).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }

    /// Inverted lists of `entries` entries, some of them empty: offsets and ids.
    pub fn lists(&mut self, nlist: usize, entries: usize) -> (Vec<u32>, Vec<u32>) {
        let mut offsets: Vec<u32> = (1..nlist).map(|_| self.below(entries + 1) as u32).collect();
        offsets.extend([0, entries as u32]);
        offsets.sort_unstable();
        (offsets, self.permutation(entries))
    }

    /// `nprobe` different lists for each query with a distance, some of them [`Ranked::NONE`].
    pub fn probes(&mut self, kind: Kind, nlist: usize, queries: usize, nprobe: usize) -> Vec<Ranked> {
        let mut probes = vec![];
        for _ in 0..queries {
            let lists = self.permutation(nlist).into_iter().map(Some).chain(std::iter::repeat(None));
            for list in lists.take(nprobe) {
                let distance = self.vector(kind, 1)[0];
                let probe = list.filter(|_| self.below(5) > 0).map(|list| Ranked::new(distance, list));
                probes.push(probe.unwrap_or(Ranked::NONE));
            }
        }
        probes
    }
}

pub fn upload_lists(device: &Device, offsets: &[u32], ids: &[u32]) -> Lists {
    Lists::new(upload(device, offsets, 1), upload(device, ids, 1))
}

/// Lists of which scans look at the entries that the words of a mask have.
pub fn masked(device: &Device, lists: &Lists, words: Option<&[u32]>) -> Lists {
    let is_set = |words: &[u32], entry: usize| words[entry / 32] >> (entry % 32) & 1 == 1;
    let mask = words.map(|words| Mask::new(device, lists.entries(), |entry| is_set(words, entry)).unwrap());
    mask.map_or_else(|| lists.clone(), |mask| lists.masked(mask))
}

pub fn upload<T: Pod + Send + Sync>(device: &Device, data: &[T], columns: usize) -> DeviceArray<T> {
    device.upload(data.to_vec(), columns).expect("whole rows")
}

/// How far a sum of `terms` in f32 may be from the truth, in whatever order they are added.
pub fn rounding(terms: impl IntoIterator<Item = f64>) -> f64 {
    let (count, sum) = terms.into_iter().fold((0.0, 0.0), |(count, sum), term: f64| (count + 1.0, sum + term.abs()));
    2.0 * (count + 8.0) * f64::from(f32::EPSILON / 2.0) * sum + 1e-30
}

/// [`rounding`] of the distance of two vectors.
pub fn distance_rounding(a: &[f32], b: &[f32], metric: Metric) -> f64 {
    let pairs = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    rounding(pairs.map(|(a, b)| if metric == Metric::L2 { (a - b) * (a - b) } else { a * b }))
}

/// Fails unless `found` are the expected neighbours, nearest first and padded: the same ones where numbers are whole,
/// otherwise as near up to rounding. `exact` gives a row's true distance and how far its rounding may be from it.
pub fn assert_neighbours(found: &[Ranked], expected: &[(u32, f64)], kind: Kind, exact: impl Fn(u32) -> (f64, f64)) {
    let (some, padding) = found.split_at(expected.len());
    assert!(padding.iter().all(|padding| padding.is_none()), "more than {} neighbours: {found:?}", some.len());
    assert!(some.iter().all(|found| !found.is_none()), "fewer than {} neighbours: {found:?}", some.len());
    assert!(some.is_sorted_by(|a, b| a < b), "not in order: {found:?}");
    let mut ids: Vec<_> = some.iter().map(|found| found.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), some.len(), "a row twice: {found:?}");
    for (found, &(id, distance)) in some.iter().zip(expected) {
        if kind == Kind::Whole {
            assert_eq!((found.id(), f64::from(found.distance())), (id, distance), "of {some:?}, {expected:?}");
            continue;
        }
        let (truth, rounding) = exact(found.id());
        assert_close(f64::from(found.distance()), truth, rounding);
        assert!(truth <= distance + rounding + exact(id).1, "{found:?} instead of {id} at {distance}");
    }
}

#[track_caller]
pub fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}, which may be off by {tolerance}");
}

/// The error's variant.
#[track_caller]
pub fn error_of<T: Debug>(result: cellprobe::Result<T>) -> String {
    let error = format!("{:?}", result.expect_err("this must fail"));
    error.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}
