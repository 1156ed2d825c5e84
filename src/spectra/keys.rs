//! The many names of fields, and the one under which each is kept.

/// What a field is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Precursor,
    Charge,
    Polarity,
    /// A retention time that is always in seconds.
    Seconds,
    /// A retention time in its own unit, or that of the format.
    Time,
    MsLevel,
    /// An MS level, or something else that `Spectrum_type` says.
    SpectrumType,
    PeakCount,
    /// A field that is kept under this name.
    Named(&'static str),
    Other,
}

/// What a field is about by its name, whose case, spaces and punctuation do not matter.
pub(super) fn key(name: &str) -> Key {
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    let plain = String::from_utf8(letters.collect()).unwrap_or_default();
    match plain.as_str() {
        "pepmass"
        | "precursormz"
        | "precursor"
        | "parentmz"
        | "parent"
        | "selectedionmz"
        | "experimentalprecursormonoisotopicmz" => Key::Precursor,
        "charge" | "precursorcharge" | "chargestate" => Key::Charge,
        "ionmode" | "ionizationmode" | "ionisationmode" | "polarity" | "scanpolarity" => Key::Polarity,
        "rtinseconds" => Key::Seconds,
        "retentiontime" | "rt" | "rettime" | "scanstarttime" => Key::Time,
        "mslevel" | "mstype" => Key::MsLevel,
        "spectrumtype" => Key::SpectrumType,
        "numpeaks" | "numpeak" | "numberofpeaks" => Key::PeakCount,
        "name" | "compoundname" | "chname" | "spectrumname" | "libraryspectrumname" => Key::Named("NAME"),
        "synon" | "synonym" | "synonyms" => Key::Named("SYNONYM"),
        "adduct" | "precursortype" | "iontype" | "adduction" | "adductionformula" => Key::Named("ADDUCT"),
        "inchikey" | "stdinchikey" => Key::Named("INCHIKEY"),
        "inchi" | "stdinchi" | "iupac" => Key::Named("INCHI"),
        "smiles" | "smilesformula" => Key::Named("SMILES"),
        "formula" | "molecularformula" | "chemicalformula" => Key::Named("FORMULA"),
        "exactmass" => Key::Named("EXACTMASS"),
        "instrumenttype" | "sourceinstrument" => Key::Named("INSTRUMENT_TYPE"),
        "collisionenergy" => Key::Named("COLLISION_ENERGY"),
        "fragmentationmode" | "dissociationmethod" => Key::Named("FRAGMENTATION"),
        "retentionindex" | "ri" => Key::Named("RETENTION_INDEX"),
        "strippedpeptidesequence" | "unmodifiedpeptidesequence" => Key::Named("SEQ"),
        "comment" | "comments" => Key::Named("COMMENT"),
        "db" | "accession" | "spectrumid" => Key::Named("SPECTRUMID"),
        _ => Key::Other,
    }
}

/// What files write where they know nothing.
pub(super) fn is_unknown(value: &str) -> bool {
    value.is_empty() || ["N/A", "NA", "null", "none"].iter().any(|word| value.eq_ignore_ascii_case(word))
}
