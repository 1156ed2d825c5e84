//! Clustering rows around k centroids.

mod clustering;
mod points;
mod progress;
mod start;
mod subspaces;

use ndarray::{Array2, ArrayView2, Axis};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    Device, DeviceArray, Error, Metric, Result, Work,
    device::{Cancel, block_on},
    ops::{self, Grouping, Moving, Nearest},
    rows::{check, check_dimension, normalise},
    storage::{RowSource, Sampled},
};

pub use clustering::{Assignment, Clustering, Warning};
use points::{Elsewhere, Points};
pub(crate) use progress::Callback;
pub use progress::Progress;

/// Fewer training points a centroid than this bring a [`Warning`], as in FAISS.
const ADVISED_POINTS: usize = 39;

/// How k-means (Lloyd 1982) is run. The defaults, and what becomes of an empty cluster, are those of FAISS.
///
/// A cluster that lost all its rows takes half of another one: see
/// [`update_centroids`](crate::ops::update_centroids).
///
/// ```
/// use cellprobe::{Device, KMeans};
/// # fn main() -> cellprobe::Result<()> {
/// let rows = ndarray::array![[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]];
/// let clustering = KMeans::new(2).train(&Device::cpu(), rows.view())?;
/// let labels = clustering.assign(rows.view())?.labels;
/// assert!(labels[0] == labels[1] && labels[1] != labels[2] && labels[2] == labels[3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KMeans {
    /// Number of centroids.
    pub clusters: usize,
    /// [`Metric::L2`] or [`Metric::InnerProduct`]. For cosines, cluster normalised rows spherically.
    pub metric: Metric,
    /// Scale the centroids to unit length, and assign by inner product whatever the metric.
    pub spherical: bool,
    /// Iterations, at least 1.
    pub iterations: usize,
    /// Runs from different starts, of which the one with the best final objective is kept, at least 1.
    pub restarts: usize,
    /// Train on a random sample of at most this many rows a centroid.
    pub max_points_per_centroid: Option<usize>,
    /// Seed of the sample and of the starts.
    pub seed: u64,
    /// Where the centroids start.
    pub init: Init,
    /// Most bytes of rows to have on the device at a time: more of them are put there in pieces, while it is at work on
    /// the piece before. `None`, the default, has all of them there, or fails with [`Error::OutOfMemory`].
    ///
    /// The result is the same to the bit. An iteration then reads and uploads every row twice, for its closest centroid
    /// and for the sums, with one submission a piece each time. Beside them the device holds about 20 bytes a row, and
    /// a GPU another 64th part of the rows.
    pub memory: Option<u64>,
    progress: Option<Callback>,
    cancel: Cancel,
}

/// Where the centroids of [`KMeans`] start.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// At distinct random rows.
    #[default]
    Random,
    /// At random rows, each drawn in proportion to its squared Euclidean distance to those drawn before
    /// (k-means++: Arthur and Vassilvitskii 2007).
    PlusPlus,
    /// At these centroids, one a row. There is nothing to restart from, so [`KMeans::restarts`] has no effect.
    Given(Array2<f32>),
}

impl KMeans {
    /// k-means with `clusters` centroids: squared Euclidean distance, 25 iterations from one random start, at most
    /// 256 rows a centroid, seed 1234.
    #[must_use]
    pub fn new(clusters: usize) -> Self {
        KMeans {
            clusters,
            metric: Metric::L2,
            spherical: false,
            iterations: 25,
            restarts: 1,
            max_points_per_centroid: Some(256),
            seed: 1234,
            init: Init::Random,
            memory: None,
            progress: None,
            cancel: Cancel::default(),
        }
    }

    /// Sets [`KMeans::metric`].
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    /// Sets [`KMeans::spherical`].
    #[must_use]
    pub fn spherical(mut self, spherical: bool) -> Self {
        self.spherical = spherical;
        self
    }

    /// Sets [`KMeans::iterations`].
    #[must_use]
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// Sets [`KMeans::restarts`].
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// Sets [`KMeans::max_points_per_centroid`]; `None` trains on every row.
    #[must_use]
    pub fn max_points_per_centroid(mut self, points: impl Into<Option<usize>>) -> Self {
        self.max_points_per_centroid = points.into();
        self
    }

    /// Sets [`KMeans::seed`].
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`KMeans::init`].
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Sets [`KMeans::memory`].
    #[must_use]
    pub fn memory(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.memory = bytes.into();
        self
    }

    /// Calls `progress` after each iteration. Without it, a GPU is not waited for between iterations.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Callback::new(progress));
        self
    }

    /// Lets somebody else cancel the training, between iterations and within long ones on a GPU.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Clusters `rows`. As many rows as centroids become the centroids.
    ///
    /// # Errors
    /// [`Error::Empty`] for rows without columns, [`Error::NotFinite`] for a NaN or an infinity in rows or given
    /// centroids, or in the result where sums went past f32, [`Error::TooFewPoints`] for fewer rows than centroids,
    /// [`Error::Dimension`] or [`Error::Length`] for given centroids that do not fit, [`Error::Parameter`] for a
    /// zero or for [`Metric::Cosine`], [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Cancelled`].
    pub fn train(&self, device: &Device, rows: ArrayView2<'_, f32>) -> Result<Clustering> {
        block_on(self.train_async(device, rows))
    }

    /// [`KMeans::train`] without blocking.
    ///
    /// # Errors
    /// As [`KMeans::train`].
    pub async fn train_async(&self, device: &Device, rows: ArrayView2<'_, f32>) -> Result<Clustering> {
        check("training rows", rows)?;
        self.check(rows.nrows(), rows.ncols())?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let sample = self.sample(rows.nrows(), &mut random);
        if self.rows_of_a_piece(sample.as_ref().map_or(rows.nrows(), Vec::len), rows.ncols()).is_some() {
            return self.train_rows_async(device, &rows).await;
        }
        let points = match sample {
            Some(sample) => device.begin_rows(rows.select(Axis(0), &sample).view())?,
            None => device.begin_rows(rows)?,
        };
        self.cluster(device, &Points::Here(points), random).await
    }

    /// [`KMeans::train`] on rows that are read in pieces: with [`KMeans::memory`], of any number.
    ///
    /// ```
    /// use cellprobe::{Device, KMeans, storage::VectorFile};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("vectors.fvecs");
    /// # let rows = ndarray::Array2::from_shape_fn((400, 2), |(row, column)| (row % 4 * 50 + column) as f32);
    /// # cellprobe::storage::write_vectors(&path, rows.view(), false)?;
    /// let file = VectorFile::open(&path)?;
    /// let kmeans = KMeans::new(4).max_points_per_centroid(None).memory(1 << 30);
    /// let clustering = kmeans.train_rows(&Device::auto(), &file)?;
    /// let labels = clustering.assign_rows(&file)?.labels;
    /// # assert_eq!(labels.len(), 400);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`KMeans::train`], and what reading fails with.
    pub fn train_rows(&self, device: &Device, rows: &dyn RowSource) -> Result<Clustering> {
        block_on(self.train_rows_async(device, rows))
    }

    /// [`KMeans::train_rows`], which reads as it goes, without blocking for the device.
    ///
    /// # Errors
    /// As [`KMeans::train_rows`].
    pub async fn train_rows_async(&self, device: &Device, rows: &dyn RowSource) -> Result<Clustering> {
        if rows.columns() == 0 {
            return Err(Error::Empty { what: "training rows" });
        }
        self.check(rows.rows(), rows.columns())?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let sampled = self.sample(rows.rows(), &mut random).map(|numbers| Sampled { source: rows, numbers });
        let source = sampled.as_ref().map_or(rows, |sampled| sampled);
        let points = match self.rows_of_a_piece(source.rows(), source.columns()) {
            Some(per_piece) => Points::Elsewhere(Elsewhere { device, source, per_piece, cancel: &self.cancel }),
            None => Points::Here(device.upload(source.read(0..source.rows())?, source.columns())?),
        };
        self.cluster(device, &points, random).await
    }

    /// Rows that go to the device together, where not all of them do: two pieces of equal size fit [`KMeans::memory`].
    fn rows_of_a_piece(&self, rows: usize, columns: usize) -> Option<usize> {
        let row_bytes = 4 * columns as u64;
        let memory = self.memory.filter(|&memory| rows as u64 * row_bytes > memory)?;
        let most = usize::try_from(memory / 2 / row_bytes).unwrap_or(usize::MAX).max(1);
        Some(rows.div_ceil(rows.div_ceil(most)))
    }

    /// [`KMeans::train`] on rows that are on the device already, which must be finite.
    ///
    /// # Errors
    /// As [`KMeans::train`], and [`Error::OtherDevice`].
    pub fn train_on_device(&self, device: &Device, rows: &DeviceArray<f32>) -> Result<Clustering> {
        block_on(self.train_on_device_async(device, rows))
    }

    /// [`KMeans::train_on_device`] without blocking.
    ///
    /// # Errors
    /// As [`KMeans::train_on_device`].
    pub async fn train_on_device_async(&self, device: &Device, rows: &DeviceArray<f32>) -> Result<Clustering> {
        if rows.columns() == 0 {
            return Err(Error::Empty { what: "training rows" });
        }
        self.check(rows.rows(), rows.columns())?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let points = match self.sample(rows.rows(), &mut random) {
            Some(sample) => {
                let order = device.upload(sample.into_iter().map(|row| row as u32).collect(), 1)?;
                let mut work = device.work();
                let points = ops::gather(&mut work, rows, &order)?;
                work.submit()?;
                points
            }
            None => rows.clone(),
        };
        self.cluster(device, &Points::Here(points), random).await
    }

    fn check(&self, points: usize, dimension: usize) -> Result<()> {
        let at_least_1 = [
            ("clusters", self.clusters),
            ("iterations", self.iterations),
            ("restarts", self.restarts),
            ("max_points_per_centroid", self.max_points_per_centroid.unwrap_or(1)),
        ];
        if let Some((name, value)) = at_least_1.into_iter().find(|&(_, value)| value == 0) {
            return Err(Error::parameter(name, value, "at least 1"));
        }
        if self.metric == Metric::Cosine {
            return Err(Error::parameter(
                "metric",
                self.metric,
                "l2 or ip; for cosines, spherical with normalised rows",
            ));
        }
        if points < self.clusters {
            return Err(Error::TooFewPoints { points, centroids: self.clusters });
        }
        if points >= u32::MAX as usize {
            return Err(Error::Limit {
                limit: "training rows",
                allowed: u64::from(u32::MAX) - 1,
                asked: points as u64,
            });
        }
        if let Init::Given(centroids) = &self.init {
            if centroids.nrows() != self.clusters {
                return Err(Error::Length {
                    what: "given centroids",
                    expected: self.clusters,
                    found: centroids.nrows(),
                });
            }
            check_dimension("given centroids", centroids.view(), dimension)?;
        }
        Ok(())
    }

    /// The metric of the assignment.
    fn assignment(&self) -> Metric {
        if self.spherical { Metric::InnerProduct } else { self.metric }
    }

    /// Which of `points` rows to train on, ascending; `None` for all of them.
    fn sample(&self, points: usize, random: &mut Xoshiro256PlusPlus) -> Option<Vec<usize>> {
        let most = self.max_points_per_centroid?.saturating_mul(self.clusters);
        (points > most).then(|| {
            let mut sample = rand::seq::index::sample(random, points, most).into_vec();
            sample.sort_unstable();
            sample
        })
    }

    /// Clusters all of `rows`.
    async fn cluster(&self, device: &Device, rows: &Points<'_>, mut random: Xoshiro256PlusPlus) -> Result<Clustering> {
        let draws = device.upload(draws(self.clusters), 1)?;
        // Nothing is left to chance when the start is given or every row is a centroid.
        let copied = rows.rows() == self.clusters;
        let chance = !copied && !matches!(self.init, Init::Given(_));
        let runs = if chance { self.restarts } else { 1 };
        let mut best: Option<Run> = None;
        for number in 0..runs {
            let mut centroids = if copied {
                let mut work = device.work();
                let all = rows.pick(&mut work, device, &(0..rows.rows()).collect::<Vec<_>>())?;
                work.submit()?;
                all
            } else {
                start::start(&self.init, device, rows, self.clusters, &mut random).await?
            };
            if self.spherical {
                centroids = normalised(device, centroids).await?;
            }
            let mut run =
                Run { centroids, history: device.upload(vec![], 2)?, objective: 0.0, moving: Moving::default() };
            if !copied {
                self.iterate(device, rows, &draws, &mut run, number * self.iterations, runs * self.iterations).await?;
            }
            run.objective = objective(device, rows, &mut run, self.assignment()).await?;
            let better = best.as_ref().is_none_or(|best| match self.assignment() {
                Metric::L2 => run.objective < best.objective,
                Metric::InnerProduct | Metric::Cosine => run.objective > best.objective,
            });
            if better {
                best = Some(run);
            }
        }
        let best = best.ok_or(Error::Empty { what: "runs of k-means" })?;
        self.finish(device, rows.rows(), best).await
    }

    /// All iterations of a run; `done` of all `of` were done before it.
    async fn iterate(
        &self,
        device: &Device,
        rows: &Points<'_>,
        draws: &DeviceArray<f32>,
        run: &mut Run,
        done: usize,
        of: usize,
    ) -> Result<()> {
        for iteration in 0..self.iterations {
            self.cancel.check()?;
            let mut work = device.work();
            work.cancelled_by(&self.cancel);
            let (nearest, grouping) = assign(&mut work, rows, run, self.assignment()).await?;
            let inertia = ops::segment_sums(&mut work, &nearest.distances, &grouping)?;
            let sums = rows.sums(&mut work, &grouping).await?;
            let history = &run.history;
            let updated =
                ops::update_centroids(&mut work, &sums, &grouping.offsets, &inertia, history, draws, self.spherical)?;
            run.centroids = updated.centroids;
            run.history = updated.history;
            match &self.progress {
                Some(progress) => {
                    let history = work.read(run.history.clone()).await?;
                    let total = history.get(2 * iteration).copied().map_or(0.0, f64::from);
                    progress.call(done + iteration + 1, of, score(total, self.assignment()));
                }
                None => work.submit()?,
            }
        }
        Ok(())
    }

    async fn finish(&self, device: &Device, points: usize, run: Run) -> Result<Clustering> {
        let shape = (run.centroids.rows(), run.centroids.columns());
        let values = device.work().read(run.centroids.clone()).await?;
        let found = values.len();
        let centroids = Array2::from_shape_vec(shape, values).map_err(|_| Error::Length {
            what: "numbers in centroids",
            expected: shape.0 * shape.1,
            found,
        })?;
        check("centroids", centroids.view())?;
        let history = match run.history.rows() {
            0 => vec![],
            _ => device.work().read(run.history).await?,
        };
        Ok(Clustering {
            device: device.clone(),
            metric: self.assignment(),
            centroids,
            device_centroids: run.centroids,
            objectives: history.chunks_exact(2).map(|entry| score(entry[0].into(), self.assignment())).collect(),
            empty_clusters: history.chunks_exact(2).map(|entry| entry[1] as usize).collect(),
            objective: run.objective,
            points,
            memory: self.memory,
            warnings: self.warnings(points),
        })
    }

    /// What there is to say of so many training points.
    fn warnings(&self, points: usize) -> Vec<Warning> {
        let advised = self.clusters.saturating_mul(ADVISED_POINTS);
        let few = Warning::FewPoints { points, centroids: self.clusters, advised };
        if points < advised { vec![few] } else { vec![] }
    }
}

/// A run from one start.
struct Run {
    centroids: DeviceArray<f32>,
    history: DeviceArray<f32>,
    objective: f64,
    /// What its assignments leave for the next.
    moving: Moving,
}

/// The rows' closest centroids, and the rows grouped by them.
async fn assign(work: &mut Work, rows: &Points<'_>, run: &mut Run, metric: Metric) -> Result<(Nearest, Grouping)> {
    let nearest = match rows {
        Points::Here(rows) => run.moving.nearest(work, rows, &run.centroids, metric)?,
        Points::Elsewhere(_) => rows.nearest(work, &run.centroids, metric).await?,
    };
    let grouping = ops::group(work, &nearest.labels, run.centroids.rows())?;
    Ok((nearest, grouping))
}

/// The sum of squared distances to the nearest centroid, or of inner products with it.
async fn objective(device: &Device, rows: &Points<'_>, run: &mut Run, metric: Metric) -> Result<f64> {
    let mut work = device.work();
    let (nearest, grouping) = assign(&mut work, rows, run, metric).await?;
    let inertia = ops::segment_sums(&mut work, &nearest.distances, &grouping)?;
    let sums = work.read(inertia).await?;
    Ok(score(sums.into_iter().map(f64::from).sum(), metric))
}

/// A distance, or a sum of them, as the metric counts: operations negate inner products.
fn score(distance: f64, metric: Metric) -> f64 {
    if metric.larger_is_nearer() { -distance } else { distance }
}

async fn normalised(device: &Device, rows: DeviceArray<f32>) -> Result<DeviceArray<f32>> {
    let columns = rows.columns();
    let mut values = device.work().read(rows).await?;
    normalise(&mut values, columns);
    device.upload(values, columns)
}

/// What decides which cluster gives half of itself to an empty one. FAISS begins its Mersenne Twister anew with 1234
/// at each iteration, so one table serves all of them. A draw is accepted with probability about 1 / k: 64 Ki or
/// 4 k draws are rarely gone through, and then begin again.
fn draws(clusters: usize) -> Vec<f32> {
    let mut twister = rand_mt::Mt::new(1234);
    (0..clusters.saturating_mul(4).max(1 << 16)).map(|_| twister.next_u32() as f32 / u32::MAX as f32).collect()
}
