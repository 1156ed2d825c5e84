//! Long work on many rows, step by step: who is told of each, and who may cancel it.

use std::{fmt, ops::Range, time::Instant};

use crate::{Result, device::Cancel};

/// Seconds that a step should take where somebody watches: often enough to be told, seldom enough to cost nothing.
const SHORTEST: f64 = 0.1;
const LONGEST: f64 = 0.4;

/// Who watches work on rows.
#[derive(Clone, Copy, Default)]
pub(super) struct Watch<'a> {
    /// Told how many rows are done, of how many.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Send + Sync)>,
    pub cancel: Option<&'a Cancel>,
}

impl Watch<'_> {
    /// Fails once the work was cancelled.
    pub(super) fn check(&self) -> Result<()> {
        self.cancel.map_or(Ok(()), Cancel::check)
    }

    pub(super) fn is_watched(&self) -> bool {
        self.progress.is_some() || self.cancel.is_some()
    }

    pub(super) fn tell(&self, done: usize, of: usize) {
        if let Some(progress) = self.progress {
            progress(done, of);
        }
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch(progress: {}, cancel: {:?})", self.progress.is_some(), self.cancel)
    }
}

/// Cuts rows into steps: as long as they may be, or, if somebody watches, so that each takes some tenths of a second.
pub(super) struct Steps {
    rows: usize,
    done: usize,
    least: usize,
    most: usize,
    /// Rows of the next step.
    size: usize,
    /// When the last step began, if that matters.
    begun: Option<Instant>,
    timed: bool,
}

impl Steps {
    /// Steps over `rows` rows, of at most `most`, and of at least `least` if there are as many left.
    pub(super) fn new(rows: usize, least: usize, most: usize, watch: &Watch<'_>) -> Self {
        // In a browser there is no such clock.
        let timed = watch.is_watched() && cfg!(not(target_arch = "wasm32"));
        let most = most.max(1);
        let least = least.clamp(1, most);
        Steps { rows, done: 0, least, most, size: if timed { least } else { most }, begun: None, timed }
    }
}

impl Iterator for Steps {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let left = self.rows - self.done;
        if left == 0 {
            return None;
        }
        if self.timed {
            let took = self.begun.replace(Instant::now()).map(|begun| begun.elapsed().as_secs_f64());
            self.size = match took {
                Some(took) if took < SHORTEST => self.size.saturating_mul(2).min(self.most),
                Some(took) if took > LONGEST => (self.size / 2).max(self.least),
                _ => self.size,
            };
        }
        // A few rows left over go along: fewer than `least` may be slower a row.
        let size = if left < self.size + self.least && left <= self.most { left } else { self.size.min(left) };
        let first = self.done;
        self.done += size;
        Some(first..self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(rows: usize, least: usize, most: usize, watched: bool) -> Vec<usize> {
        let told = |_: usize, _: usize| {};
        let watch = Watch { progress: watched.then_some(&told), ..Watch::default() };
        let steps: Vec<_> = Steps::new(rows, least, most, &watch).collect();
        assert!(steps.windows(2).all(|pair| pair[0].end == pair[1].start), "{steps:?}");
        assert!(steps.first().is_none_or(|step| step.start == 0) && steps.last().map_or(0, |step| step.end) == rows);
        steps.into_iter().map(|step| step.len()).collect()
    }

    #[test]
    fn steps_are_as_long_as_they_may_be_or_as_it_pays_to_be_told() {
        assert_eq!(sizes(0, 4, 10, false), [0; 0]);
        assert_eq!(sizes(25, 4, 10, false), [10, 10, 5]);
        assert_eq!(sizes(13, 4, 0, false).len(), 13);
        // Nothing takes any time here.
        assert_eq!(sizes(100, 4, 32, true), [4, 8, 16, 32, 32, 8]);
        assert_eq!(sizes(101, 8, 64, true), [8, 16, 32, 45]);
        assert_eq!(sizes(5, 4, 32, true), [5]);
        assert_eq!(sizes(5, 100, 2, true), [2, 2, 1]);
    }
}
