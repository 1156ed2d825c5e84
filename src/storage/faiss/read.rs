//! Reading index files.

use std::{io::Read, path::Path};

use super::{
    Codebook, DirectMap, Flat, Header, IdMap, Ivf, IvfFlat, IvfPq, Lists, MAX_DEPTH, MAX_DIMENSION, MAX_NBITS,
    MAX_UNTRAINED_NLIST, OTHER_KINDS, OTHER_METRICS, Pq, PqLayout, Stored, Transform, Transformed, fast_scan::Blocks,
    validate,
};
use crate::{
    Metric, Result,
    storage::source::{Element, Source, check_finite, malformed, reserve},
};

/// Reads the index in a file.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read, otherwise as [`read()`], inside an
/// [`Error::File`](crate::Error::File) that names it.
pub fn read_file(path: impl AsRef<Path>) -> Result<Stored> {
    crate::storage::read_file(path.as_ref(), read)
}

/// Reads the index that a stream holds from here to its end. Small reads are many: hand in something buffered.
///
/// With `length`, the number of bytes to come, no size in the file is believed that exceeds it; without, memory grows
/// only as bytes arrive.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) with the offset of the first field that cannot be right or that is not
/// supported, [`Error::Io`](crate::Error::Io) if the stream fails.
pub fn read(reader: impl Read, length: Option<u64>) -> Result<Stored> {
    let mut source = Source::new(reader, length);
    let stored = index(&mut source, 0)?;
    source.end()?;
    Ok(stored)
}

/// One index, `depth` others around it.
fn index<R: Read>(source: &mut Source<R>, depth: usize) -> Result<Stored> {
    let start = source.offset();
    if depth > MAX_DEPTH {
        return Err(malformed(start, format!("indexes are nested more than {MAX_DEPTH} deep")));
    }
    let kind = source.fourcc("the kind of index")?;
    match &kind {
        b"IxF2" | b"IxFI" | b"IxFl" => flat(source, kind).map(Stored::Flat),
        b"IxPq" => pq(source).map(Stored::Pq),
        b"IPfs" => pq_fast_scan(source).map(Stored::Pq),
        b"IwFl" => ivf_flat(source, depth).map(Stored::IvfFlat),
        b"IwPQ" => ivf_pq(source, depth).map(Stored::IvfPq),
        b"IxMp" | b"IxM2" => id_map(source, &kind == b"IxM2", depth).map(Stored::IdMap),
        b"IxPT" => transformed(source, depth),
        _ => {
            let known = name_of(kind, &OTHER_KINDS).unwrap_or("not an index file of faiss, or a kind unknown here");
            let kind = kind.escape_ascii();
            Err(malformed(start, format!("index kind \"{kind}\" is not supported ({known})")))
        }
    }
}

/// What a four-character code stands for.
pub(super) fn name_of(code: [u8; 4], names: &[(&str, &'static str)]) -> Option<&'static str> {
    names.iter().find(|(name, _)| name.as_bytes() == code).map(|&(_, meaning)| meaning)
}

fn header<R: Read>(source: &mut Source<R>) -> Result<Header> {
    let start = source.offset();
    let dimension: i32 = source.number("the dimension")?;
    let dimension = usize::try_from(dimension)
        .ok()
        .filter(|dimension| (1..=MAX_DIMENSION).contains(dimension))
        .ok_or_else(|| malformed(start, format!("dimension {dimension} is not within 1..={MAX_DIMENSION}")))?;
    let start = source.offset();
    let ntotal: i64 = source.number("ntotal")?;
    let ntotal = usize::try_from(ntotal).map_err(|_| malformed(start, format!("ntotal is {ntotal}")))?;
    for _ in 0..2 {
        source.number::<i64>("the header")?;
    }
    let is_trained = source.bool("is_trained")?;
    let start = source.offset();
    let metric = match source.number::<i32>("the metric")? {
        0 => Metric::InnerProduct,
        1 => Metric::L2,
        other => {
            let name = OTHER_METRICS.iter().find(|(number, _)| *number == other).map_or("unknown", |(_, name)| name);
            return Err(malformed(
                start,
                format!("metric {other} ({name}) is not supported: only L2 and inner product are"),
            ));
        }
    };
    Ok(Header { dimension, ntotal, is_trained, metric })
}

/// ntotal rows of `width` items, the header at `start` having said so.
fn items(header: &Header, width: usize, start: u64) -> Result<usize> {
    header.ntotal.checked_mul(width).ok_or_else(|| malformed(start, format!("ntotal is {}, too large", header.ntotal)))
}

fn flat<R: Read>(source: &mut Source<R>, kind: [u8; 4]) -> Result<Flat> {
    let start = source.offset();
    let header = header(source)?;
    if (&kind == b"IxF2" && header.metric != Metric::L2) || (&kind == b"IxFI" && header.metric != Metric::InnerProduct)
    {
        let message = format!("the metric is {}, which \"{}\" contradicts", header.metric, kind.escape_ascii());
        return Err(malformed(source.offset() - 4, message));
    }
    let vectors = source.counted_floats(items(&header, header.dimension, start)?, "the vectors")?;
    Ok(Flat { header, vectors })
}

fn codebook<R: Read>(source: &mut Source<R>, dimension: usize) -> Result<Codebook> {
    let start = source.offset();
    let found = source.size("the codebook's dimension")?;
    if found != dimension {
        return Err(malformed(start, format!("the codebook's dimension is {found}, the index's {dimension}")));
    }
    let start = source.offset();
    let m = source.size("m")?;
    if m == 0 || !dimension.is_multiple_of(m) {
        return Err(malformed(start, format!("m is {m}, which does not divide the dimension {dimension}")));
    }
    let start = source.offset();
    let nbits = source.size("nbits")?;
    if !(1..=MAX_NBITS).contains(&nbits) {
        return Err(malformed(start, format!("nbits is {nbits}, not within 1..={MAX_NBITS}")));
    }
    let count = dimension
        .checked_mul(1 << nbits)
        .ok_or_else(|| malformed(start, format!("a codebook of {nbits} bits is too large")))?;
    let centroids = source.counted_floats(count, "the codebook")?;
    Ok(Codebook { dimension, m, nbits, centroids })
}

fn pq<R: Read>(source: &mut Source<R>) -> Result<Pq> {
    let start = source.offset();
    let header = header(source)?;
    let codebook = codebook(source, header.dimension)?;
    let codes = source.counted(items(&header, codebook.code_size(), start)?, "the codes")?;
    let start = source.offset();
    let search_type = source.number("the search type")?;
    if !(0..=5).contains(&search_type) {
        return Err(malformed(start, format!("the search type is {search_type}, not within 0..=5")));
    }
    let encode_signs = source.bool("encode_signs")?;
    let polysemous_ht = source.number("the polysemous threshold")?;
    Ok(Pq { header, codebook, codes, layout: PqLayout::Plain { search_type, encode_signs, polysemous_ht } })
}

fn pq_fast_scan<R: Read>(source: &mut Source<R>) -> Result<Pq> {
    let header_start = source.offset();
    let header = header(source)?;
    let nbits_start = source.offset() + 16;
    let codebook = codebook(source, header.dimension)?;
    if codebook.nbits != 4 {
        return Err(malformed(nbits_start, format!("nbits is {}, but fast scan needs 4", codebook.nbits)));
    }
    let implementation = source.number("the fast-scan implementation")?;
    let start = source.offset();
    let block_size: i32 = source.number("the block size")?;
    let rows = usize::try_from(block_size)
        .ok()
        .filter(|rows| *rows > 0 && rows.is_multiple_of(32))
        .ok_or_else(|| malformed(start, format!("the block size is {block_size}, not a multiple of 32")))?;
    let start = source.offset();
    let query_blocks: i32 = source.number("the query blocks")?;
    if query_blocks < 0 {
        return Err(malformed(start, format!("the query blocks are {query_blocks}")));
    }
    let rounded = header.ntotal.checked_next_multiple_of(rows);
    let start = source.offset();
    let found = source.size("ntotal in whole blocks")?;
    if rounded != Some(found) {
        return Err(malformed(start, format!("ntotal in whole blocks is {found}, ntotal {}", header.ntotal)));
    }
    let start = source.offset();
    let found = source.size("m, even")?;
    if codebook.m.next_multiple_of(2) != found {
        return Err(malformed(start, format!("m, even, is {found}, but m {}", codebook.m)));
    }
    let codes = fast_scan_codes(source, &header, Blocks { rows, code_size: codebook.code_size() }, header_start)?;
    Ok(Pq { header, codebook, codes, layout: PqLayout::FastScan { implementation, block_size, query_blocks } })
}

/// The codes of all blocks, one block in memory at a time besides the result.
fn fast_scan_codes<R: Read>(source: &mut Source<R>, header: &Header, blocks: Blocks, at: u64) -> Result<Vec<u8>> {
    let start = source.offset();
    let count: u64 = source.number("the codes")?;
    let number = header.ntotal.div_ceil(blocks.rows);
    let block_bytes = blocks.bytes().ok_or_else(|| malformed(at, "a block is too large"))?;
    if number.checked_mul(block_bytes).map(|bytes| bytes as u64) != Some(count) {
        return Err(malformed(start, format!("{count} bytes of codes do not make {number} blocks of {block_bytes}")));
    }
    source.fits(start, count, 1, "the codes")?;
    let mut codes = Vec::new();
    let mut left = items(header, blocks.code_size, at)?;
    while left > 0 {
        let block: Vec<u8> = source.numbers(start, block_bytes, "the codes")?;
        let old = codes.len();
        let step = left.min(block_bytes);
        if codes.capacity() - old < step {
            reserve(&mut codes, if source.remaining().is_some() { left } else { step.max(old.min(left)) })?;
        }
        codes.resize(old + step, 0);
        blocks.unpack(&block, codes.get_mut(old..).unwrap_or_default());
        left -= step;
    }
    Ok(codes)
}

/// An inverted file up to its lists: what it has, its nlist, and where the direct map's entries begin.
fn ivf<R: Read>(source: &mut Source<R>, depth: usize) -> Result<(Ivf, usize, u64)> {
    let header = header(source)?;
    let nlist_start = source.offset();
    let nlist = source.size("nlist")?;
    let nprobe = source.size("nprobe")?;
    let start = source.offset();
    let quantizer = Box::new(index(source, depth + 1)?);
    let coarse = quantizer.header();
    if coarse.dimension != header.dimension {
        let message =
            format!("the coarse quantizer's dimension is {}, the index's {}", coarse.dimension, header.dimension);
        return Err(malformed(start, message));
    }
    let untrained = !header.is_trained && header.ntotal == 0 && coarse.ntotal == 0 && nlist <= MAX_UNTRAINED_NLIST;
    if nlist != coarse.ntotal && !untrained {
        return Err(malformed(
            nlist_start,
            format!("nlist is {nlist}, but the coarse quantizer has {}", coarse.ntotal),
        ));
    }
    let start = source.offset();
    let kind: u8 = source.number("the direct map's type")?;
    let entries = source.offset() + 8;
    let array = source.counted(if kind == 1 { header.ntotal } else { 0 }, "the direct map")?;
    let (direct_map, entries) = match kind {
        0 => (DirectMap::None, entries),
        1 => (DirectMap::Array(array), entries),
        2 => (DirectMap::Hashtable(pairs(source)?), entries + 8),
        _ => return Err(malformed(start, format!("the direct map's type is {kind}, not within 0..=2"))),
    };
    Ok((Ivf { header, nprobe, quantizer, direct_map }, nlist, entries))
}

/// A count, then that many pairs.
fn pairs<T: Element, R: Read>(source: &mut Source<R>) -> Result<Vec<(T, T)>> {
    let start = source.offset();
    let count = source.size("the number of pairs")?;
    source.fits(start, count as u64, 2 * size_of::<T>(), "the pairs")?;
    let numbers: Vec<T> = source.numbers(start, 2 * count, "the pairs")?;
    Ok(numbers.as_chunks().0.iter().map(|&[first, second]| (first, second)).collect())
}

fn ivf_flat<R: Read>(source: &mut Source<R>, depth: usize) -> Result<IvfFlat> {
    let (ivf, nlist, map) = ivf(source, depth)?;
    let lists = lists(source, &ivf.header, nlist, ivf.header.dimension, |entries, start| {
        check_finite(entries, start, "the vectors")
    })?;
    check_direct_map(&ivf.direct_map, &lists.sizes, map)?;
    Ok(IvfFlat { ivf, lists })
}

fn ivf_pq<R: Read>(source: &mut Source<R>, depth: usize) -> Result<IvfPq> {
    let (ivf, nlist, map) = ivf(source, depth)?;
    let by_residual = source.bool("by_residual")?;
    let start = source.offset();
    let code_size = source.size("the code size")?;
    let codebook = codebook(source, ivf.header.dimension)?;
    if code_size != codebook.code_size() {
        let (m, nbits) = (codebook.m, codebook.nbits);
        return Err(malformed(start, format!("the code size is {code_size}, but m is {m} and nbits {nbits}")));
    }
    let lists = lists(source, &ivf.header, nlist, code_size, |_, _| Ok(()))?;
    check_direct_map(&ivf.direct_map, &lists.sizes, map)?;
    Ok(IvfPq { ivf, by_residual, codebook, lists })
}

/// Inverted lists with `width` items an entry; `check` sees each list's items and their offset.
fn lists<T: Element, R: Read>(
    source: &mut Source<R>,
    header: &Header,
    nlist: usize,
    width: usize,
    check: impl Fn(&[T], u64) -> Result<()>,
) -> Result<Lists<T>> {
    let start = source.offset();
    let kind = source.fourcc("the kind of inverted lists")?;
    if &kind != b"ilar" {
        return Err(malformed(start, format!("inverted lists \"{}\" are not supported", kind.escape_ascii())));
    }
    for (field, expected) in [("the lists' nlist", nlist), ("the lists' code size", width * size_of::<T>())] {
        let start = source.offset();
        let found = source.size(field)?;
        if found != expected {
            return Err(malformed(start, format!("{field} is {found}, expected {expected}")));
        }
    }
    let start = source.offset();
    let sizes = list_sizes(source, nlist)?;
    let sum = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
    if sum != Some(header.ntotal) {
        let sum = sum.map_or("too many".into(), |sum| sum.to_string());
        return Err(malformed(start, format!("the lists hold {sum} entries, but ntotal is {}", header.ntotal)));
    }
    source.fits(start, header.ntotal as u64, width * size_of::<T>() + size_of::<i64>(), "the lists")?;
    let (mut entries, mut ids) = (Vec::new(), Vec::new());
    if source.remaining().is_some() {
        reserve(&mut entries, items(header, width, start)?)?;
        reserve(&mut ids, header.ntotal)?;
    }
    for &size in &sizes {
        let (first, offset) = (entries.len(), source.offset());
        let count = size.checked_mul(width).ok_or_else(|| malformed(start, "a list is too large"))?;
        source.append(&mut entries, count, "a list's entries")?;
        check(entries.get(first..).unwrap_or_default(), offset)?;
        source.append(&mut ids, size, "a list's ids")?;
    }
    Ok(Lists { sizes, entries, ids })
}

/// The size of each list, from either form.
fn list_sizes<R: Read>(source: &mut Source<R>, nlist: usize) -> Result<Vec<usize>> {
    let start = source.offset();
    let form = source.fourcc("the form of the list sizes")?;
    let too_large = |size: u64| malformed(start, format!("a list of {size} entries is too large"));
    match &form {
        b"full" => {
            let sizes: Vec<u64> = source.counted(nlist, "the list sizes")?;
            sizes.into_iter().map(|size| usize::try_from(size).map_err(|_| too_large(size))).collect()
        }
        b"sprs" => {
            let count_start = source.offset();
            let count = source.size("the list sizes")?;
            if count % 2 != 0 || count / 2 > nlist {
                return Err(malformed(
                    count_start,
                    format!("{count} numbers are not (list, size) pairs of {nlist} lists"),
                ));
            }
            let numbers: Vec<u64> = source.numbers(count_start, count, "the list sizes")?;
            let mut sizes = Vec::new();
            reserve(&mut sizes, nlist)?;
            for &[list, size] in numbers.as_chunks().0 {
                let list = usize::try_from(list).ok().filter(|&list| (sizes.len()..nlist).contains(&list));
                let list =
                    list.ok_or_else(|| malformed(count_start, format!("lists are not ascending within 0..{nlist}")))?;
                sizes.resize(list, 0);
                sizes.push(usize::try_from(size).map_err(|_| too_large(size))?);
            }
            sizes.resize(nlist, 0);
            Ok(sizes)
        }
        _ => Err(malformed(start, format!("list sizes in the form \"{}\" are not supported", form.escape_ascii()))),
    }
}

/// Entries of the direct map, which begin at `start`, must point into the lists.
fn check_direct_map(map: &DirectMap, sizes: &[usize], start: u64) -> Result<()> {
    match validate::stray_entry(map, sizes) {
        None => Ok(()),
        Some((index, entry)) => {
            let place = match map {
                DirectMap::Hashtable(_) => start + 16 * index as u64 + 8,
                DirectMap::None | DirectMap::Array(_) => start + 8 * index as u64,
            };
            Err(malformed(place, format!("the direct map's entry {entry} points at no place in the lists")))
        }
    }
}

fn id_map<R: Read>(source: &mut Source<R>, two_way: bool, depth: usize) -> Result<IdMap> {
    let start = source.offset();
    let outer = header(source)?;
    let index = Box::new(index(source, depth + 1)?);
    check_wrapper(&outer, &index.header(), start)?;
    let ids = source.counted(outer.ntotal, "the ids")?;
    Ok(IdMap { index, ids, two_way })
}

/// An index behind a normalisation, a linear transform, or one after the other.
fn transformed<R: Read>(source: &mut Source<R>, depth: usize) -> Result<Stored> {
    let start = source.offset();
    let outer = header(source)?;
    let count_start = source.offset();
    let count: i32 = source.number("the number of transforms")?;
    if !(1..=2).contains(&count) {
        let message =
            format!("{count} transforms: a normalisation and a linear transform are supported, in that order");
        return Err(malformed(count_start, message));
    }
    let mut transform_start = source.offset();
    let mut kind = source.fourcc("the kind of transform")?;
    let normalized = &kind == b"VNrm";
    if normalized {
        normalization(source, &outer)?;
    }
    let transform = if normalized && count == 1 {
        None
    } else {
        if normalized {
            transform_start = source.offset();
            kind = source.fourcc("the kind of transform")?;
        } else if count == 2 {
            return Err(malformed(count_start, "two transforms, the first of which is not a normalisation"));
        }
        Some(Transform::read(source, kind, transform_start)?)
    };
    let index = Box::new(index(source, depth + 1)?);
    let Some(transform) = transform else {
        check_wrapper(&outer, &index.header(), start)?;
        return Ok(Stored::Normalized(index));
    };
    let (found, expected) = (index.header().dimension, transform.output_dimension);
    if found != expected {
        let message = format!("the transform's output dimension is {expected}, that of the index behind it {found}");
        return Err(malformed(transform_start, message));
    }
    let stored = Stored::Transformed(Transformed { normalized, transform, index });
    check_wrapper(&outer, &stored.header(), start)?;
    Ok(stored)
}

/// What there is of a normalisation of the index's vectors.
fn normalization<R: Read>(source: &mut Source<R>, outer: &Header) -> Result<()> {
    let norm_start = source.offset();
    let norm: f32 = source.number("the norm")?;
    if norm.to_bits() != 2f32.to_bits() {
        return Err(malformed(
            norm_start,
            format!("normalisation by the {norm}-norm is not supported: only by the 2-norm"),
        ));
    }
    for field in ["the transform's input dimension", "the transform's output dimension"] {
        let start = source.offset();
        let dimension: i32 = source.number(field)?;
        if usize::try_from(dimension) != Ok(outer.dimension) {
            return Err(malformed(start, format!("{field} is {dimension}, the index's {}", outer.dimension)));
        }
    }
    let trained_start = source.offset();
    if !source.bool("the transform's is_trained")? {
        return Err(malformed(trained_start, "a normalisation needs no training, yet is marked as untrained"));
    }
    Ok(())
}

/// A wrapper must agree with what it wraps. faiss lets `is_trained` lag behind, so the wrapped index's holds.
fn check_wrapper(outer: &Header, inner: &Header, start: u64) -> Result<()> {
    if (outer.dimension, outer.ntotal, outer.metric) == (inner.dimension, inner.ntotal, inner.metric) {
        return Ok(());
    }
    let show = |header: &Header| format!("d={}, ntotal={}, {}", header.dimension, header.ntotal, header.metric);
    Err(malformed(start, format!("a wrapper ({}) around another index ({})", show(outer), show(inner))))
}
