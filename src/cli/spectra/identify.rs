//! `cellprobe spectra identify`.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    super::{
        Common, Outcome,
        arguments::{self, Overwrite},
        console::{Bar, Console},
        failure::blaming,
    },
    SpectraOptions,
    input::{Input, names, reasons},
    options::{OrNone, PrecursorTolerance},
};
use crate::{
    Device, Error, Result,
    spectra::{
        Cleaning, Collection, Field, Score, Spool, Tolerance, Vectorizer, WithVectors, find_files,
        identify::{
            Decoys, Identifications, IdentifyOptions, Library, MzTab, Quality, identify_spooled, read_library, sidecar,
            write_matches,
        },
        report::IdentificationsReport,
    },
    storage::{faiss, read_vectors, stream_error, write_whole},
};

const MATCHES_FILE: &str = "matches.tsv";
const MZTAB_FILE: &str = "matches.mztab";
const REJECTED_FILE: &str = "rejected.tsv";
const REPORT_FILE: &str = "report.html";
const SUMMARY_FILE: &str = "summary.json";

/// Names spectra by the most similar ones of a library.
///
/// Within a precursor window all spectra of the library are compared exactly; with --precursor-tolerance open those with
/// the most similar vectors. DIR gets the table matches.tsv, the accepted matches as mzTab 1.0 (matches.mztab), what was
/// not used (rejected.tsv), report.html to look at and summary.json. Queries are cleaned as an indexed library was,
/// otherwise as the options say.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe spectra identify library.msp run.mzML -o found
  cellprobe spectra identify library.index runs/ -o found --precursor-tolerance open --score modified-cosine
  cellprobe spectra identify peptides.mgf run.mzML -o found --preset proteomics --structure SEQ --decoys peptide --max-q-value 0.01
  cellprobe spectra identify library.mgf known.mgf -o found --truth INCHIKEY:14 --json")]
pub(super) struct Identify {
    /// What `spectra index` wrote, or any file of spectra
    library: PathBuf,
    /// Files of spectra to identify, folders or patterns
    #[arg(required = true, value_name = "QUERY")]
    queries: Vec<PathBuf>,
    /// The folder to write to, made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Structures to report for each query
    #[arg(short, default_value_t = IdentifyOptions::default().k)]
    k: usize,
    /// How spectra are compared: cosine, modified-cosine or entropy
    #[arg(long, default_value_t = IdentifyOptions::default().score)]
    score: Score,
    /// Accept no match of a lower score [default: 0.35 within a precursor window, 0.7 in an open search]
    #[arg(long, value_name = "S")]
    min_score: Option<f64>,
    /// Accept no match of fewer matching peaks [default: 1 within a precursor window, 6 in an open search]
    #[arg(long, value_name = "N")]
    min_matched: Option<usize>,
    /// Accept no match whose score is less than this above that of the next structure [default: 0.2 within a precursor window, 0 in an open search]
    #[arg(long, value_name = "S")]
    min_delta: Option<f64>,
    /// Accept no match whose precursor is further off than this, like 5ppm [default: a fourth of the precursor tolerance; any in an open search]
    #[arg(long, value_name = "TOLERANCE")]
    accept_within: Option<Tolerance>,
    /// Spectra with the most similar vectors to compare exactly in an open search, or none to rank by vectors alone
    #[arg(long, default_value_t = OrNone(IdentifyOptions::default().rerank_candidates), value_name = "N|none")]
    rerank_candidates: OrNone<usize>,
    /// Lists of the index that an open search visits [default: half of them]
    #[arg(long, value_name = "N")]
    nprobe: Option<usize>,
    /// Within a precursor window, compare without the peaks this near to the precursor, or none to compare with them
    #[arg(long, default_value_t = OrNone(IdentifyOptions::default().precursor_window), value_name = "MZ|none")]
    precursor_window: OrNone<f64>,
    /// A second search, for queries without an accepted match, with this precursor tolerance, which may be open
    #[arg(long, value_name = "TOLERANCE")]
    cascade: Option<PrecursorTolerance>,
    /// Report each structure once: spectra share one where they share this field, or its first N characters
    #[arg(long, default_value_t = IdentifyOptions::default().structure, value_name = "FIELD[:N]")]
    structure: Field,
    /// Vectors of the library made by another program, where it is a file of spectra: one row for each that is kept
    #[arg(long, value_name = "FILE", value_parser = arguments::vectors, requires = "vectors")]
    library_vectors: Option<PathBuf>,
    /// Estimate q-values by decoys: peptide (shuffled and repositioned, sequences from SEQ) or spectrum (for small molecules)
    #[arg(long)]
    decoys: Option<Decoys>,
    /// Accept no match of a higher q-value
    #[arg(long, value_name = "Q", requires = "decoys")]
    max_q_value: Option<f64>,
    /// MiB of queries and of what is found to hold in memory; what is beyond goes to temporary files
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    memory: usize,
    #[command(flatten)]
    options: SpectraOptions,
    #[command(flatten)]
    overwrite: Overwrite,
}

/// What a run found, for its files and its summary.
struct Found {
    library: Library,
    /// What was read of the query files.
    input: Input,
    queries: Spool,
    identifications: Identifications,
    heading: Vec<(String, String)>,
}

impl Identify {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let start = Instant::now();
        let files = find_files(&self.queries)?;
        let vectors = self.options.vectors.vectors.iter().chain(&self.library_vectors);
        let outputs = [MATCHES_FILE, MZTAB_FILE, REJECTED_FILE, REPORT_FILE, SUMMARY_FILE];
        self.overwrite.check_in(&self.output, outputs, files.iter().chain(vectors).chain([&self.library]))?;
        let device = common.device()?;
        let bar = console.bar();
        let library = self.library(bar.as_ref(), console)?;
        // What is found needs about a fourth of the memory that the queries need.
        let memory = self.memory << 20;
        let mut queries = Spool::new(memory / 5 * 4);
        let input = Input::read(&files, bar.as_ref(), |spectra| {
            let (kept, unclean) = library.clean(spectra)?;
            kept.into_iter().try_for_each(|query| queries.push(query))?;
            Ok(unclean)
        })?;
        input.warn(console);
        let options = self.options(common);
        let show = |stage: &'static str, done, of| bar.iter().for_each(|bar| bar.show(stage, done, of));
        let with = |path: &PathBuf| WithVectors::new(&queries, read_vectors(path)?).map_err(blaming(path, path));
        let vectors = self.options.vectors.vectors.as_ref().map(with).transpose()?;
        let searched: &dyn Collection = vectors.as_ref().map_or(&queries, |with_vectors| with_vectors);
        let identifications = identify_spooled(&device, &library, searched, &options, memory / 5, &show)?;
        drop(bar);
        let heading = self.heading(&input, &device, &library, &options);
        let found = Found { library, input, queries, identifications, heading };
        self.write(&found)?;
        let summary = self.summary(&found, start.elapsed().as_secs_f64())?;
        write_whole(self.output.join(SUMMARY_FILE), self.overwrite.force, |out| {
            writeln!(out, "{summary:#}").map_err(stream_error)
        })?;
        if let (Some(truth), Value::Null) = (&self.options.truth, &summary["top1"]) {
            console.warn(format!("no query has the field {truth}: nothing to compare with"));
        }
        console.summary(&summary, &text(&summary, &self.output))?;
        Ok(true)
    }

    /// The library as it was indexed, or of a file of spectra.
    fn library(&self, bar: Option<&Bar>, console: &Console) -> Result<Library> {
        let (cleaning, vectors) = (self.options.cleaning(), &self.options.vectors);
        if sidecar(&self.library).exists() {
            let library = read_library(&self.library)?;
            if self.library_vectors.is_some() {
                let library = self.library.display();
                return Err(Error::parameter(
                    "library-vectors",
                    library,
                    "a file of spectra: this library has its own",
                ));
            }
            let same = Cleaning { scaling: cleaning.scaling, ..library.cleaning().clone() } == cleaning
                && library.vectorizer().is_none_or(|vectorizer| vectorizer == vectors.vectorizer());
            if self.options.asks_for_preparation() && !same {
                console.warn("the library was indexed with other options for cleaning and vectors, and these hold");
            }
            return Ok(library);
        }
        let read = Input::read_all(&find_files(&[&self.library])?, bar);
        let (spectra, input) = read.map_err(|error| self.without_sidecar(error))?;
        input.warn(console);
        let (library, unclean) = match &self.library_vectors {
            Some(file) => Library::with_vectors(spectra, cleaning, read_vectors(file)?).map_err(blaming(file, file))?,
            None => Library::new(spectra, cleaning, vectors.vectorizer())?,
        };
        for (reason, count) in input.rejected.reasons.iter().chain(&unclean.reasons) {
            console.warn(format!("{count} of the library's spectra not used: {reason}"));
        }
        Ok(library)
    }

    /// Why the library, which is no file of spectra, cannot be read: an index alone lacks the spectra.
    fn without_sidecar(&self, error: Error) -> Error {
        if faiss::read_file(&self.library).is_err() {
            return error;
        }
        let message = "the spectra of the library, which `spectra index` wrote beside it, are missing";
        Error::Io { path: sidecar(&self.library), source: io::Error::new(io::ErrorKind::NotFound, message) }
    }

    fn options(&self, common: &Common) -> IdentifyOptions {
        IdentifyOptions {
            score: self.score,
            scaling: self.options.scaling(),
            precursor_tolerance: self.options.precursor_tolerance.0,
            fragment_tolerance: self.options.fragment_tolerance,
            precursor_window: self.precursor_window.0,
            cascade: self.cascade.map(|tolerance| tolerance.0),
            k: self.k,
            rerank_candidates: self.rerank_candidates.0,
            nprobe: self.nprobe,
            structure: self.structure.clone(),
            min_score: self.min_score,
            min_matched: self.min_matched,
            min_delta: self.min_delta,
            accept_within: self.accept_within,
            decoys: self.decoys,
            max_q_value: self.max_q_value,
            seed: common.seed,
        }
    }

    /// What each file says of how it came about.
    fn heading(
        &self,
        input: &Input,
        device: &Device,
        library: &Library,
        options: &IdentifyOptions,
    ) -> Vec<(String, String)> {
        let mut heading = vec![
            ("program".to_owned(), concat!("cellprobe ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("device".to_owned(), device.name().to_owned()),
            ("library".to_owned(), self.library.display().to_string()),
            ("queries".to_owned(), names(input.files.iter().map(|(file, _)| file))),
        ];
        let mut add = |described: Vec<(&str, String)>| {
            heading.extend(described.into_iter().map(|(name, value)| (name.to_owned(), value)));
        };
        add(library.cleaning().described());
        let made_elsewhere = || vec![("vectors", format!("made elsewhere, of length {}", library.vector_length()))];
        let scaling = ("vector-scaling", library.cleaning().scaling.to_string());
        let hashed = |vectorizer: Vectorizer| [vec![scaling], vectorizer.described()].concat();
        add(library.vectorizer().map_or_else(made_elsewhere, hashed));
        add(options.described());
        heading.extend(self.options.truth.iter().map(|truth| ("truth".to_owned(), truth.to_string())));
        heading
    }

    fn write(&self, found: &Found) -> Result<()> {
        fs::create_dir_all(&self.output).map_err(|source| Error::Io { path: self.output.clone(), source })?;
        let Found { library, input: Input { files: runs, rejected, .. }, queries, identifications, heading } = found;
        let truth = self.options.truth.as_ref();
        let fragment_tolerance = self.options.fragment_tolerance;
        let report =
            IdentificationsReport { library, queries, found: identifications, fragment_tolerance, truth, heading };
        write_whole(self.output.join(REPORT_FILE), self.overwrite.force, |out| {
            out.write_all(report.html()?.as_bytes()).map_err(stream_error)
        })?;
        write_whole(self.output.join(MATCHES_FILE), self.overwrite.force, |out| {
            write_matches(out, heading, library, queries, identifications, truth)
        })?;
        let database = self.library.file_name().unwrap_or_default().to_string_lossy();
        let (database, found, score) = (&*database, identifications, self.score);
        let mztab = MzTab { database, library, runs, queries, found, score, heading };
        write_whole(self.output.join(MZTAB_FILE), self.overwrite.force, |out| mztab.write(out))?;
        write_whole(self.output.join(REJECTED_FILE), self.overwrite.force, |out| {
            let lines = heading.iter().try_for_each(|(name, value)| writeln!(out, "# {name}: {value}"));
            lines.and_then(|()| rejected.write_tsv(out)).map_err(stream_error)
        })
    }

    /// What is reported, by the names that scripts read.
    fn summary(&self, all: &Found, seconds: f64) -> Result<Value> {
        let parameters: Map<String, Value> =
            all.heading.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let mut summary = json!({
            "queries": all.input.count,
            "kept": all.queries.len(),
            "rejected": reasons(&all.input.rejected),
            "library": all.library.spectra().len(),
            "matched": all.identifications.matched(),
            "accepted": all.identifications.accepted(),
            "seconds": seconds,
            "parameters": parameters,
        });
        let quality = |truth| Quality::of(&all.library, &all.queries, &all.identifications, truth);
        if let Some(quality) = self.options.truth.as_ref().map(quality).transpose()?.flatten() {
            summary["top1"] = quality.top1().into();
            summary["precision"] = quality.precision().into();
            summary["recall"] = quality.recall().into();
            summary["known"] = quality.known.into();
            summary["absent"] = quality.absent.into();
            summary["accepted_right"] = quality.accepted_right.into();
            summary["accepted_isomers"] = (quality.accepted_isomer + quality.absent_accepted_isomer).into();
            summary["accepted_wrong"] = (quality.accepted_wrong + quality.absent_accepted_wrong).into();
            summary["absent_accepted"] = (quality.absent_accepted_isomer + quality.absent_accepted_wrong).into();
        }
        Ok(summary)
    }
}

/// The summary to read.
fn text(summary: &Value, folder: &Path) -> String {
    let number = |key: &str| summary[key].as_f64().unwrap_or_default();
    let mut text = format!(
        "{} of {} queries accepted, {} with any match, in a library of {} spectra, in {:.1} s on {}",
        summary["accepted"],
        summary["queries"],
        summary["matched"],
        summary["library"],
        number("seconds"),
        summary["parameters"]["device"].as_str().unwrap_or_default(),
    );
    for (reason, count) in summary["rejected"].as_object().into_iter().flatten() {
        let _ = write!(text, "\n{count} rejected: {reason}");
    }
    if summary["top1"].is_number() {
        let _ = write!(
            text,
            "\ntop-1 {:.3}, precision {:.3}, recall {:.3} of {} known queries\n\
             accepted and not right: {} isomers, {} others; {} of {} absent queries accepted",
            number("top1"),
            number("precision"),
            number("recall"),
            summary["known"],
            summary["accepted_isomers"],
            summary["accepted_wrong"],
            summary["absent_accepted"],
            summary["absent"],
        );
    }
    let _ = write!(text, "\nwritten to {}", folder.display());
    text
}
