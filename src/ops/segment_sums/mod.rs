//! The sum of each group of rows.

mod cpu;
pub(super) mod gpu;
pub(super) mod reference;

use super::Grouping;
use crate::{DeviceArray, Error, Result, Work, device::Backend};

/// The sum of the rows of each group; zeros for an empty one. One row a group. The order of additions depends on
/// the grouping alone, so the same input gives the same bits; a large group is split like many small ones.
///
/// # Errors
/// [`Error::Length`] if the grouping is of another number of rows, [`Error::OtherDevice`], [`Error::OutOfMemory`].
pub fn segment_sums(work: &mut Work, rows: &DeviceArray<f32>, grouping: &Grouping) -> Result<DeviceArray<f32>> {
    super::check_rows("rows of the grouping", &grouping.order, rows.rows())?;
    let mut sums = SegmentSums::new(grouping, rows.columns());
    sums.add(work, rows)?;
    sums.finish(work)
}

/// [`segment_sums`] of rows that come piece by piece, in order: to the bit what it gives for all of them together,
/// because each addition goes on where the one before it ended.
///
/// ```
/// use cellprobe::{Device, ops};
/// # fn main() -> cellprobe::Result<()> {
/// let device = Device::auto();
/// let labels = device.upload(vec![1, 0, 1], 1)?;
/// let mut work = device.work();
/// let grouping = ops::group(&mut work, &labels, 2)?;
/// let mut sums = ops::SegmentSums::new(&grouping, 2);
/// sums.add(&mut work, &device.upload(vec![1.0, 2.0], 2)?)?;
/// sums.add(&mut work, &device.upload(vec![3.0, 4.0, 5.0, 6.0], 2)?)?;
/// let sums = sums.finish(&mut work)?;
/// assert_eq!(pollster::block_on(work.read(sums))?, [3.0, 4.0, 6.0, 8.0]);
/// # Ok(())
/// # }
/// ```
pub struct SegmentSums {
    grouping: Grouping,
    columns: usize,
    rows: usize,
    /// None before the first rows.
    state: Option<State>,
}

enum State {
    Cpu(cpu::Sums),
    Gpu(gpu::Sums),
}

impl SegmentSums {
    /// Sums of the groups of `grouping`, of rows of `columns` numbers.
    #[must_use]
    pub fn new(grouping: &Grouping, columns: usize) -> Self {
        SegmentSums { grouping: grouping.clone(), columns, rows: 0, state: None }
    }

    /// Adds the next rows. Work is to be submitted in the order of these calls.
    ///
    /// # Errors
    /// [`Error::Dimension`] for rows of other columns, [`Error::Length`] if there are more than are grouped,
    /// [`Error::OtherDevice`], [`Error::OutOfMemory`].
    pub fn add(&mut self, work: &mut Work, rows: &DeviceArray<f32>) -> Result<()> {
        if rows.columns() != self.columns {
            return Err(Error::Dimension { what: "rows to sum", expected: self.columns, found: rows.columns() });
        }
        let (end, all) = (self.rows + rows.rows(), self.grouping.order.rows());
        if end > all {
            return Err(Error::Length { what: "rows of the grouping", expected: all, found: end });
        }
        if rows.rows() == 0 {
            return Ok(());
        }
        match (begun(&mut self.state, &self.grouping, self.columns, work)?, &mut work.0) {
            (State::Cpu(sums), Backend::Cpu) => sums.add(&self.grouping, rows.host("rows")?, self.rows)?,
            (State::Gpu(sums), Backend::Gpu(recording)) => sums.add(recording, &self.grouping, rows, self.rows)?,
            _ => return Err(Error::OtherDevice { what: "sums" }),
        }
        self.rows = end;
        Ok(())
    }

    /// The sums, one row a group.
    ///
    /// # Errors
    /// [`Error::Length`] if fewer rows were added than are grouped, and as [`SegmentSums::add`].
    pub fn finish(mut self, work: &mut Work) -> Result<DeviceArray<f32>> {
        let (expected, found) = (self.grouping.order.rows(), self.rows);
        if found != expected {
            return Err(Error::Length { what: "rows of the grouping", expected, found });
        }
        begun(&mut self.state, &self.grouping, self.columns, work)?;
        match (self.state, &mut work.0) {
            (Some(State::Cpu(sums)), Backend::Cpu) => Ok(DeviceArray::on_host(sums.finish(), self.columns)),
            (Some(State::Gpu(sums)), Backend::Gpu(recording)) => sums.finish(recording, &self.grouping),
            _ => Err(Error::OtherDevice { what: "sums" }),
        }
    }
}

/// What was added so far. It begins in the work that first adds to it, which makes it zero.
fn begun<'a>(
    state: &'a mut Option<State>,
    grouping: &Grouping,
    columns: usize,
    work: &mut Work,
) -> Result<&'a mut State> {
    let begun = match state.take() {
        Some(state) => state,
        None => match &mut work.0 {
            Backend::Cpu => State::Cpu(cpu::Sums::new(grouping, columns)?),
            Backend::Gpu(recording) => State::Gpu(gpu::Sums::new(recording, grouping, columns)?),
        },
    };
    Ok(state.insert(begun))
}
