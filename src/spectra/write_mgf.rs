//! Mascot generic format (MGF), written.

use std::io::{self, Write};

use super::Spectrum;

/// Writes a spectrum as MGF that [`MgfReader`](super::MgfReader) reads back as it is.
///
/// m/z and intensities are written with as many digits as tell them from any other number. Line ends within values
/// become spaces.
///
/// # Errors
/// Those of the writer.
pub fn write_mgf(out: &mut impl Write, spectrum: &Spectrum) -> io::Result<()> {
    writeln!(out, "BEGIN IONS")?;
    for (key, value) in &spectrum.fields {
        let value = value.replace(['\r', '\n'], " ");
        writeln!(out, "{key}={}", value.trim())?;
    }
    if let Some(mz) = spectrum.precursor_mz {
        writeln!(out, "PEPMASS={mz}")?;
    }
    if !spectrum.charges.is_empty() {
        let charges = spectrum.charges.iter().map(|charge| {
            let sign = if *charge < 0 { '-' } else { '+' };
            format!("{}{sign}", charge.unsigned_abs())
        });
        writeln!(out, "CHARGE={}", charges.collect::<Vec<_>>().join(" and "))?;
    }
    if let Some(polarity) = spectrum.polarity {
        writeln!(out, "IONMODE={polarity}")?;
    }
    if let Some(time) = spectrum.retention_time {
        writeln!(out, "RTINSECONDS={time}")?;
    }
    if let Some(level) = spectrum.ms_level {
        writeln!(out, "MSLEVEL={level}")?;
    }
    for peak in &spectrum.peaks {
        writeln!(out, "{} {}", peak.mz, peak.intensity)?;
    }
    writeln!(out, "END IONS\n")
}
