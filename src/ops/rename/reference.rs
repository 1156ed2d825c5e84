//! Candidates under other names, the plainest way.

use crate::ops::Ranked;

/// Candidate `id` as `names[id]`; one without a name as it is.
#[must_use]
pub fn rename(candidates: &[Ranked], names: &[u32]) -> Vec<Ranked> {
    let named = |candidate: &Ranked| match names.get(candidate.id() as usize) {
        Some(&name) if !candidate.is_none() => Ranked::new(candidate.distance(), name),
        _ => *candidate,
    };
    candidates.iter().map(named).collect()
}
