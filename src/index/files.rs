//! Between indexes and what FAISS files hold.

use bytemuck::Pod;
use ndarray::{Array2, Array3, ArrayView2};

use super::{
    Context, FlatIndex, Index, IvfFlatIndex, IvfPqIndex, PqIndex, VectorIndex,
    filter::Version,
    flat::Flat,
    ids::Ids,
    ivf::{Entries, Ivf},
    ivf_flat::{self, IvfFlat},
    ivf_pq::{self, IvfPq, Residuals},
    pq::{self, Pq},
    ranked,
};
use crate::{
    Device, DeviceArray, Error, Metric, ProductQuantizer, Result,
    ops::{PqCodes, pq_terms},
    storage::faiss::{self, DirectMap, Header, PqLayout, Stored},
};

/// What a file held beside the index itself: kept, so that the index is written as it was read.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// From the outermost on, none of them twice.
    wrappers: Vec<Wrapper>,
    /// Where identifiers stood in the lists, until rows are added.
    pub direct_map: DirectMap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapper {
    IdMap {
        two_way: bool,
    },
    Normalized,
    /// The index's transform, perhaps with a normalisation before it.
    Transformed {
        normalized: bool,
    },
}

impl Default for Form {
    fn default() -> Self {
        Form { wrappers: vec![], direct_map: DirectMap::None }
    }
}

impl Form {
    fn is_normalized(&self) -> bool {
        let normalizes = [Wrapper::Normalized, Wrapper::Transformed { normalized: true }];
        self.wrappers.iter().any(|wrapper| normalizes.contains(wrapper))
    }

    fn is_transformed(&self) -> bool {
        self.wrappers.iter().any(|wrapper| matches!(wrapper, Wrapper::Transformed { .. }))
    }

    fn has_id_map(&self) -> bool {
        self.id_map().is_some()
    }

    /// Whether the id map, if there is one, has the way back.
    pub(super) fn id_map(&self) -> Option<bool> {
        self.wrappers.iter().find_map(|wrapper| match wrapper {
            Wrapper::IdMap { two_way } => Some(*two_way),
            Wrapper::Normalized | Wrapper::Transformed { .. } => None,
        })
    }

    /// Has files have an id map.
    pub(super) fn add_id_map(&mut self, two_way: bool) {
        self.wrappers.push(Wrapper::IdMap { two_way });
    }
}

pub(super) fn from_stored(stored: Stored, device: &Device) -> Result<Index> {
    let mut form = Form::default();
    let mut ids = None;
    let mut transform = None;
    let mut inner = stored;
    loop {
        inner = match inner {
            Stored::IdMap(map) if ids.is_none() => {
                form.wrappers.push(Wrapper::IdMap { two_way: map.two_way });
                ids = Some(map.ids);
                *map.index
            }
            Stored::Normalized(index) if !form.is_normalized() && transform.is_none() => {
                form.wrappers.push(Wrapper::Normalized);
                *index
            }
            Stored::Transformed(front) if transform.is_none() && !(front.normalized && form.is_normalized()) => {
                form.wrappers.push(Wrapper::Transformed { normalized: front.normalized });
                transform = Some(front.transform.restored()?);
                *front.index
            }
            inner => break unwrapped(inner, form, ids, device)?.placed_behind(transform),
        }
    }
}

fn unwrapped(stored: Stored, form: Form, ids: Option<Vec<i64>>, device: &Device) -> Result<Index> {
    let header = stored.header();
    let metric = match (form.is_normalized(), header.metric) {
        (true, Metric::InnerProduct) => Metric::Cosine,
        (true, _) => return Err(unsupported("normalised vectors with another metric than the inner product")),
        (false, metric) => metric,
    };
    Ids::default().extended(header.ntotal, None)?;
    let context = Context { device: device.clone(), dimension: header.dimension, metric };
    let numbered = || (0..header.ntotal as i64).collect();
    match stored {
        Stored::Flat(flat) => {
            let kind = Flat::of(device.upload(flat.vectors, header.dimension)?);
            Ok(Index::Flat(assembled(context, kind, Ids::from_rows(ids.unwrap_or_else(numbered)), form)?))
        }
        Stored::Pq(stored) => {
            let ids = Ids::from_rows(ids.unwrap_or_else(numbered));
            Ok(Index::Pq(assembled_pq(context, stored, ids, form)?))
        }
        Stored::IvfFlat(stored) => {
            let rows = list_rows(&stored.lists.ids, &stored.lists.sizes, ids)?;
            Ok(Index::IvfFlat(assembled_ivf_flat(context, stored, rows, form)?))
        }
        Stored::IvfPq(stored) => {
            let rows = list_rows(&stored.lists.ids, &stored.lists.sizes, ids)?;
            Ok(Index::IvfPq(assembled_ivf_pq(context, stored, rows, form)?))
        }
        Stored::IdMap(_) | Stored::Normalized(_) | Stored::Transformed(_) => {
            Err(unsupported("an index wrapped twice in the same way, or normalised after a transform"))
        }
    }
}

/// The identifiers of an inverted file's rows, and the row of each of its entries.
fn list_rows(entries: &[i64], sizes: &[usize], mapped: Option<Vec<i64>>) -> Result<(Ids, Vec<u32>)> {
    let Some(ids) = mapped else {
        return Ok(Ids::from_entries(entries, sizes));
    };
    // Behind an id map, the entries name rows by number.
    let mut seen = vec![false; entries.len()];
    let mut row = |&entry: &i64| {
        let row = usize::try_from(entry).ok()?;
        let new = !std::mem::replace(seen.get_mut(row)?, true);
        new.then_some(row as u32)
    };
    match entries.iter().map(&mut row).collect() {
        Some(rows) => Ok((Ids::from_rows(ids), rows)),
        None => Err(unsupported("an id map over lists that do not number their rows")),
    }
}

fn unsupported(what: &str) -> Error {
    Error::parameter("index file", what, "an index of plain parts")
}

fn assembled<K: super::Kind>(context: Context, kind: K, ids: Ids, form: Form) -> Result<VectorIndex<K>> {
    let (kind, order) = if kind.is_trained() { ranked(&context, kind, ids.order())? } else { (kind, None) };
    let version = Version::default();
    Ok(VectorIndex { context, transform: None, kind, ids, order, warnings: vec![], form, version })
}

fn assembled_pq(context: Context, stored: faiss::Pq, ids: Ids, form: Form) -> Result<PqIndex> {
    let (m, nbits) = (stored.codebook.m, stored.codebook.nbits);
    crate::quantize::check(context.dimension, m, nbits)?;
    let trained = if stored.header.is_trained {
        let quantizer = quantizer(&context.device, &stored.codebook)?;
        let codes = codes_to_device(&context.device, &stored.codes, &quantizer)?;
        let codes = pq::codes_of(&context.device, &codes, quantizer.codebook())?;
        Some(pq::Trained { quantizer, codes, entries: Entries::single(&context.device, stored.header.ntotal)? })
    } else {
        None
    };
    assembled(context, Pq { m, nbits, trained, layout: Some(stored.layout) }, ids, form)
}

fn assembled_ivf_flat(
    context: Context,
    stored: faiss::IvfFlat,
    (ids, rows): (Ids, Vec<u32>),
    form: Form,
) -> Result<IvfFlatIndex> {
    let nlist = stored.lists.sizes.len();
    let mut kind = IvfFlat { nlist, nprobe: stored.ivf.nprobe.max(1), trained: None };
    if stored.ivf.header.is_trained {
        let (centroids, entries) = lists(&context, &stored.ivf, &stored.lists.sizes, rows)?;
        let rows = context.device.upload(stored.lists.entries, context.dimension)?;
        let ivf = Ivf { centroids: context.device.matrix(centroids.view())?, entries };
        kind.trained = Some(ivf_flat::Trained::new(&context, ivf, rows)?);
    }
    let form = Form { direct_map: stored.ivf.direct_map, ..form };
    assembled(context, kind, ids, form)
}

fn assembled_ivf_pq(
    context: Context,
    stored: faiss::IvfPq,
    (ids, rows): (Ids, Vec<u32>),
    form: Form,
) -> Result<IvfPqIndex> {
    let nlist = stored.lists.sizes.len();
    crate::quantize::check(context.dimension, stored.codebook.m, stored.codebook.nbits)?;
    let mut kind = IvfPq {
        nlist,
        m: stored.codebook.m,
        nbits: stored.codebook.nbits,
        nprobe: stored.ivf.nprobe.max(1),
        by_residual: stored.by_residual,
        trained: None,
    };
    if stored.ivf.header.is_trained {
        let (centroids, entries) = lists(&context, &stored.ivf, &stored.lists.sizes, rows)?;
        let quantizer = quantizer(&context.device, &stored.codebook)?;
        let codes = codes_to_device(&context.device, &stored.lists.entries, &quantizer)?;
        let ivf = Ivf { centroids: context.device.matrix(centroids.view())?, entries };
        let mut trained = ivf_pq::Trained::empty(&context, &kind, ivf, quantizer, centroids.view())?;
        trained.codes = pq::codes_of(&context.device, &codes, trained.quantizer.codebook())?;
        if let Some(Residuals { origin, .. }) = &trained.residuals {
            let labels: Vec<u32> = stored
                .lists
                .sizes
                .iter()
                .enumerate()
                .flat_map(|(list, &size)| std::iter::repeat_n(list as u32, size))
                .collect();
            let labels = context.device.upload(labels, 1)?;
            let mut work = context.device.work();
            let codebook = trained.quantizer.codebook();
            let terms = pq_terms(&mut work, &codes, codebook, &trained.ivf.centroids, &labels, origin)?;
            let positions = ivf_pq::positions(&mut work, &trained.ivf.entries.lists)?;
            work.submit()?;
            trained.residuals = Some(Residuals { origin: origin.clone(), terms, positions });
        }
        kind.trained = Some(trained);
    }
    let form = Form { direct_map: stored.ivf.direct_map, ..form };
    assembled(context, kind, ids, form)
}

/// The coarse centroids of an inverted file, and its entries.
fn lists(context: &Context, ivf: &faiss::Ivf, sizes: &[usize], rows: Vec<u32>) -> Result<(Array2<f32>, Entries)> {
    let Stored::Flat(flat) = &*ivf.quantizer else {
        return Err(unsupported("a coarse quantizer that is not flat"));
    };
    if flat.header.metric != ivf.header.metric {
        return Err(unsupported("a coarse quantizer with another metric than its index"));
    }
    let found = flat.vectors.len();
    let centroids = ArrayView2::from_shape((sizes.len(), context.dimension), &flat.vectors).map_err(|_| {
        Error::Length { what: "numbers in centroids", expected: sizes.len() * context.dimension, found }
    })?;
    let offsets = std::iter::once(0).chain(sizes.iter().scan(0, |end, &size| {
        *end += size as u32;
        Some(*end)
    }));
    Ok((centroids.to_owned(), Entries::new(&context.device, offsets.collect(), rows)?))
}

fn quantizer(device: &Device, codebook: &faiss::Codebook) -> Result<ProductQuantizer> {
    let shape = (codebook.m, 1 << codebook.nbits, codebook.dimension / codebook.m);
    let found = codebook.centroids.len();
    let centroids = Array3::from_shape_vec(shape, codebook.centroids.clone()).map_err(|_| Error::Length {
        what: "numbers in a codebook",
        expected: shape.0 * shape.1 * shape.2,
        found,
    })?;
    ProductQuantizer::from_centroids(device, centroids)
}

/// Codes of whole bytes as codes of whole words.
fn codes_to_device(device: &Device, codes: &[u8], quantizer: &ProductQuantizer) -> Result<DeviceArray<u32>> {
    let words = quantizer.codebook().words();
    let mut padded = vec![0_u32; codes.len() / quantizer.code_size() * words];
    for (code, row) in codes.chunks_exact(quantizer.code_size()).zip(padded.chunks_exact_mut(words)) {
        for (number, &byte) in code.iter().enumerate() {
            row[number / 4] |= u32::from(byte) << (8 * (number % 4));
        }
    }
    device.upload(padded, words)
}

/// Codes of whole words as codes of whole bytes.
async fn codes_from_device(device: &Device, codes: &PqCodes, code_size: usize) -> Result<Vec<u8>> {
    let mut work = device.work();
    let codes = codes.rows(&mut work)?;
    let columns = codes.columns();
    let words = work.read(codes).await?;
    let rows = words.chunks_exact(columns.max(1));
    Ok(rows.flat_map(|row| row.iter().flat_map(|word| word.to_le_bytes()).take(code_size)).collect())
}

async fn read<T: Pod>(device: &Device, array: &DeviceArray<T>) -> Result<Vec<T>> {
    device.work().read(array.clone()).await
}

pub(super) async fn to_stored(index: &Index) -> Result<Stored> {
    match index {
        Index::Flat(index) => Ok(wrapped(index, with_ids(index, flat_to_stored(index).await?))),
        Index::Pq(index) => Ok(wrapped(index, with_ids(index, pq_to_stored(index).await?))),
        Index::IvfFlat(index) => Ok(wrapped(index, ivf_flat_to_stored(index).await?)),
        Index::IvfPq(index) => Ok(wrapped(index, ivf_pq_to_stored(index).await?)),
    }
}

/// Behind an id map, where the kind has no place of its own for identifiers that there are.
fn with_ids<K>(index: &VectorIndex<K>, stored: Stored) -> Stored {
    let needed = index.ids.given().is_some() && !index.form.has_id_map();
    if needed { id_map(index, stored, false) } else { stored }
}

fn id_map<K>(index: &VectorIndex<K>, stored: Stored, two_way: bool) -> Stored {
    let ids = (0..index.ids.len() as u32).map(|row| index.ids.of(row)).collect();
    Stored::IdMap(faiss::IdMap { index: Box::new(stored), ids, two_way })
}

/// In the wrappers that the index was read in, and normalised if its metric says so.
fn wrapped<K: super::Kind>(index: &VectorIndex<K>, stored: Stored) -> Stored {
    let stored = index.form.wrappers.iter().rev().fold(stored, |stored, wrapper| match wrapper {
        Wrapper::IdMap { two_way } => id_map(index, stored, *two_way),
        Wrapper::Normalized => Stored::Normalized(Box::new(stored)),
        Wrapper::Transformed { normalized } => transformed(index, stored, *normalized),
    });
    let bare = index.metric() == Metric::Cosine && !index.form.is_normalized();
    if index.transform.is_some() && !index.form.is_transformed() {
        return transformed(index, stored, bare);
    }
    if bare { Stored::Normalized(Box::new(stored)) } else { stored }
}

/// Behind the index's transform, if it has one.
fn transformed<K: super::Kind>(index: &VectorIndex<K>, stored: Stored, normalized: bool) -> Stored {
    match index.transform() {
        Some(transform) => {
            let transform = faiss::Transform::of(transform);
            Stored::Transformed(faiss::Transformed { normalized, transform, index: Box::new(stored) })
        }
        None => stored,
    }
}

/// Of what stands behind a transform, if there is one.
fn header<K: super::Kind>(index: &VectorIndex<K>) -> Header {
    let metric = if index.metric() == Metric::L2 { Metric::L2 } else { Metric::InnerProduct };
    Header { dimension: index.context.dimension, ntotal: index.ntotal(), is_trained: index.kind.is_trained(), metric }
}

async fn flat_to_stored(index: &FlatIndex) -> Result<Stored> {
    let vectors = read(index.device(), &index.kind.rows).await?;
    Ok(Stored::Flat(faiss::Flat { header: header(index), vectors }))
}

fn codebook(quantizer: &ProductQuantizer) -> faiss::Codebook {
    faiss::Codebook {
        dimension: quantizer.dimension(),
        m: quantizer.m(),
        nbits: quantizer.nbits(),
        centroids: quantizer.centroids().iter().copied().collect(),
    }
}

/// The codebook of a quantizer that was not trained, all zeros as in FAISS.
fn empty_codebook(dimension: usize, m: usize, nbits: usize) -> faiss::Codebook {
    faiss::Codebook { dimension, m, nbits, centroids: vec![0.0; dimension << nbits] }
}

async fn pq_to_stored(index: &PqIndex) -> Result<Stored> {
    let (codebook, codes) = match &index.kind.trained {
        Some(trained) => {
            let codebook = codebook(&trained.quantizer);
            let codes = codes_from_device(index.device(), &trained.codes, codebook.code_size()).await?;
            (codebook, codes)
        }
        None => (empty_codebook(index.context.dimension, index.kind.m, index.kind.nbits), vec![]),
    };
    let layout = index.kind.layout.unwrap_or_else(|| PqLayout::plain(&codebook));
    Ok(Stored::Pq(faiss::Pq { header: header(index), codebook, codes, layout }))
}

/// An inverted file, the sizes of its lists, and the identifiers of their entries.
async fn ivf_to_stored<K: super::Kind>(
    index: &VectorIndex<K>,
    ivf: Option<&Ivf>,
    nlist: usize,
    nprobe: usize,
) -> Result<(faiss::Ivf, Vec<usize>, Vec<i64>)> {
    let (centroids, offsets, rows) = match ivf {
        Some(Ivf { centroids, entries }) => (
            read(index.device(), centroids).await?,
            read(index.device(), &entries.lists.offsets).await?,
            read(index.device(), &entries.rows).await?,
        ),
        None => (vec![], vec![0; nlist + 1], vec![]),
    };
    let header = header(index);
    let quantizer_header = Header { ntotal: centroids.len() / index.context.dimension, is_trained: true, ..header };
    let quantizer = Box::new(Stored::Flat(faiss::Flat { header: quantizer_header, vectors: centroids }));
    let sizes = offsets.windows(2).map(|ends| (ends[1] - ends[0]) as usize).collect();
    // Behind an id map, the entries name rows by number.
    let numbered = index.form.has_id_map();
    let ids = rows.into_iter().map(|row| if numbered { i64::from(row) } else { index.ids.of(row) }).collect();
    Ok((faiss::Ivf { header, nprobe, quantizer, direct_map: index.form.direct_map.clone() }, sizes, ids))
}

async fn ivf_flat_to_stored(index: &IvfFlatIndex) -> Result<Stored> {
    let trained = index.kind.trained.as_ref();
    let (ivf, sizes, ids) =
        ivf_to_stored(index, trained.map(|trained| &trained.ivf), index.nlist(), index.nprobe()).await?;
    let entries = match trained {
        Some(trained) => read(index.device(), &trained.rows).await?,
        None => vec![],
    };
    Ok(Stored::IvfFlat(faiss::IvfFlat { ivf, lists: faiss::Lists { sizes, entries, ids } }))
}

async fn ivf_pq_to_stored(index: &IvfPqIndex) -> Result<Stored> {
    let trained = index.kind.trained.as_ref();
    let (ivf, sizes, ids) =
        ivf_to_stored(index, trained.map(|trained| &trained.ivf), index.nlist(), index.nprobe()).await?;
    let (codebook, entries) = match trained {
        Some(trained) => {
            let codebook = codebook(&trained.quantizer);
            let codes = codes_from_device(index.device(), &trained.codes, codebook.code_size()).await?;
            (codebook, codes)
        }
        None => (empty_codebook(index.context.dimension, index.kind.m, index.kind.nbits), vec![]),
    };
    let by_residual = index.by_residual();
    Ok(Stored::IvfPq(faiss::IvfPq { ivf, by_residual, codebook, lists: faiss::Lists { sizes, entries, ids } }))
}
