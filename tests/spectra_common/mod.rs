//! What tests of spectra share.

#[cfg(feature = "cli")]
#[allow(dead_code)]
pub mod folder;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use cellprobe::{
    Result,
    spectra::{Flaw, Peak, Reader, Rejected, Spectrum},
};

/// Everything that a reader gives, with none lost and none counted twice.
#[allow(dead_code)]
pub fn all<P>(mut reader: Reader<P>) -> (Vec<Spectrum>, Rejected)
where
    Reader<P>: Iterator<Item = Result<Spectrum>>,
{
    let spectra: Vec<_> = reader.by_ref().collect::<Result<_, _>>().expect("reading from memory cannot fail");
    assert_eq!(reader.blocks(), spectra.len() + reader.rejected().total());
    (spectra, reader.into_rejected())
}

#[allow(dead_code)]
pub fn peaks(spectrum: &Spectrum) -> Vec<(f64, f32)> {
    spectrum.peaks.iter().map(|&Peak { mz, intensity }| (mz, intensity)).collect()
}

#[allow(dead_code)]
pub fn flaws(rejected: &Rejected) -> Vec<(Flaw, usize)> {
    rejected.flaws.iter().map(|(&flaw, &count)| (flaw, count)).collect()
}

/// The folder of test data, or nothing after saying that the test was skipped.
#[allow(dead_code)]
pub fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CELLPROBE_TEST_DATA");
    if folder.is_none() {
        // Unlike eprintln!, this is shown for tests that pass.
        let mut shown = std::io::stderr();
        writeln!(shown, "SKIPPED: CELLPROBE_TEST_DATA does not name the folder of test data").unwrap();
    }
    folder.map(|folder| Path::new(&folder).join("spectra"))
}
