//! Libraries as files: a FAISS index, and beside it the spectra with how they were cleaned and made vectors of.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use serde_json::{Value, json};

use super::{Library, checksum::checksum, library::Vectors};
use crate::{
    Error, Result,
    spectra::{Cleaning, Losses, Spectrum, Vectorizer, read_files, write_mgf},
    storage::{
        check_new,
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

/// Writes a library: the index as a FAISS file, the spectra beside it ([`sidecar`]). Each appears whole or not at all, and
/// neither where one exists that may not be overwritten.
///
/// # Errors
/// [`Error::Empty`] for a library without an index; [`Error::Io`] for files that cannot be written, and for those that
/// exist unless `overwrite`.
pub fn write_library(library: &Library, path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
    let path = path.as_ref();
    let index = library.index.as_ref().ok_or(Error::Empty { what: "the index of the library" })?;
    let beside = sidecar(path);
    [path, &beside].into_iter().try_for_each(|path| check_new(path, overwrite))?;
    let header = header(library, index);
    write_whole(&beside, overwrite, |out| {
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
    let vectors = vectors(&header["vectors"]).ok_or_else(|| malformed("how vectors are made cannot be read"))?;
    let (spectra, rejected) = read_files(&[&beside])?;
    if rejected.total() > 0 || header["spectra"].as_u64() != Some(spectra.len() as u64) {
        return Err(malformed("spectra are missing"));
    }
    let index = faiss::read_file(path)?;
    let device = header["device"].as_str().map(str::to_owned);
    let library = Library { spectra, cleaning, vectors, index: None, device };
    check(&index, &library).map_err(|error| error.in_file(path))?;
    // Of older libraries it is not known.
    if header["index"].as_u64().is_some_and(|sum| sum != u64::from(checksum(&index))) {
        return Err(malformed(&format!("these are not the spectra of {}", path.display())));
    }
    Ok(Library { index: Some(index), ..library })
}

fn check(index: &Stored, library: &Library) -> Result<()> {
    let header = index.header();
    let spectra = library.spectra.len();
    if header.ntotal != spectra {
        return Err(Error::Length { what: "spectra of the library", expected: header.ntotal, found: spectra });
    }
    if header.dimension != library.vector_length() {
        let (expected, found) = (library.vector_length(), header.dimension);
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

fn header(library: &Library, index: &Stored) -> Value {
    let Cleaning { mz_range, precursor_window, min_relative_intensity, max_peaks, min_peaks, min_span, scaling } =
        library.cleaning.clone();
    let vectors = match library.vectors {
        Vectors::Elsewhere { length, .. } => json!({ "elsewhere": length }),
        Vectors::Hashed(Vectorizer { bin_width, dimension, seed, losses }) => json!({
            "bin_width": bin_width,
            "dimension": dimension,
            "seed": seed,
            "losses": match losses {
                Losses::Appended(own) => json!(own),
                losses => json!(losses.to_string()),
            },
        }),
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": library.device,
        "spectra": library.spectra.len(),
        "index": checksum(index),
        "cleaning": {
            "mz_range": mz_range.map(|(low, high)| [low, high]),
            "precursor_window": precursor_window,
            "min_relative_intensity": min_relative_intensity,
            "max_peaks": max_peaks,
            "min_peaks": min_peaks,
            "min_span": min_span,
            "scaling": scaling.to_string(),
        },
        "vectors": vectors,
    })
}

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
    Some(Cleaning {
        mz_range,
        precursor_window: optional("precursor_window")?,
        min_relative_intensity: value["min_relative_intensity"].as_f64()? as f32,
        max_peaks: optional("max_peaks")?.map(|most| most as usize),
        min_peaks: usize::try_from(value["min_peaks"].as_u64()?).ok()?,
        min_span: value["min_span"].as_f64()?,
        scaling: value["scaling"].as_str()?.parse().ok()?,
    })
}

fn vectors(value: &Value) -> Option<Vectors> {
    if let Some(length) = value["elsewhere"].as_u64() {
        return Some(Vectors::Elsewhere { length: usize::try_from(length).ok()?, rows: None });
    }
    Some(Vectors::Hashed(Vectorizer {
        bin_width: value["bin_width"].as_f64()?,
        dimension: usize::try_from(value["dimension"].as_u64()?).ok()?,
        seed: u32::try_from(value["seed"].as_u64()?).ok()?,
        losses: match &value["losses"] {
            Value::String(name) => name.parse().ok()?,
            own => Losses::Appended(usize::try_from(own.as_u64()?).ok()?),
        },
    }))
}
