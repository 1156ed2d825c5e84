//! What is computed with: small, awkward, and the same every time.

use std::fmt;

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{Metric, ops::Ranked};

/// What numbers are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// From -1 to 1.
    Uniform,
    /// Whole numbers from -4 to 4: sums and products are exact.
    Integers,
    /// Within 1 of 3000.
    Far,
    /// Whole numbers, of which there are only two, so that many rows are equal.
    Duplicates,
}

impl Values {
    /// Whether sums of products are exact in f32, and results so to be equal.
    pub(super) fn exact(self) -> bool {
        matches!(self, Values::Integers | Values::Duplicates)
    }

    /// The largest error that passes.
    pub(super) fn tolerance(self) -> f64 {
        if self.exact() { super::EXACT } else { super::ROUNDING }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Values::Uniform => "random numbers",
            Values::Integers => "small integers",
            Values::Far => "numbers far from the origin",
            Values::Duplicates => "many duplicates",
        })
    }
}

/// The metrics that operations tell apart.
pub(super) const METRICS: [Metric; 2] = [Metric::L2, Metric::InnerProduct];

/// A source of data.
pub(super) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(super) fn number(&mut self, values: Values) -> f32 {
        match values {
            Values::Uniform => self.0.random_range(-1.0..1.0),
            Values::Integers => self.0.random_range(-4..=4_i8).into(),
            Values::Far => self.0.random_range(2999.0..3001.0),
            Values::Duplicates => self.0.random_range(1..=2_i8).into(),
        }
    }

    pub(super) fn numbers(&mut self, count: usize, values: Values) -> Vec<f32> {
        (0..count).map(|_| self.number(values)).collect()
    }

    /// Numbers from 0 to below `end`.
    pub(super) fn below(&mut self, count: usize, end: usize) -> Vec<u32> {
        (0..count).map(|_| self.0.random_range(0..end as u32)).collect()
    }

    /// `count` of the numbers from 0 to below `end`, in any order.
    pub(super) fn distinct(&mut self, count: usize, end: usize) -> Vec<u32> {
        rand::seq::index::sample(&mut self.0, end, count).into_iter().map(|number| number as u32).collect()
    }

    /// For each of `rows`, `count` different ones of the numbers below `end` with distances; the last is none.
    pub(super) fn candidates(&mut self, rows: usize, count: usize, end: usize, values: Values) -> Vec<Ranked> {
        let mut all = vec![];
        for _ in 0..rows {
            let ids = self.distinct(count.min(end), end);
            let mut row: Vec<Ranked> = ids.into_iter().map(|id| Ranked::new(self.number(values), id)).collect();
            row.resize(count + 1, Ranked::NONE);
            all.extend(row);
        }
        all
    }
}

/// Rows in inverted lists, some of them empty.
pub(super) struct Filed {
    pub(super) offsets: Vec<u32>,
    pub(super) ids: Vec<u32>,
}

impl Filed {
    pub(super) fn new(random: &mut Random, entries: usize, nlist: usize) -> Self {
        // Only every other list has entries.
        let labels = random.below(entries, nlist.div_ceil(2)).into_iter().map(|half| 2 * half).collect::<Vec<_>>();
        let (offsets, _) = crate::ops::reference::group(&labels, nlist);
        Filed { offsets, ids: random.distinct(entries, entries) }
    }

    /// The list of each entry.
    pub(super) fn labels(&self) -> Vec<u32> {
        let lists = self.offsets.windows(2).enumerate();
        lists.flat_map(|(list, ends)| std::iter::repeat_n(list as u32, (ends[1] - ends[0]) as usize)).collect()
    }

    /// The entry of each row.
    pub(super) fn positions(&self) -> Vec<u32> {
        let mut positions = vec![0; self.ids.len()];
        self.ids.iter().zip(0..).for_each(|(&id, entry)| positions[id as usize] = entry);
        positions
    }

    /// Words of a mask of two entries in three.
    pub(super) fn mask(&self) -> Vec<u32> {
        let word = |ids: &[u32]| ids.iter().zip(0..).map(|(id, bit)| u32::from(id % 3 != 0) << bit).sum();
        self.ids.chunks(32).map(word).collect()
    }

    /// The lists, of which scans look at the entries that the words of a mask have.
    pub(super) fn masked(&self, device: &crate::Device, words: Option<&[u32]>) -> crate::Result<crate::ops::Lists> {
        let mask = words.map(|words| crate::ops::Mask::of_words(device, self.ids.len(), words.to_vec())).transpose()?;
        let lists = self.on(device)?;
        Ok(mask.map_or_else(|| lists.clone(), |mask| lists.masked(mask)))
    }

    pub(super) fn on(&self, device: &crate::Device) -> crate::Result<crate::ops::Lists> {
        Ok(crate::ops::Lists::new(device.upload(self.offsets.clone(), 1)?, device.upload(self.ids.clone(), 1)?))
    }
}
