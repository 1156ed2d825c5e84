//! Random numbers, the same on every machine.

use ndarray::Array2;
use rand_mt::Mt;

/// The numbers of `numpy.random.seed(seed)`.
pub struct Random(Mt);

impl Random {
    pub fn new(seed: u32) -> Self {
        Random(Mt::new(seed))
    }

    /// `numpy.random.rand(rows, columns).astype(numpy.float32)`.
    pub fn rows(&mut self, rows: usize, columns: usize) -> Array2<f32> {
        Array2::from_shape_simple_fn((rows, columns), || {
            let (high, low) = (self.0.next_u32() >> 5, self.0.next_u32() >> 6);
            ((f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0) as f32
        })
    }
}
