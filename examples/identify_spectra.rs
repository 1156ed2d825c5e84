//! Ten LC-MS/MS runs of plant extracts: the spectra of all clustered, those of the last one identified in the others.
//!
//! `cargo run --release --example identify_spectra -- [--device auto|cpu|gpu|gpu:<index or part of the name>]`
//!
//! Clustering puts spectra of one molecule together; identification finds, for a spectrum, those most like it in a
//! library. Here the library is nine runs without names, so that what counts as agreement is the mass of the precursor,
//! of which neither clustering nor search knows anything.

#[path = "common/device.rs"]
mod device;

use std::{
    collections::BTreeMap,
    error::Error,
    io::{IsTerminal, stdout},
    time::{Duration, Instant},
};

use cellprobe::{
    Device, FlatIndex, IvfPqIndex, KMeans, Metric, Neighbors, Search, index,
    kmeans::Progress,
    spectra::{Cleaning, MgfReader, Rejected, Spectrum, Vectorizer},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ndarray::{ArrayView2, s};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};

macro_rules! runs {
    ($($run:literal)*) => {
        [$(($run, include_bytes!(concat!("data/dbgi/20220513_PMA_DBGI_01_04_", $run, ".mgf")) as &[u8])),*]
    };
}

/// The runs by their numbers. They are in the program, so that it works from any folder.
const RUNS: [(&str, &[u8]); 10] = runs!["001" "002" "003" "004" "005" "006" "007" "008" "009" "010"];

/// Clusters. The 1,191 spectra have 488 precursor masses (10 ppm apart), but many of those are isotopes, adducts and
/// fragments of one molecule, whose spectra are alike: so fewer clusters than masses, of four spectra on average.
const CLUSTERS: usize = 300;

/// Cells of the index: as many as still have the 39 training spectra each that k-means should be given.
const NLIST: usize = 27;

/// Cells that a search visits: with so few spectra half of them cost nothing. In a large library a few per cent do.
const NPROBE: usize = 14;

/// Sub-quantizers, of 4 bits: 10 numbers become half a byte. 8 bits would need 256 x 39 spectra to train on.
const M: usize = 80;

/// Candidates for each neighbour that codes find and exact cosines decide on. Codes alone lose many neighbours.
const RERANK: usize = 30;

const NEIGHBORS: usize = 3;
const SIMILAR: f32 = 0.7;
const PPM: f64 = 10.0;
const QUERIES_SHOWN: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut stages = Stages::default();
    let device = stages.time("open the device", device::device)?;
    println!("Device: {device} ({})", device.reason());

    let (spectra, mut rejected) = stages.time("read", read_runs)?;
    let read = spectra.len() + rejected.total();
    let (spectra, unclean) = stages.time("clean", || Cleaning::metabolomics().clean_all(spectra))?;
    rejected.merge(unclean);
    print_spectra(read, &spectra, &rejected);
    let vectorizer = Vectorizer::default();
    let vectors = stages.time("make vectors", || vectorizer.vectors(&spectra))?;

    let labels = stages.time("cluster", || cluster(&device, vectors.view()))?;
    print_clusters(&labels, &spectra);

    let last = spectra.iter().position(|spectrum| run(spectrum) == RUNS[9].0).unwrap_or(spectra.len());
    let (library, queries) = (vectors.slice(s![..last, ..]), vectors.slice(s![last.., ..]));
    let index = stages.time("build the index", || build_index(&device, library))?;
    let exact_rows = index.exact_rows(library)?;
    let search = Search::new(NEIGHBORS).nprobe(NPROBE).rerank(&exact_rows, RERANK);
    let neighbors = stages.time("identify", || index.search_with(queries, &search))?;
    let exact = stages.time("search all, to compare", || {
        let mut flat = FlatIndex::new(&device, vectorizer.dimension, Metric::Cosine)?;
        flat.add(library)?;
        flat.search(queries, NEIGHBORS)
    })?;
    print_index(library, &index);
    print_neighbors(&spectra[last..], &spectra[..last], &neighbors);
    print_agreement(&spectra[last..], &spectra[..last], &neighbors, &exact);
    stages.print();
    Ok(())
}

fn read_runs() -> cellprobe::Result<(Vec<Spectrum>, Rejected)> {
    let (mut spectra, mut rejected) = (vec![], Rejected::default());
    for (run, text) in RUNS {
        let mut reader = MgfReader::new(text, run);
        for spectrum in reader.by_ref() {
            spectra.push(spectrum?);
        }
        rejected.merge(reader.into_rejected());
    }
    Ok((spectra, rejected))
}

/// The cluster of each spectrum.
fn cluster(device: &Device, vectors: ArrayView2<'_, f32>) -> cellprobe::Result<Vec<u32>> {
    let bar = bar("cluster");
    // Vectors have unit length, so spherical k-means clusters by cosine.
    let kmeans = KMeans::new(CLUSTERS).spherical(true).progress(move |progress| show(&bar, progress));
    Ok(kmeans.train(device, vectors)?.assign(vectors)?.labels.to_vec())
}

fn build_index(device: &Device, library: ArrayView2<'_, f32>) -> cellprobe::Result<IvfPqIndex> {
    let bar = bar("build the index");
    let training = index::Training::default().progress(move |_, progress| show(&bar, progress));
    let mut index = IvfPqIndex::new(device, library.ncols(), NLIST, M, 4, Metric::Cosine)?;
    index.train_with(library, &training)?;
    index.add(library)?;
    Ok(index)
}

/// The number of the run that a spectrum is from.
fn run(spectrum: &Spectrum) -> &str {
    spectrum.source.file.to_str().unwrap_or_default()
}

fn mz(spectrum: &Spectrum) -> f64 {
    spectrum.precursor_mz.unwrap_or(f64::NAN)
}

/// The difference of two m/z in parts per million of the second.
fn ppm(mz: f64, of: f64) -> f64 {
    (mz - of) / of * 1e6
}

fn agree(a: f64, b: f64) -> bool {
    ppm(a, b).abs() <= PPM
}

fn print_spectra(read: usize, kept: &[Spectrum], rejected: &Rejected) {
    heading("Spectra");
    let peaks: usize = kept.iter().map(|spectrum| spectrum.peaks.len()).sum();
    println!("  {read} read from {} runs, {} kept, {} rejected", RUNS.len(), kept.len(), rejected.total());
    for (reason, count) in &rejected.reasons {
        println!("  {count} rejected: {reason}");
    }
    println!("  {peaks} peaks left after cleaning, {} a spectrum", peaks / kept.len().max(1));
}

fn print_clusters(labels: &[u32], spectra: &[Spectrum]) {
    heading("Clusters");
    let precursors: Vec<f64> = spectra.iter().map(mz).collect();
    let clusters = clusters(labels, &precursors);
    let mut sizes: Vec<usize> = clusters.iter().map(Vec::len).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let count = |low: usize, high: usize| sizes.iter().filter(|size| (low..=high).contains(size)).count();
    let largest: Vec<String> = sizes.iter().take(8).map(ToString::to_string).collect();
    println!("  {CLUSTERS} by spherical k-means, {} with spectra in them; largest {}", sizes.len(), largest.join(", "));
    print!("  sizes");
    for (name, low, high) in
        [("1", 1, 1), ("2", 2, 2), ("3-4", 3, 4), ("5-8", 5, 8), ("9-16", 9, 16), ("17+", 17, usize::MAX)]
    {
        print!("   {name}: {}", count(low, high));
    }
    println!();
    let mut shuffled = precursors.clone();
    shuffled.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(1));
    println!(
        "  {:.0} % of the spectra have another of the same precursor ({PPM} ppm) in their cluster; {:.0} % if dealt at random",
        100.0 * accompanied(&clusters),
        100.0 * accompanied(&self::clusters(labels, &shuffled))
    );
}

/// The precursors of each cluster that has any.
fn clusters(labels: &[u32], precursors: &[f64]) -> Vec<Vec<f64>> {
    let mut clusters = BTreeMap::<u32, Vec<f64>>::new();
    labels.iter().zip(precursors).for_each(|(label, mz)| clusters.entry(*label).or_default().push(*mz));
    clusters.into_values().collect()
}

/// The share of precursors that agree with another one of their cluster.
fn accompanied(clusters: &[Vec<f64>]) -> f64 {
    let others = |cluster: &[f64], mz: f64| cluster.iter().filter(|&&other| agree(other, mz)).count().saturating_sub(1);
    let in_cluster = |cluster: &Vec<f64>| cluster.iter().filter(|&&mz| others(cluster, mz) > 0).count();
    let all: usize = clusters.iter().map(Vec::len).sum();
    clusters.iter().map(in_cluster).sum::<usize>() as f64 / all.max(1) as f64
}

fn print_index(library: ArrayView2<'_, f32>, index: &IvfPqIndex) {
    heading(&format!("Run {} identified in the other nine", RUNS[9].0));
    let code_size = index.quantizer().map_or(0, cellprobe::ProductQuantizer::code_size);
    println!(
        "  library of {} spectra: IVF{NLIST},PQ{M}x4 with {code_size} bytes a spectrum instead of {}",
        index.ntotal(),
        4 * library.ncols()
    );
    println!("  {NPROBE} of {NLIST} cells searched, the best {} by code re-ranked by exact cosine", NEIGHBORS * RERANK);
}

fn print_neighbors(queries: &[Spectrum], library: &[Spectrum], neighbors: &Neighbors) {
    println!("\n  query           |  nearest spectra");
    println!("  scan       m/z  |  run  scan        m/z       ppm  cosine");
    for (query, found) in queries.iter().zip(neighbors.rows()).take(QUERIES_SHOWN) {
        let mut left = format!("{:>4} {:>9.4}", query.id(), mz(query));
        for neighbor in found {
            let hit = &library[neighbor.id as usize];
            let error = ppm(mz(hit), mz(query));
            let error = if agree(mz(hit), mz(query)) { format!("{error:+.1}") } else { "other".to_owned() };
            println!(
                "  {left:14}  |  {}  {:>4}  {:>9.4}  {error:>8}   {:.3}",
                run(hit),
                hit.id(),
                mz(hit),
                neighbor.score
            );
            left.clear();
        }
    }
    println!("  ... and {} more queries", queries.len().saturating_sub(QUERIES_SHOWN));
}

fn print_agreement(queries: &[Spectrum], library: &[Spectrum], neighbors: &Neighbors, exact: &Neighbors) {
    let best = queries.iter().zip(neighbors.rows()).filter_map(|(query, found)| Some((query, found.first()?)));
    let similar: Vec<_> = best.filter(|(_, neighbor)| neighbor.score >= SIMILAR).collect();
    let agreeing = similar.iter().filter(|(query, hit)| agree(mz(&library[hit.id as usize]), mz(query))).count();
    let pairs = neighbors.rows().zip(exact.rows()).flat_map(|(found, exact)| found.iter().zip(exact));
    let right = pairs.filter(|(found, exact)| (found.score - exact.score).abs() < 1e-5).count();
    let share = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
    println!(
        "\n  {} of {} queries have a neighbour of cosine {SIMILAR} or more; of these {agreeing} ({:.0} %) agree within {PPM} ppm",
        similar.len(),
        queries.len(),
        share(agreeing, similar.len())
    );
    let asked = exact.rows().map(<[_]>::len).sum();
    println!("  {right} of {asked} neighbours ({:.1} %) are those of an exact search", share(right, asked));
}

fn heading(text: &str) {
    if stdout().is_terminal() { println!("\n\x1b[1m{text}\x1b[0m") } else { println!("\n{text}") }
}

/// A progress bar that is not seen yet.
fn bar(stage: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").unwrap_or(ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style).with_message(stage)
}

/// Moves the bar, which is seen on a terminal once the stage has taken a second.
fn show(bar: &ProgressBar, progress: Progress) {
    if bar.is_hidden() && bar.elapsed() > Duration::from_secs(1) {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    bar.set_length(progress.of as u64);
    bar.set_position(progress.done as u64);
    if progress.done == progress.of {
        bar.finish_and_clear();
    }
}

/// How long each stage took.
#[derive(Default)]
struct Stages(Vec<(&'static str, Duration)>);

impl Stages {
    fn time<T>(&mut self, name: &'static str, stage: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = stage();
        self.0.push((name, start.elapsed()));
        result
    }

    fn print(&self) {
        heading("Time");
        let total = ("all together", self.0.iter().map(|(_, time)| *time).sum());
        for (name, time) in self.0.iter().chain([&total]) {
            println!("  {name:<24} {:>8.1} ms", time.as_secs_f64() * 1e3);
        }
    }
}
