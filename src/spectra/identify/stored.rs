//! Libraries as files: a FAISS index, and beside it the spectra with how they were cleaned and made vectors of.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use serde_json::{Value, json};

use super::Library;
use crate::{
    Error, Result,
    spectra::{Cleaning, Losses, Scaling, Spectrum, Vectorizer, read_files, write_mgf},
    storage::{
        faiss::{self, Stored},
        write_whole,
    },
};

/// The first line of a sidecar begins with this; what follows is JSON. To readers of MGF it is a comment.
const MARK: &str = "# cellprobe library ";

/// The longest first line that is read.
const LONGEST_HEADER: u64 = 1 << 16;

/// The file beside a library's index that holds its spectra: its name with `.mgf.gz`.
#[must_use]
pub fn sidecar(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".mgf.gz");
    name.into()
}

/// Writes a library: the index as a FAISS file, the spectra beside it ([`sidecar`]). Each appears whole or not at all.
///
/// # Errors
/// [`Error::Empty`] for a library without an index; [`Error::Io`] for files that cannot be written, and for those that
/// exist unless `overwrite`.
pub fn write_library(library: &Library, path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
    let path = path.as_ref();
    let index = library.index.as_ref().ok_or(Error::Empty { what: "the index of the library" })?;
    let header = header(library);
    write_whole(sidecar(path), overwrite, |out| {
        let mut out = GzEncoder::new(out, Compression::default());
        let written = writeln!(out, "{MARK}{header}")
            .and_then(|()| library.spectra.iter().try_for_each(|spectrum| write_spectrum(&mut out, spectrum)))
            .and_then(|()| out.finish().map(drop));
        written.map_err(|source| Error::Io { path: path.into(), source })
    })?;
    faiss::write_file(index, path, overwrite)
}

/// The number in a file is no name once the spectrum is in another.
fn write_spectrum(out: &mut impl Write, spectrum: &Spectrum) -> io::Result<()> {
    let id = spectrum.id();
    if !id.starts_with("index=") {
        return write_mgf(out, spectrum);
    }
    let mut named = spectrum.clone();
    named.fields.push(("TITLE".to_owned(), id));
    write_mgf(out, &named)
}

/// Reads a library that [`write_library`] wrote.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] for files that are damaged or do not belong together.
pub fn read_library(path: impl AsRef<Path>) -> Result<Library> {
    let path = path.as_ref();
    let beside = sidecar(path);
    let malformed = |message: &str| Error::Format { offset: 0, message: message.to_owned() }.in_file(&beside);
    let header = first_line(&beside)?;
    let header = header.strip_prefix(MARK).ok_or_else(|| malformed("this is not the sidecar of a library"))?;
    let header: Value = serde_json::from_str(header).map_err(|error| malformed(&error.to_string()))?;
    let cleaning = cleaning(&header["cleaning"]).ok_or_else(|| malformed("the cleaning cannot be read"))?;
    let vectorizer = vectorizer(&header["vectors"]).ok_or_else(|| malformed("how vectors are made cannot be read"))?;
    let (spectra, rejected) = read_files(&[&beside])?;
    if rejected.total() > 0 || header["spectra"].as_u64() != Some(spectra.len() as u64) {
        return Err(malformed("spectra are missing"));
    }
    let index = faiss::read_file(path)?;
    check(&index, spectra.len(), vectorizer).map_err(|error| error.in_file(path))?;
    Ok(Library { spectra, cleaning, vectorizer, index: Some(index) })
}

fn check(index: &Stored, spectra: usize, vectorizer: Vectorizer) -> Result<()> {
    let header = index.header();
    if header.ntotal != spectra {
        return Err(Error::Length { what: "spectra of the library", expected: header.ntotal, found: spectra });
    }
    if header.dimension != vectorizer.length() {
        let (expected, found) = (vectorizer.length(), header.dimension);
        return Err(Error::Dimension { what: "the index of the library", expected, found });
    }
    let lists = match index {
        Stored::IvfFlat(index) => Some(&index.lists.ids),
        Stored::IvfPq(index) => Some(&index.lists.ids),
        _ => None,
    };
    let mut seen = vec![false; spectra];
    let mut new = |&id: &i64| {
        let place = usize::try_from(id).ok().and_then(|id| seen.get_mut(id));
        place.is_some_and(|seen| !std::mem::replace(seen, true))
    };
    if lists.is_some_and(|ids| !ids.iter().all(&mut new)) {
        let message = "the identifiers are not the numbers of the spectra".to_owned();
        return Err(Error::Format { offset: 0, message });
    }
    Ok(())
}

fn first_line(path: &Path) -> Result<String> {
    let read = || -> io::Result<String> {
        let mut line = Vec::new();
        let mut text = BufReader::new(MultiGzDecoder::new(BufReader::new(File::open(path)?)));
        io::Read::take(&mut text, LONGEST_HEADER).read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    };
    read().map_err(|source| Error::Io { path: path.into(), source })
}

fn header(library: &Library) -> Value {
    let Cleaning { mz_range, precursor_window, min_relative_intensity, max_peaks, min_peaks, min_span, scaling } =
        library.cleaning.clone();
    let Vectorizer { bin_width, dimension, seed, losses } = library.vectorizer;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "spectra": library.spectra.len(),
        "cleaning": {
            "mz_range": mz_range.map(|(low, high)| [low, high]),
            "precursor_window": precursor_window,
            "min_relative_intensity": min_relative_intensity,
            "max_peaks": max_peaks,
            "min_peaks": min_peaks,
            "min_span": min_span,
            "scaling": SCALINGS.iter().find(|(of, _)| *of == scaling).map(|(_, name)| name),
        },
        "vectors": {
            "bin_width": bin_width,
            "dimension": dimension,
            "seed": seed,
            "losses": match losses {
                Losses::Off => json!("off"),
                Losses::Shared => json!("shared"),
                Losses::Appended(own) => json!(own),
            },
        },
    })
}

const SCALINGS: [(Scaling, &str); 4] =
    [(Scaling::Off, "off"), (Scaling::Root, "root"), (Scaling::Log, "log"), (Scaling::Rank, "rank")];

fn cleaning(value: &Value) -> Option<Cleaning> {
    // What may be missing is null.
    let optional = |key: &str| match &value[key] {
        Value::Null => Some(None),
        value => value.as_f64().map(Some),
    };
    let mz_range = match &value["mz_range"] {
        Value::Null => None,
        range => Some((range[0].as_f64()?, range[1].as_f64()?)),
    };
    let scaling = value["scaling"].as_str()?;
    Some(Cleaning {
        mz_range,
        precursor_window: optional("precursor_window")?,
        min_relative_intensity: value["min_relative_intensity"].as_f64()? as f32,
        max_peaks: optional("max_peaks")?.map(|most| most as usize),
        min_peaks: usize::try_from(value["min_peaks"].as_u64()?).ok()?,
        min_span: value["min_span"].as_f64()?,
        scaling: SCALINGS.iter().find(|(_, name)| *name == scaling)?.0,
    })
}

fn vectorizer(value: &Value) -> Option<Vectorizer> {
    Some(Vectorizer {
        bin_width: value["bin_width"].as_f64()?,
        dimension: usize::try_from(value["dimension"].as_u64()?).ok()?,
        seed: u32::try_from(value["seed"].as_u64()?).ok()?,
        losses: match &value["losses"] {
            Value::String(name) if name == "off" => Losses::Off,
            Value::String(name) if name == "shared" => Losses::Shared,
            own => Losses::Appended(usize::try_from(own.as_u64()?).ok()?),
        },
    })
}
