//! Which format a file is in, and one reader for all of them.

use std::{
    fmt,
    io::{self, BufRead, Read},
    path::Path,
    sync::Arc,
};

use super::{
    Spectrum,
    massbank::MassBank,
    mgf::Mgf,
    msp::Msp,
    mzml::Mzml,
    mzspeclib::MzSpecLib,
    mzxml::Mzxml,
    reader::{OverText, Parser, Reader, Tally},
    text::{self, BoxedReader},
};
use crate::{Error, Result};

/// How much of a file is looked at to find its format.
const LOOKED_AT: u64 = 1 << 16;

/// A format of files of spectra.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Mascot generic format, see [`MgfReader`](super::MgfReader).
    Mgf,
    /// NIST's text format, see [`MspReader`](super::MspReader).
    Msp,
    /// mzML, see [`MzmlReader`](super::MzmlReader).
    Mzml,
    /// mzXML, see [`MzxmlReader`](super::MzxmlReader).
    Mzxml,
    /// `MassBank` records, see [`MassBankReader`](super::MassBankReader).
    MassBank,
    /// The text form of mzSpecLib, see [`MzSpecLibReader`](super::MzSpecLibReader).
    MzSpecLib,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Mgf => "MGF",
            Format::Msp => "MSP",
            Format::Mzml => "mzML",
            Format::Mzxml => "mzXML",
            Format::MassBank => "MassBank record",
            Format::MzSpecLib => "mzSpecLib",
        })
    }
}

impl Format {
    /// The format that a file's extension stands for, one of compression left aside; the case does not matter.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let extensions = [
            (".mgf", Format::Mgf),
            (".msp", Format::Msp),
            (".mzml", Format::Mzml),
            (".mzxml", Format::Mzxml),
            (".mzlb.txt", Format::MzSpecLib),
            (".mzspeclib", Format::MzSpecLib),
            (".mzspeclib.txt", Format::MzSpecLib),
            (".txt", Format::MassBank),
        ];
        extensions.into_iter().find(|(extension, _)| name.ends_with(extension)).map(|(_, format)| format)
    }

    /// The format of a file by its contents; `None` if they are of none that is known.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened or read, [`Error::Format`] (in [`Error::File`]) if it is corrupt gzip.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        let (mut reader, _) = text::open(path)?;
        Ok(Format::of_start(&String::from_utf8_lossy(&look_at(&mut reader, path)?)))
    }

    /// The format of a file that begins so; `None` if it says nothing, or nothing that is known.
    fn of_start(start: &str) -> Option<Self> {
        let start = start.replace('\r', "\n");
        let xml = start.trim_start_matches('\u{feff}').trim_start().starts_with('<');
        if xml && ["<mzML", "<indexedmzML"].iter().any(|tag| start.contains(tag)) {
            return Some(Format::Mzml);
        }
        if xml && start.contains("<mzXML") {
            return Some(Format::Mzxml);
        }
        if xml && start.contains("<mzSpecLib") {
            return Some(Format::MzSpecLib);
        }
        for line in start.trim_start_matches('\u{feff}').lines().map(str::trim) {
            let name = line.split_once(':').map(|(name, _)| name.replace([' ', '_'], "").to_ascii_lowercase());
            match name.as_deref() {
                _ if line.eq_ignore_ascii_case("BEGIN IONS") => return Some(Format::Mgf),
                Some("accession") if start.contains("\nCH$") || start.contains("\nPK$") => {
                    return Some(Format::MassBank);
                }
                Some("name" | "numpeaks") => return Some(Format::Msp),
                _ => {}
            }
        }
        None
    }
}

/// Reads the spectra of a file in any format that is known: its contents decide, and its extension where they say
/// nothing.
///
/// ```
/// use cellprobe::spectra::{Format, SpectrumReader};
///
/// # fn main() -> cellprobe::Result<()> {
/// let mut reader = SpectrumReader::open("examples/data/dbgi/20220513_PMA_DBGI_01_04_001.mgf")?;
/// assert_eq!(reader.format(), Format::Mgf);
/// for spectrum in reader.by_ref() {
///     let spectrum = spectrum?;
///     assert!(!spectrum.peaks.is_empty());
/// }
/// assert_eq!((reader.blocks(), reader.rejected().total()), (139, 0));
/// # Ok(())
/// # }
/// ```
pub type SpectrumReader = Reader<AnyFormat>;

/// The format of [`SpectrumReader`]: one of them all.
pub struct AnyFormat {
    format: Format,
    parser: Box<dyn Parser + Send>,
    file: Arc<Path>,
}

impl Reader<AnyFormat> {
    /// Opens a file, plain or gzipped.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened or read, [`Error::Format`] (in [`Error::File`]) if it is corrupt gzip or of
    /// no format that is known.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (reader, progress) = text::open(path)?;
        Ok(Reader::with(AnyFormat::of(reader, path.into())?, progress))
    }

    /// Reads uncompressed text; `file` is the name that spectra and errors bear.
    ///
    /// # Errors
    /// As for [`SpectrumReader::open`].
    pub fn new(text: impl BufRead + Send + 'static, file: impl AsRef<Path>) -> Result<Self> {
        Ok(Reader::with(AnyFormat::of(Box::new(text), file.as_ref().into())?, text::Progress::default()))
    }

    /// The format that was found.
    #[must_use]
    pub fn format(&self) -> Format {
        self.parser.format
    }
}

impl AnyFormat {
    fn of(mut reader: BoxedReader, file: Arc<Path>) -> Result<Self> {
        let start = look_at(&mut reader, &file)?;
        let by_start = Format::of_start(&String::from_utf8_lossy(&start));
        let blank = is_blank(&start);
        // XML names its format in its first element.
        let possible = |format: &Format| blank || !matches!(format, Format::Mzml | Format::Mzxml);
        let by_name = || Format::of_name(&file).filter(possible);
        let format = by_start.or_else(by_name).or(blank.then_some(Format::Mgf));
        let Some(format) = format else {
            let message = "this is none of MGF, MSP, mzML, mzXML, MassBank record and mzSpecLib".to_owned();
            return Err(Error::Format { offset: 0, message }.in_file(&*file));
        };
        let whole: BoxedReader = Box::new(io::Cursor::new(start).chain(reader));
        let parser: Box<dyn Parser + Send> = match format {
            Format::Mgf => Box::new(Mgf::over(whole, Arc::clone(&file))),
            Format::Msp => Box::new(Msp::over(whole, Arc::clone(&file))),
            Format::Mzml => Box::new(Mzml::over(whole, Arc::clone(&file))),
            Format::Mzxml => Box::new(Mzxml::over(whole, Arc::clone(&file))),
            Format::MassBank => Box::new(MassBank::over(whole, Arc::clone(&file))),
            Format::MzSpecLib => Box::new(MzSpecLib::over(whole, Arc::clone(&file))),
        };
        Ok(AnyFormat { format, parser, file })
    }
}

/// The beginning of a text.
fn look_at(reader: &mut BoxedReader, file: &Path) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    let looked = reader.take(LOOKED_AT).read_to_end(&mut start);
    looked.map_err(|error| text::failure(file, start.len() as u64, error))?;
    Ok(start)
}

/// Whether there is nothing but comments.
fn is_blank(start: &[u8]) -> bool {
    start.split(|byte| matches!(byte, b'\n' | b'\r')).all(|line| matches!(line.trim_ascii().first(), None | Some(b'#')))
}

impl Parser for AnyFormat {
    fn read(&mut self, tally: &mut Tally) -> Result<Option<Spectrum>> {
        let spectrum = self.parser.read(tally)?;
        if spectrum.is_none() && tally.begun == 0 && !tally.rejected.flaws.is_empty() {
            let message = format!("no spectrum: this is not an {} file", self.format);
            return Err(Error::Format { offset: 0, message }.in_file(&*self.file));
        }
        Ok(spectrum)
    }
}

impl fmt::Debug for AnyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyFormat").field("format", &self.format).field("file", &self.file).finish_non_exhaustive()
    }
}
