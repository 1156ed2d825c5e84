//! Vectors that go through a transform before an index keeps them.

use std::{borrow::Cow, sync::Arc};

use ndarray::{Array2, ArrayView2};

use super::{Kind, Training, VectorIndex, filter::Version};
use crate::{
    Device, DeviceArray, Error, Result, Transform, Work,
    ops::{self, Rotation},
    transform,
};

/// A transform, and its map on an index's device once it is trained.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub transform: Transform,
    rotation: Option<Rotation>,
}

impl Placed {
    pub(super) fn new(device: &Device, transform: Transform) -> Result<Self> {
        let rotation = if transform.is_trained() { Some(transform.rotation(device)?) } else { None };
        Ok(Placed { transform, rotation })
    }

    /// The same on another device.
    pub(super) fn moved(&self, device: &Device) -> Result<Self> {
        Placed::new(device, self.transform.clone())
    }

    fn rotation(&self) -> Result<&Rotation> {
        self.rotation.as_ref().ok_or(Error::NotTrained { what: "transform" })
    }

    /// Itself trained on rows, and what they become.
    pub(super) async fn train(
        &self,
        device: &Device,
        rows: ArrayView2<'_, f32>,
        training: &Training,
    ) -> Result<(Self, Array2<f32>)> {
        let mut transform = self.transform.clone();
        transform.train_async(device, rows, training).await?;
        let placed = Placed::new(device, transform)?;
        let rotated = transform::rotated(device, rows, placed.rotation()?).await?;
        Ok((placed, rotated))
    }
}

impl<K: Kind> VectorIndex<K> {
    /// The empty index behind `transform`, which vectors go through before they are kept: it is for vectors of
    /// [`Transform::dimension`]. Distances are those of what comes out; re-ranking compares what came in. For cosine,
    /// vectors are normalised first.
    ///
    /// ```
    /// use cellprobe::{Device, Metric, PqIndex, Transform};
    /// # fn main() -> cellprobe::Result<()> {
    /// let rows = ndarray::Array2::from_shape_fn((500, 12), |(row, column)| ((row * 7 + column * 3) % 11) as f32);
    /// let index = PqIndex::new(&Device::cpu(), 8, 4, 4, Metric::L2)?;
    /// let mut index = index.behind(Transform::random_rotation(12, 8)?)?;
    /// index.train(rows.view())?;
    /// index.add(rows.view())?;
    /// assert_eq!(index.dimension(), 12);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Dimension`] unless what comes out is of the index's dimension, [`Error::Parameter`] for an index that has
    /// rows or a transform, [`Error::Limit`], [`Error::OutOfMemory`].
    pub fn behind(self, transform: Transform) -> Result<Self> {
        if self.ntotal() > 0 || self.transform.is_some() {
            return Err(Error::parameter(
                "index to go behind a transform",
                format!("{self:?}"),
                "one without rows or a transform",
            ));
        }
        let (expected, found) = (self.context.dimension, transform.output_dimension());
        if expected != found {
            return Err(Error::Dimension { what: "what comes out of a transform", expected, found });
        }
        let placed = Placed::new(self.device(), transform)?;
        Ok(VectorIndex { transform: Some(Arc::new(placed)), version: Version::default(), ..self })
    }

    /// What vectors go through before they are kept, if anything.
    #[must_use]
    pub fn transform(&self) -> Option<&Transform> {
        self.transform.as_ref().map(|placed| &placed.transform)
    }

    /// Rows of the index's dimension as its kind takes them.
    pub(super) fn transformed<'a>(
        &self,
        work: &mut Work,
        rows: &'a DeviceArray<f32>,
    ) -> Result<Cow<'a, DeviceArray<f32>>> {
        match &self.transform {
            Some(placed) => Ok(Cow::Owned(ops::rotate(work, rows, placed.rotation()?)?)),
            None => Ok(Cow::Borrowed(rows)),
        }
    }
}
