//! Factory strings, as FAISS users type them.

use std::{fmt, str::FromStr};

use crate::{
    Error, Result, Transform,
    transform::{Method, Pca},
};

/// What a factory string asks for: a transform if any, inverted lists if any, and what is kept of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factory {
    /// The id map in front of it, and whether FAISS keeps the way back.
    pub id_map: Option<bool>,
    pub transform: Option<Front>,
    pub nlist: Option<usize>,
    /// M and bits a code; none for vectors as they are.
    pub codes: Option<(usize, usize)>,
}

/// A transform in front of an index, and the dimension that comes out, if it is not that of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Opq(usize, Option<usize>),
    Pca(Pca, usize),
    RandomRotation(Option<usize>),
}

const EXPECTED: &str = "one of Flat, PQ<M>, PQ<M>x<bits>, IVF<nlist>,Flat, IVF<nlist>,PQ<M>, IVF<nlist>,PQ<M>x<bits>, with one of \
                        OPQ<M>, OPQ<M>_<d>, PCA<d>, PCAR<d>, PCAW<d>, PCAWR<d>, RR, RR<d> and a comma before it or without";

impl FromStr for Factory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::parameter("index", format!("\"{text}\""), EXPECTED);
        let (mut id_map, mut transform, mut rest) = (None, None, text);
        while let Some((first, after)) = rest.split_once(',') {
            match first {
                "IDMap" | "IDMap2" if id_map.is_none() => id_map = Some(first == "IDMap2"),
                _ if transform.is_none() => match front(first) {
                    Some(front) => transform = Some(front),
                    None => break,
                },
                _ => break,
            }
            rest = after;
        }
        let (nlist, last) = match rest.strip_prefix("IVF") {
            Some(rest) => {
                let (nlist, last) = rest.split_once(',').ok_or_else(unknown)?;
                (Some(number(nlist).ok_or_else(unknown)?), last)
            }
            None => (None, rest),
        };
        let codes = match last.strip_prefix("PQ") {
            None if last == "Flat" => None,
            None => return Err(unknown()),
            Some(sizes) => {
                let (m, nbits) = sizes.split_once('x').unwrap_or((sizes, "8"));
                Some((number(m).ok_or_else(unknown)?, number(nbits).ok_or_else(unknown)?))
            }
        };
        Ok(Factory { id_map, transform, nlist, codes })
    }
}

/// A transform by its name.
fn front(text: &str) -> Option<Front> {
    if let Some(sizes) = text.strip_prefix("OPQ") {
        return match sizes.split_once('_') {
            Some((m, output)) => Some(Front::Opq(number(m)?, Some(number(output)?))),
            None => Some(Front::Opq(number(sizes)?, None)),
        };
    }
    if let Some(rest) = text.strip_prefix("PCA") {
        let (whiten, rest) = rest.strip_prefix('W').map_or((false, rest), |rest| (true, rest));
        let (rotate, rest) = rest.strip_prefix('R').map_or((false, rest), |rest| (true, rest));
        return Some(Front::Pca(Pca { whiten, rotate }, number(rest)?));
    }
    match text.strip_prefix("RR")? {
        "" => Some(Front::RandomRotation(None)),
        output => Some(Front::RandomRotation(Some(number(output)?))),
    }
}

/// A whole number written in digits alone.
fn number(text: &str) -> Option<usize> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl Front {
    /// The transform of vectors of that dimension.
    pub(super) fn transform(self, dimension: usize) -> Result<Transform> {
        match self {
            Front::Opq(m, output) => Transform::opq(dimension, output.unwrap_or(dimension), m),
            Front::Pca(pca, output) => Transform::pca(dimension, output, pca),
            Front::RandomRotation(output) => Transform::random_rotation(dimension, output.unwrap_or(dimension)),
        }
    }

    /// What asks for such a transform, in front of codes of `m` sub-quantizers: files do not tell OPQ from other maps, which
    /// nothing asks for.
    pub(super) fn of(transform: &Transform, m: Option<usize>) -> Option<Self> {
        let output = transform.output_dimension();
        let other = (output != transform.dimension()).then_some(output);
        match transform.method() {
            Method::Opq { m } => Some(Front::Opq(m, other)),
            Method::Given => m.map(|m| Front::Opq(m, other)),
            Method::Pca(form) => Some(Front::Pca(Pca { whiten: form.eigen_power != 0.0, rotate: form.rotate }, output)),
            Method::RandomRotation => Some(Front::RandomRotation(other)),
        }
    }
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Front::Opq(m, None) => write!(f, "OPQ{m}"),
            Front::Opq(m, Some(output)) => write!(f, "OPQ{m}_{output}"),
            Front::Pca(Pca { whiten, rotate }, output) => {
                write!(f, "PCA{}{}{output}", if *whiten { "W" } else { "" }, if *rotate { "R" } else { "" })
            }
            Front::RandomRotation(None) => write!(f, "RR"),
            Front::RandomRotation(Some(output)) => write!(f, "RR{output}"),
        }
    }
}

impl fmt::Display for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(two_way) = self.id_map {
            f.write_str(if two_way { "IDMap2," } else { "IDMap," })?;
        }
        if let Some(transform) = self.transform {
            write!(f, "{transform},")?;
        }
        if let Some(nlist) = self.nlist {
            write!(f, "IVF{nlist},")?;
        }
        match self.codes {
            None => f.write_str("Flat"),
            Some((m, 8)) => write!(f, "PQ{m}"),
            Some((m, nbits)) => write!(f, "PQ{m}x{nbits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Factory;

    #[test]
    fn known_strings_come_back() {
        let plain = ["Flat", "PQ8", "PQ8x4", "IVF1024,Flat", "IVF16,PQ4", "IVF16,PQ4x6"];
        let behind =
            ["OPQ8,PQ8", "OPQ8_32,IVF4,PQ8x4", "PCA9,Flat", "PCAWR9,PQ3", "PCAR8,Flat", "PCAW8,Flat", "RR,PQ4"];
        let mapped = ["IDMap,PQ8", "IDMap2,IVF16,Flat", "IDMap,RR24,Flat"];
        for text in plain.iter().chain(&behind).chain(&mapped) {
            assert_eq!(text.parse::<Factory>().unwrap().to_string(), *text);
        }
        assert_eq!("PCA8,IDMap,PQ8x8".parse::<Factory>().unwrap().to_string(), "IDMap,PCA8,PQ8");
    }

    #[test]
    fn unknown_strings_are_errors() {
        let plain =
            ["", "flat", "PQ", "PQx4", "PQ8x", "IVF,Flat", "IVF16", "IVF16,", "IVF+1,Flat", "HNSW32", "PQ8x4fs"];
        let behind =
            ["OPQ,PQ8", "OPQ8_,PQ8", "OPQ8", "PCA,Flat", "PCARW8,Flat", "RRx,Flat", "PCA8,OPQ8,PQ8", "IVF4,PCA8,Flat"];
        for text in plain.iter().chain(&behind).chain(&["IDMap,IDMap,Flat"]) {
            assert!(text.parse::<Factory>().is_err(), "{text}");
        }
    }
}
