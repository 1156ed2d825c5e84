//! How wrong a result is.

use crate::{
    Metric,
    ops::{Ranked, reference::Codewords},
};

/// The rounding error of one f32 operation, relative to its result.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// What summing `terms` in f32 may cost: n 2^-24 Σ|term|. Above zero, since tiny numbers may be flushed to it.
pub(super) fn rounding(terms: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = terms.fold((0.0, 0.0), |(count, sum), term| (count + 1.0, sum + term.abs()));
    count * (UNIT * sum + f64::from(f32::MIN_POSITIVE))
}

/// What computing the distance of two vectors may cost.
pub(super) fn distance_rounding(a: &[f32], b: &[f32], metric: Metric) -> f64 {
    let pairs = a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    match metric {
        Metric::L2 => rounding(pairs.map(|(a, b)| (a - b) * (a - b))),
        Metric::InnerProduct | Metric::Cosine => rounding(pairs.map(|(a, b)| a * b)),
    }
}

/// The largest of errors; infinite if one of them is not a number.
pub(super) fn worst(errors: impl Iterator<Item = f64>) -> f64 {
    errors.fold(0.0, |worst, error| if error.is_nan() { f64::INFINITY } else { error.max(worst) })
}

/// How many elements are not as expected; infinite if there are more or fewer.
pub(super) fn unequal<T: PartialEq>(found: &[T], expected: &[T]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    found.iter().zip(expected).filter(|(found, expected)| found != expected).count() as f64
}

/// The largest error of `found`, each relative to its bound; infinite if there are more or fewer than expected.
pub(super) fn numbers(found: &[f32], expected: &[f64], bounds: &[f64]) -> f64 {
    if found.len() != expected.len() || bounds.len() != expected.len() {
        return f64::INFINITY;
    }
    let pairs = found.iter().zip(expected).zip(bounds);
    worst(pairs.map(|((&found, expected), bound)| (f64::from(found) - expected).abs() / bound))
}

/// How many of the `k` neighbours of each query are not the first of `ranked`, to the bit.
pub(super) fn unequal_neighbors(found: &[Ranked], k: usize, ranked: &[Vec<(u32, f64)>]) -> f64 {
    let padding = std::iter::repeat((Ranked::NONE, 0.0));
    let expected: Vec<Ranked> = ranked
        .iter()
        .flat_map(|ranked| {
            let ranked = ranked.iter().map(|&(id, distance)| (Ranked::new(distance as f32, id), distance));
            ranked.chain(padding.clone()).take(k)
        })
        .map(|(neighbor, _)| neighbor)
        .collect();
    unequal(found, &expected)
}

/// The largest error of the `k` neighbours found for each query. `ranked` has all that could be found, nearest first,
/// with their distances in f64, and `bound` is what computing the distance of a query to one of them may cost.
///
/// Two errors count: that of the distance given, and how much farther (in f64) the row of some rank is than the row
/// of this rank should be, relative to the bounds of those that may have changed places. It is infinite if there are more
/// or fewer than there should be, one that could not be found, one twice, or if they are not in order.
pub(super) fn neighbors(
    found: &[Ranked],
    k: usize,
    ranked: &[Vec<(u32, f64)>],
    bound: impl Fn(usize, u32) -> f64,
) -> f64 {
    if found.len() != ranked.len() * k {
        return f64::INFINITY;
    }
    let queries = found.chunks(k.max(1)).zip(ranked).enumerate();
    worst(queries.map(|(query, (found, ranked))| row_error(found, ranked, |id| bound(query, id))))
}

fn row_error(found: &[Ranked], ranked: &[(u32, f64)], bound: impl Fn(u32) -> f64) -> f64 {
    let count = ranked.len().min(found.len());
    let (hits, padding) = found.split_at(count);
    if !padding.iter().all(|hit| hit.is_none()) || !hits.is_sorted_by(|a, b| a < b) {
        return f64::INFINITY;
    }
    let mut seen = std::collections::HashSet::new();
    let known: Option<Vec<f64>> = hits
        .iter()
        .map(|hit| {
            let (_, distance) = ranked.iter().find(|(id, _)| !hit.is_none() && *id == hit.id())?;
            seen.insert(hit.id()).then_some(*distance)
        })
        .collect();
    let Some(known) = known else { return f64::INFINITY };
    let given = hits.iter().zip(&known).map(|(hit, known)| (f64::from(hit.distance()) - known).abs() / bound(hit.id()));
    let ids = hits.iter().map(|hit| hit.id()).chain(ranked[..count].iter().map(|(id, _)| *id));
    let exchanged = 2.0 * worst(ids.map(&bound));
    let places = known.iter().zip(ranked).map(|(known, (_, expected))| (known - expected).abs() / exchanged);
    worst(given).max(worst(places))
}

/// The largest error of codes: how much farther than the closest the chosen centroids are, relative to twice the bound.
/// `distance` gives the distance of a row's subvector to a centroid (row, sub-quantizer, code) and its bound. It is
/// infinite if there are more or fewer codes than `rows`, or if bits that no sub-quantizer uses are set.
pub(super) fn codes(
    found: &[u32],
    rows: usize,
    codebook: &Codewords<'_>,
    distance: impl Fn(usize, usize, usize) -> (f64, f64),
) -> f64 {
    if found.len() != rows * codebook.words() {
        return f64::INFINITY;
    }
    let code_error = |(row, code): (usize, &[u32])| {
        let numbers = codebook.unpack(code);
        if codebook.pack(&numbers) != code {
            return f64::INFINITY;
        }
        worst(numbers.iter().enumerate().map(|(sub, &chosen)| {
            let (chosen, bound) = distance(row, sub, chosen);
            let all = (0..1 << codebook.nbits).map(|code| distance(row, sub, code).0);
            (chosen - all.fold(f64::INFINITY, f64::min)) / (2.0 * bound)
        }))
    };
    worst(found.chunks(codebook.words()).enumerate().map(code_error))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "counts are whole numbers")]
mod tests {
    use super::*;
    use crate::verify::ROUNDING;

    const RANKED: [(u32, f64); 4] = [(7, 1.0), (2, 2.0), (9, 2.5), (4, 8.0)];

    fn hits(hits: &[(u32, f32)]) -> Vec<Ranked> {
        hits.iter().map(|&(id, distance)| Ranked::new(distance, id)).collect()
    }

    fn error(found: &[Ranked]) -> f64 {
        let k = found.len();
        neighbors(found, k, &[RANKED.to_vec()], |_, _| 1e-7)
    }

    #[test]
    fn right_neighbors_pass() {
        assert!(error(&hits(&[(7, 1.0), (2, 2.0), (9, 2.5)])) <= ROUNDING);
        assert!(error(&hits(&[(7, 1.000_000_1), (2, 2.0)])) <= ROUNDING);
        let mut padded = hits(&[(7, 1.0), (2, 2.0), (9, 2.5), (4, 8.0)]);
        padded.push(Ranked::NONE);
        assert!(error(&padded) <= ROUNDING);
    }

    #[test]
    fn wrong_neighbors_are_flagged() {
        let swapped = hits(&[(2, 1.0), (7, 2.0)]);
        let farther = hits(&[(7, 1.0), (4, 8.0)]);
        let inexact = hits(&[(7, 1.0), (2, 2.001)]);
        let unsorted = hits(&[(2, 2.0), (7, 1.0)]);
        let twice = hits(&[(7, 1.0), (7, 1.0)]);
        let unknown = hits(&[(7, 1.0), (3, 2.0)]);
        let missing = vec![Ranked::new(1.0, 7), Ranked::NONE];
        let mut invented = hits(&RANKED.map(|(id, distance)| (id, distance as f32)));
        invented.push(Ranked::new(9.0, 5));
        for found in [swapped, farther, inexact, unsorted, twice, unknown, missing, invented] {
            assert!(error(&found) > ROUNDING, "{found:?}");
        }
        assert!(neighbors(&[], 2, &[RANKED.to_vec()], |_, _| 1e-7).is_infinite());
    }

    #[test]
    fn neighbors_that_must_be_equal_are_compared_to_the_bit() {
        let ranked = [vec![(3, 1.0), (5, 1.0)], vec![(1, 4.0)]];
        let mut found = hits(&[(3, 1.0), (5, 1.0), (1, 4.0)]);
        found.push(Ranked::NONE);
        assert_eq!(unequal_neighbors(&found, 2, &ranked), 0.0);
        found.swap(0, 1);
        assert_eq!(unequal_neighbors(&found, 2, &ranked), 2.0);
        found.pop();
        assert!(unequal_neighbors(&found, 2, &ranked).is_infinite());
    }

    #[test]
    fn wrong_numbers_are_flagged() {
        let error = |found: &[f32]| numbers(found, &[1.0, -2.0], &[1e-7, 1e-7]);
        assert!(error(&[1.0, -2.0]) <= ROUNDING);
        for found in [&[1.0, 2.0][..], &[1.0, f32::NAN], &[1.0], &[1.000_1, -2.0]] {
            assert!(error(found) > ROUNDING, "{found:?}");
        }
        assert_eq!(unequal(&[1, 2, 3], &[1, 3, 3]), 1.0);
        assert!(unequal(&[1, 2], &[1]).is_infinite());
    }

    #[test]
    fn wrong_codes_are_flagged() {
        let centroids: Vec<f32> = (0..32).map(|value| (value % 16) as f32).collect();
        let codebook = Codewords { centroids: &centroids, m: 2, nbits: 4 };
        let distance = |_, _, code: usize| ((code as f64 - 6.2).powi(2), 1e-7);
        assert!(codes(&[0x66], 1, &codebook, distance) <= ROUNDING);
        assert!(codes(&[0x67], 1, &codebook, distance) > ROUNDING);
        assert!(codes(&[0x1_0066], 1, &codebook, distance).is_infinite());
        assert!(codes(&[0x66], 2, &codebook, distance).is_infinite());
    }
}
