//! `cellprobe spectra cluster`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    super::{
        Common, Outcome,
        arguments::Overwrite,
        console::{Bar, Console},
        failure::blaming,
    },
    SpectraOptions,
    input::{Input, names, reasons},
};
use crate::{
    Device, Error, Result,
    spectra::{
        Cleaning, Collection, Rejected, Scaling, Score, Spectrum, Spool, WithVectors,
        cluster::{
            CLUSTERS_FILE, CONSENSUS_FILE, ClusterFiles, ClusterOptions, Earlier, MEDOIDS_FILE, Method, Quality,
            cluster_into,
        },
        find_files,
        report::ClustersReport,
    },
    storage::{read_vectors, stream_error, write_whole},
};

const NETWORK_FILE: &str = "network.graphml";
const REJECTED_FILE: &str = "rejected.tsv";
const REPORT_FILE: &str = "report.html";
const SUMMARY_FILE: &str = "summary.json";

/// Spectra for each centroid of k-means where their number is not given.
const SPECTRA_A_CENTROID: usize = 4;

/// Clusters spectra: which of them show the same molecule.
///
/// Spectra of one polarity, charge and precursor are compared; those that are alike share a cluster. DIR gets the table
/// clusters.tsv, a medoid of each cluster (representatives.mgf) and a consensus (consensus.mgf), the network
/// (network.graphml), what was not used (rejected.tsv), report.html to look at and summary.json.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe spectra cluster runs/*.mgf -o clusters
  cellprobe spectra cluster runs/*.mzML.gz -o clusters --preset proteomics --method complete --threshold 0.3
  cellprobe spectra cluster monday.mgf -o week --into sunday
  cellprobe spectra cluster run.mgf -o clusters --method kmeans --vectors embeddings.npy
  cellprobe spectra cluster library.mgf.gz -o clusters --truth INCHIKEY:14 --json")]
pub(super) struct Cluster {
    /// Files of spectra, folders of them, and patterns like "runs/*.mzML"
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder to write to, made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// How clusters are made from similar pairs
    #[arg(long, default_value = "average")]
    method: MethodName,
    /// The largest distance (1 minus the score) of similar spectra [default: 0.6 for average, 0.3 for dbscan, 0.6 for complete]
    #[arg(long, value_name = "T")]
    threshold: Option<f64>,
    /// How pairs are scored: cosine, modified-cosine or entropy
    #[arg(long, default_value = "entropy", value_name = "SCORE")]
    score: Score,
    /// dbscan: similar spectra that make a core, itself included
    #[arg(long, default_value_t = 2, value_name = "N")]
    min_samples: usize,
    /// kmeans: number of centroids [default: one for four spectra]
    #[arg(long, value_name = "K")]
    centroids: Option<usize>,
    /// Cluster into the clusters that an earlier run wrote to this folder; they keep their numbers
    #[arg(long, value_name = "DIR", conflicts_with = "vectors")]
    into: Option<PathBuf>,
    /// MiB of spectra to hold in memory; what is beyond goes to a temporary file
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    memory: usize,
    #[command(flatten)]
    options: SpectraOptions,
    #[command(flatten)]
    overwrite: Overwrite,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodName {
    Dbscan,
    Average,
    Complete,
    Kmeans,
}

impl MethodName {
    /// The threshold at which a method is best: see [`crate::spectra::cluster`].
    fn threshold(self) -> f64 {
        match self {
            MethodName::Dbscan => 0.3,
            MethodName::Average | MethodName::Complete | MethodName::Kmeans => 0.6,
        }
    }
}

impl Cluster {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let start = Instant::now();
        let files = find_files(&self.files)?;
        let outputs =
            [CLUSTERS_FILE, MEDOIDS_FILE, CONSENSUS_FILE, NETWORK_FILE, REJECTED_FILE, REPORT_FILE, SUMMARY_FILE];
        self.overwrite.check_in(&self.output, outputs, files.iter().chain(&self.options.vectors.vectors))?;
        let device = common.device()?;
        let earlier = self.earlier(&files)?;
        let bar = console.bar();
        let read = self.read(&files, &earlier, bar.as_ref(), console)?;
        let options = self.options(common, read.spool.len());
        let heading = self.heading(&files, &device, &options);
        let old: Vec<u32> = (0..earlier.len() as u32).collect();
        let show = |done, of| bar.iter().for_each(|bar| bar.show("clustering", done, of));
        let with = |path: &PathBuf| WithVectors::new(&read.spool, read_vectors(path)?).map_err(blaming(path, path));
        let vectors = self.options.vectors.vectors.as_ref().map(with).transpose()?;
        let spectra: &dyn Collection = vectors.as_ref().map_or(&read.spool, |with_vectors| with_vectors);
        let clusters = &cluster_into(&device, spectra, &old, &options, &show)?;
        let written = ClusterFiles { spectra, clusters, earlier: &earlier, options: &options, heading: &heading };
        fs::create_dir_all(&self.output).map_err(|source| Error::Io { path: self.output.clone(), source })?;
        self.write(&written, &read.rejected, bar.as_ref())?;
        let report = ClustersReport { files: &written, quality: Quality::of(clusters.labels(), &read.identities) };
        let report = report.html()?;
        self.write_file(REPORT_FILE, |out| out.write_all(report.as_bytes()).map_err(stream_error))?;
        drop(bar);
        let summary = summary(&written, &read, start.elapsed().as_secs_f64());
        self.write_file(SUMMARY_FILE, |out| writeln!(out, "{summary:#}").map_err(stream_error))?;
        if let (Some(truth), Value::Null) = (&self.options.truth, &summary["completeness"]) {
            console.warn(format!("no spectrum has the field {truth}: nothing to compare with"));
        }
        console.summary(&summary, &text(&summary, &self.output))?;
        Ok(true)
    }

    fn earlier(&self, files: &[PathBuf]) -> Result<Earlier> {
        let Some(folder) = &self.into else { return Ok(Earlier::default()) };
        let earlier = Earlier::read(folder)?;
        let known = (0..earlier.len()).flat_map(|cluster| earlier.rows(cluster)).map(|row| row.file.as_str());
        let known: BTreeSet<&str> = known.collect();
        match files.iter().find(|file| known.contains(&*file.to_string_lossy())) {
            Some(file) => Err(Error::parameter("FILE", file.display(), "a file that is not yet in the clusters")),
            None => Ok(earlier),
        }
    }
}

/// The spectra that were read.
struct Read {
    spool: Spool,
    rejected: Rejected,
    /// Spectra in the files, used or not.
    spectra: usize,
    /// The identity of each spectrum in the spool, where it is known.
    identities: Vec<Option<u32>>,
}

/// Numbers for identities.
#[derive(Default)]
struct Identities(BTreeMap<String, u32>);

impl Identities {
    fn number(&mut self, identity: &str) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(identity.to_owned()).or_insert(next)
    }
}

impl Cluster {
    /// Reads and cleans everything, the representatives of earlier clusters first.
    fn read(&self, files: &[PathBuf], earlier: &Earlier, bar: Option<&Bar>, console: &Console) -> Result<Read> {
        // Intensities are scaled when spectra are compared: representatives are written as they were measured.
        let cleaning = Cleaning { scaling: Scaling::Off, ..self.options.cleaning() };
        let mut read = Read {
            spool: Spool::new(self.memory << 20),
            rejected: Rejected::default(),
            spectra: 0,
            identities: Vec::new(),
        };
        let mut identities = Identities::default();
        let mut keep = |read: &mut Read, spectrum: Spectrum| {
            let identity = self.options.truth.as_ref().and_then(|truth| truth.of(&spectrum));
            read.identities.push(identity.map(|identity| identities.number(identity)));
            read.spool.push(spectrum)
        };
        earlier.medoids().try_for_each(|medoid| keep(&mut read, medoid.clone()))?;
        let input = Input::read(files, bar, |spectra| {
            let (kept, unclean) = cleaning.clean_all(spectra)?;
            kept.into_iter().try_for_each(|spectrum| keep(&mut read, spectrum))?;
            Ok(unclean)
        })?;
        input.warn(console);
        (read.rejected, read.spectra) = (input.rejected, input.count);
        Ok(read)
    }
}

impl Cluster {
    fn options(&self, common: &Common, spectra: usize) -> ClusterOptions {
        let method = match self.method {
            MethodName::Dbscan => Method::Dbscan { min_samples: self.min_samples },
            MethodName::Average => Method::Average,
            MethodName::Complete => Method::Complete,
            MethodName::Kmeans => {
                Method::KMeans { clusters: self.centroids.unwrap_or(spectra.div_ceil(SPECTRA_A_CENTROID).max(1)) }
            }
        };
        ClusterOptions {
            method,
            threshold: self.threshold.unwrap_or(self.method.threshold()),
            score: self.score,
            precursor_tolerance: self.options.precursor_tolerance.0,
            fragment_tolerance: self.options.fragment_tolerance,
            scaling: self.options.scaling(),
            vectorizer: self.options.vectors.vectorizer(),
            seed: common.seed,
            ..ClusterOptions::default()
        }
    }

    /// What each file says of how it came about.
    fn heading(&self, files: &[PathBuf], device: &Device, options: &ClusterOptions) -> Vec<(String, String)> {
        let mut heading = vec![
            ("program".to_owned(), concat!("cellprobe ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("device".to_owned(), device.name().to_owned()),
            ("files".to_owned(), names(files)),
        ];
        heading.extend(self.into.iter().map(|folder| ("into".to_owned(), folder.display().to_string())));
        let described = [self.options.cleaning().described(), options.described()].concat();
        heading.extend(described.into_iter().map(|(name, value)| (name.replace('_', "-"), value)));
        if let Some(vectors) = &self.options.vectors.vectors {
            heading.retain(|(name, _)| !["bin-width", "dimension", "hash-seed", "losses"].contains(&name.as_str()));
            heading.push(("vectors".to_owned(), vectors.display().to_string()));
        }
        heading.extend(self.options.truth.iter().map(|truth| ("truth".to_owned(), truth.to_string())));
        heading
    }

    fn write(&self, files: &ClusterFiles<dyn Collection + '_>, rejected: &Rejected, bar: Option<&Bar>) -> Result<()> {
        let show = |done| bar.iter().for_each(|bar| bar.show("writing", done, 5));
        show(0);
        self.write_file(CLUSTERS_FILE, |out| files.write_table(out))?;
        show(1);
        self.write_file(MEDOIDS_FILE, |out| files.write_medoids(out))?;
        show(2);
        self.write_file(CONSENSUS_FILE, |out| files.write_consensus(out))?;
        show(3);
        self.write_file(NETWORK_FILE, |out| files.write_network(out))?;
        show(4);
        self.write_file(REJECTED_FILE, |out| {
            files.write_heading(out)?;
            rejected.write_tsv(out).map_err(stream_error)
        })
    }

    fn write_file(&self, name: &str, content: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>) -> Result<()> {
        write_whole(self.output.join(name), self.overwrite.force, content)
    }
}

/// What is reported, by the names that scripts read.
fn summary(files: &ClusterFiles<dyn Collection + '_>, read: &Read, seconds: f64) -> Value {
    let flaws: Map<String, Value> =
        read.rejected.flaws.iter().map(|(flaw, count)| (flaw.to_string(), (*count).into())).collect();
    let parameters: Map<String, Value> =
        files.heading.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut summary = json!({
        "spectra": read.spectra,
        "kept": read.spectra - read.rejected.total(),
        "rejected": reasons(&read.rejected),
        "flaws": flaws,
        "clusters": files.clusters.len(),
        "clustered_ratio": files.clustered_ratio(),
        "seconds": seconds,
        "parameters": parameters,
    });
    if let Some(quality) = Quality::of(files.clusters.labels(), &read.identities) {
        summary["identified"] = quality.spectra.into();
        summary["incorrectly_clustered_ratio"] = quality.incorrectly_clustered_ratio.into();
        summary["completeness"] = quality.completeness.into();
        summary["nmi"] = quality.nmi.into();
        summary["ari"] = quality.ari.into();
    }
    summary
}

/// The summary to read.
fn text(summary: &Value, folder: &Path) -> String {
    let number = |key: &str| summary[key].as_f64().unwrap_or_default();
    let mut text = format!(
        "{} spectra, {} kept, in {:.1} s on {}\n{} clusters, {:.1} % of the spectra with others",
        summary["spectra"],
        summary["kept"],
        number("seconds"),
        summary["parameters"]["device"].as_str().unwrap_or_default(),
        summary["clusters"],
        100.0 * number("clustered_ratio"),
    );
    for (reason, count) in summary["rejected"].as_object().into_iter().flatten() {
        let _ = write!(text, "\n{count} rejected: {reason}");
    }
    if summary["completeness"].is_number() {
        let _ = write!(
            text,
            "\n{:.2} % incorrectly clustered, completeness {:.3}, NMI {:.3}, ARI {:.3}",
            100.0 * number("incorrectly_clustered_ratio"),
            number("completeness"),
            number("nmi"),
            number("ari"),
        );
    }
    let _ = write!(text, "\nwritten to {}", folder.display());
    text
}
