//! Between indexes and what FAISS files hold.

use bytemuck::Pod;
use ndarray::{Array2, Array3, ArrayView2};

use super::{
    Context, FlatIndex, Index, IvfFlatIndex, IvfPqIndex, PqIndex, VectorIndex,
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
    ops::{Lists, pq_terms},
    storage::faiss::{self, DirectMap, Header, PqLayout, Stored},
};

/// What wraps an index in a file.
#[derive(Default)]
struct Wrapping {
    ids: Option<Vec<i64>>,
    normalized: bool,
}

pub(super) fn from_stored(stored: Stored, device: &Device) -> Result<Index> {
    let mut wrapping = Wrapping::default();
    let mut inner = stored;
    loop {
        inner = match inner {
            Stored::IdMap(map) if wrapping.ids.is_none() => {
                wrapping.ids = Some(map.ids);
                *map.index
            }
            Stored::Normalized(index) if !wrapping.normalized => {
                wrapping.normalized = true;
                *index
            }
            Stored::IdMap(_) | Stored::Normalized(_) => {
                return Err(unsupported("an index wrapped twice in the same way"));
            }
            inner => break unwrapped(inner, wrapping, device),
        }
    }
}

fn unwrapped(stored: Stored, wrapping: Wrapping, device: &Device) -> Result<Index> {
    let header = stored.header();
    let metric = match (wrapping.normalized, header.metric) {
        (true, Metric::InnerProduct) => Metric::Cosine,
        (true, _) => return Err(unsupported("normalised vectors with another metric than the inner product")),
        (false, metric) => metric,
    };
    let context = Context { device: device.clone(), dimension: header.dimension, metric };
    let row_ids = || Ids::from_rows(wrapping.ids.clone().unwrap_or_else(|| (0..header.ntotal as i64).collect()));
    let list_ids = |lists: &[i64]| match &wrapping.ids {
        // Behind an id map, the lists name rows by number.
        Some(ids) => lists.iter().map(|&row| usize::try_from(row).ok().and_then(|row| ids.get(row).copied())).collect(),
        None => Some(lists.to_vec()),
    };
    match stored {
        Stored::Flat(flat) => {
            let kind = Flat::of(device.upload(flat.vectors, header.dimension)?);
            Ok(Index::Flat(assembled(context, kind, row_ids())?))
        }
        Stored::Pq(stored) => Ok(Index::Pq(assembled_pq(context, stored, row_ids())?)),
        Stored::IvfFlat(stored) => {
            let ids = list_ids(&stored.lists.ids).ok_or_else(|| unsupported("an id map without some of the ids"))?;
            Ok(Index::IvfFlat(assembled_ivf_flat(context, stored, &ids)?))
        }
        Stored::IvfPq(stored) => {
            let ids = list_ids(&stored.lists.ids).ok_or_else(|| unsupported("an id map without some of the ids"))?;
            Ok(Index::IvfPq(assembled_ivf_pq(context, stored, &ids)?))
        }
        Stored::IdMap(_) | Stored::Normalized(_) => Err(unsupported("an index wrapped twice in the same way")),
    }
}

fn unsupported(what: &str) -> Error {
    Error::parameter("index file", what, "an index of plain parts")
}

fn assembled<K: super::Kind>(context: Context, kind: K, ids: Ids) -> Result<VectorIndex<K>> {
    let (kind, order) = ranked(&context, kind, &ids)?;
    Ok(VectorIndex { context, kind, ids, order, warnings: vec![] })
}

fn assembled_pq(context: Context, stored: faiss::Pq, ids: Ids) -> Result<PqIndex> {
    let (m, nbits) = (stored.codebook.m, stored.codebook.nbits);
    let trained = if stored.header.is_trained {
        let quantizer = quantizer(&context.device, &stored.codebook)?;
        let codes = codes_to_device(&context.device, &stored.codes, &quantizer)?;
        Some(pq::Trained { quantizer, codes, entries: Entries::single(&context.device, stored.header.ntotal)? })
    } else {
        None
    };
    assembled(context, Pq { m, nbits, trained, layout: Some(stored.layout) }, ids)
}

fn assembled_ivf_flat(context: Context, stored: faiss::IvfFlat, ids: &[i64]) -> Result<IvfFlatIndex> {
    let nlist = stored.lists.sizes.len();
    let mut kind = IvfFlat { nlist, nprobe: stored.ivf.nprobe.max(1), trained: None };
    let (ids, rows) = Ids::from_entries(ids);
    if stored.ivf.header.is_trained {
        let (centroids, entries) = lists(&context, &stored.ivf, &stored.lists.sizes, rows)?;
        let rows = context.device.upload(stored.lists.entries, context.dimension)?;
        kind.trained =
            Some(ivf_flat::Trained { ivf: Ivf { centroids: context.device.matrix(centroids.view())?, entries }, rows });
    }
    assembled(context, kind, ids)
}

fn assembled_ivf_pq(context: Context, stored: faiss::IvfPq, ids: &[i64]) -> Result<IvfPqIndex> {
    let nlist = stored.lists.sizes.len();
    let mut kind = IvfPq {
        nlist,
        m: stored.codebook.m,
        nbits: stored.codebook.nbits,
        nprobe: stored.ivf.nprobe.max(1),
        by_residual: stored.by_residual,
        trained: None,
    };
    let (ids, rows) = Ids::from_entries(ids);
    if stored.ivf.header.is_trained {
        let (centroids, entries) = lists(&context, &stored.ivf, &stored.lists.sizes, rows)?;
        let quantizer = quantizer(&context.device, &stored.codebook)?;
        let codes = codes_to_device(&context.device, &stored.lists.entries, &quantizer)?;
        let ivf = Ivf { centroids: context.device.matrix(centroids.view())?, entries };
        let mut trained = ivf_pq::Trained::empty(&context, &kind, ivf, quantizer, centroids.view())?;
        trained.codes = codes;
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
            let terms = pq_terms(&mut work, &trained.codes, codebook, &trained.ivf.centroids, &labels, origin)?;
            let positions = ivf_pq::positions(&mut work, &trained.ivf.entries.lists.ids)?;
            work.submit()?;
            trained.residuals = Some(Residuals { origin: origin.clone(), terms, positions });
        }
        kind.trained = Some(trained);
    }
    assembled(context, kind, ids)
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
    crate::quantize::check(codebook.dimension, codebook.m, codebook.nbits)?;
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
async fn codes_from_device(device: &Device, codes: &DeviceArray<u32>, code_size: usize) -> Result<Vec<u8>> {
    let words = read(device, codes).await?;
    let rows = words.chunks_exact(codes.columns().max(1));
    Ok(rows.flat_map(|row| row.iter().flat_map(|word| word.to_le_bytes()).take(code_size)).collect())
}

async fn read<T: Pod>(device: &Device, array: &DeviceArray<T>) -> Result<Vec<T>> {
    device.work().read(array.clone()).await
}

pub(super) async fn to_stored(index: &Index) -> Result<Stored> {
    let (stored, metric) = match index {
        Index::Flat(index) => (mapped(flat_to_stored(index).await?, &index.ids), index.metric()),
        Index::Pq(index) => (mapped(pq_to_stored(index).await?, &index.ids), index.metric()),
        Index::IvfFlat(index) => (ivf_flat_to_stored(index).await?, index.metric()),
        Index::IvfPq(index) => (ivf_pq_to_stored(index).await?, index.metric()),
    };
    Ok(if metric == Metric::Cosine { Stored::Normalized(Box::new(stored)) } else { stored })
}

/// Behind an id map, if there are identifiers to keep.
fn mapped(stored: Stored, ids: &Ids) -> Stored {
    match ids.given() {
        Some(ids) => Stored::IdMap(faiss::IdMap { index: Box::new(stored), ids: ids.to_vec(), two_way: false }),
        None => stored,
    }
}

fn header<K: super::Kind>(index: &VectorIndex<K>) -> Header {
    let metric = if index.metric() == Metric::L2 { Metric::L2 } else { Metric::InnerProduct };
    Header { dimension: index.dimension(), ntotal: index.ntotal(), is_trained: index.is_trained(), metric }
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

async fn pq_to_stored(index: &PqIndex) -> Result<Stored> {
    let trained = index.kind.trained.as_ref().ok_or(Error::NotTrained { what: "PQ index" })?;
    let codebook = codebook(&trained.quantizer);
    let codes = codes_from_device(index.device(), &trained.codes, codebook.code_size()).await?;
    let layout = index.kind.layout.unwrap_or_else(|| PqLayout::plain(&codebook));
    Ok(Stored::Pq(faiss::Pq { header: header(index), codebook, codes, layout }))
}

async fn ivf_to_stored<K: super::Kind>(
    index: &VectorIndex<K>,
    ivf: &Ivf,
    nprobe: usize,
) -> Result<(faiss::Ivf, Vec<usize>, Vec<i64>)> {
    let Lists { offsets, .. } = &ivf.entries.lists;
    let offsets = read(index.device(), offsets).await?;
    let sizes = offsets.windows(2).map(|ends| (ends[1] - ends[0]) as usize).collect();
    let rows = read(index.device(), &ivf.entries.rows).await?;
    let ids = rows.into_iter().map(|row| index.ids.of(row)).collect();
    let header = header(index);
    let flat = faiss::Flat {
        header: Header { ntotal: ivf.centroids.rows(), is_trained: true, ..header },
        vectors: read(index.device(), &ivf.centroids).await?,
    };
    Ok((
        faiss::Ivf { header, nprobe, quantizer: Box::new(Stored::Flat(flat)), direct_map: DirectMap::None },
        sizes,
        ids,
    ))
}

async fn ivf_flat_to_stored(index: &IvfFlatIndex) -> Result<Stored> {
    let trained = index.kind.trained.as_ref().ok_or(Error::NotTrained { what: "IVF-Flat index" })?;
    let (ivf, sizes, ids) = ivf_to_stored(index, &trained.ivf, index.nprobe()).await?;
    let entries = read(index.device(), &trained.rows).await?;
    Ok(Stored::IvfFlat(faiss::IvfFlat { ivf, lists: faiss::Lists { sizes, entries, ids } }))
}

async fn ivf_pq_to_stored(index: &IvfPqIndex) -> Result<Stored> {
    let trained = index.kind.trained.as_ref().ok_or(Error::NotTrained { what: "IVF-PQ index" })?;
    let (ivf, sizes, ids) = ivf_to_stored(index, &trained.ivf, index.nprobe()).await?;
    let codebook = codebook(&trained.quantizer);
    let entries = codes_from_device(index.device(), &trained.codes, codebook.code_size()).await?;
    let by_residual = index.by_residual();
    Ok(Stored::IvfPq(faiss::IvfPq { ivf, by_residual, codebook, lists: faiss::Lists { sizes, entries, ids } }))
}
