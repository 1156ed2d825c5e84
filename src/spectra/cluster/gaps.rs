//! Cutting ascending numbers where they lie farthest apart.

use std::ops::Range;

/// Cuts ascending `values` at the widest gap, the first of equal ones, again and again until each part `fits` or holds
/// equal values only. The parts are given in ascending order. Equal values stay together.
pub(super) fn cut(values: &[f64], fits: impl Fn(Range<usize>) -> bool) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut rest = vec![0..values.len()];
    while let Some(part) = rest.pop() {
        let inside = &values[part.clone()];
        match widest(inside).filter(|_| !fits(part.clone())) {
            Some(gap) => rest.extend([part.start + gap..part.end, part.start..part.start + gap]),
            None => parts.push(part),
        }
    }
    parts
}

/// Where the widest gap ends; `None` if there is none.
fn widest(values: &[f64]) -> Option<usize> {
    let mut found = (None, 0.0);
    for (place, pair) in values.windows(2).enumerate() {
        if pair[1] - pair[0] > found.1 {
            found = (Some(place + 1), pair[1] - pair[0]);
        }
    }
    found.0
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn widest_gaps_first_and_equal_values_together() {
        let values = [1.0, 1.5, 2.2, 2.4, 9.0];
        assert_eq!(cut(&values, |part| values[part.end - 1] - values[part.start] <= 1.0), [0..2, 2..4, 4..5]);
        assert_eq!(cut(&[3.0; 4], |_| false), [0..4]);
        assert_eq!(cut(&[1.0, 1.0, 2.0], |_| false), [0..2, 2..3]);
    }
}
