//! Writing index files.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{
    Codebook, DirectMap, Header, Ivf, Lists, Pq, PqLayout, Stored, check, fast_scan::Blocks, is_sparse, metric_number,
};
use crate::{
    Metric, Result,
    storage::{
        source::{Element, put},
        stream_error, write_whole,
    },
};

/// What the two unused fields of a header hold.
const UNUSED: i64 = 1 << 20;

/// Writes an index to a file, whole or not at all.
///
/// # Errors
/// As [`write()`] and [`write_whole`].
pub fn write_file(stored: &Stored, path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
    write_whole(path, overwrite, |writer| write(stored, writer))
}

/// Writes an index to a stream. Small writes are many: hand in something buffered.
///
/// # Errors
/// [`Error::Length`](crate::Error::Length), [`Error::Dimension`](crate::Error::Dimension),
/// [`Error::Parameter`](crate::Error::Parameter), [`Error::Limit`](crate::Error::Limit) or
/// [`Error::NotFinite`](crate::Error::NotFinite) if the contents do not fit together, before anything is written;
/// [`Error::Io`](crate::Error::Io) if the stream fails.
pub fn write(stored: &Stored, mut writer: impl Write) -> Result<()> {
    check(stored)?;
    index(&mut writer, stored).map_err(stream_error)
}

fn index(writer: &mut impl Write, stored: &Stored) -> io::Result<()> {
    let outer = stored.header();
    match stored {
        Stored::Flat(flat) => {
            writer.write_all(if outer.metric == Metric::L2 { b"IxF2" } else { b"IxFI" })?;
            header(writer, &outer)?;
            counted(writer, &flat.vectors)
        }
        Stored::Pq(pq) => product_quantized(writer, pq),
        Stored::IvfFlat(index) => {
            writer.write_all(b"IwFl")?;
            ivf(writer, &index.ivf, index.lists.sizes.len())?;
            lists(writer, &index.lists, outer.dimension)
        }
        Stored::IvfPq(index) => {
            writer.write_all(b"IwPQ")?;
            ivf(writer, &index.ivf, index.lists.sizes.len())?;
            put(writer, &[u8::from(index.by_residual)])?;
            put(writer, &[index.codebook.code_size() as u64])?;
            codebook(writer, &index.codebook)?;
            lists(writer, &index.lists, index.codebook.code_size())
        }
        Stored::IdMap(map) => {
            writer.write_all(if map.two_way { b"IxM2" } else { b"IxMp" })?;
            header(writer, &outer)?;
            index(writer, &map.index)?;
            counted(writer, &map.ids)
        }
        Stored::Normalized(normalized) => {
            writer.write_all(b"IxPT")?;
            header(writer, &outer)?;
            put(writer, &[1i32])?;
            normalization(writer, &outer)?;
            index(writer, normalized)
        }
        Stored::Transformed(transformed) => {
            writer.write_all(b"IxPT")?;
            header(writer, &outer)?;
            put(writer, &[1 + i32::from(transformed.normalized)])?;
            if transformed.normalized {
                normalization(writer, &outer)?;
            }
            transformed.transform.write(writer)?;
            index(writer, &transformed.index)
        }
    }
}

fn normalization(writer: &mut impl Write, outer: &Header) -> io::Result<()> {
    writer.write_all(b"VNrm")?;
    put(writer, &[2f32])?;
    put(writer, &[outer.dimension as i32; 2])?;
    put(writer, &[1u8])
}

fn header(writer: &mut impl Write, header: &Header) -> io::Result<()> {
    let metric = metric_number(header.metric).ok_or(io::ErrorKind::InvalidInput)?;
    put(writer, &[header.dimension as i32])?;
    put(writer, &[header.ntotal as i64, UNUSED, UNUSED])?;
    put(writer, &[u8::from(header.is_trained)])?;
    put(writer, &[metric])
}

/// The number of items, then the items.
pub(super) fn counted<T: Element>(writer: &mut impl Write, items: &[T]) -> io::Result<()> {
    put(writer, &[items.len() as u64])?;
    put(writer, items)
}

fn codebook(writer: &mut impl Write, codebook: &Codebook) -> io::Result<()> {
    put(writer, &[codebook.dimension as u64, codebook.m as u64, codebook.nbits as u64])?;
    counted(writer, &codebook.centroids)
}

fn product_quantized(writer: &mut impl Write, pq: &Pq) -> io::Result<()> {
    writer.write_all(if matches!(pq.layout, PqLayout::Plain { .. }) { b"IxPq" } else { b"IPfs" })?;
    header(writer, &pq.header)?;
    codebook(writer, &pq.codebook)?;
    match pq.layout {
        PqLayout::Plain { search_type, encode_signs, polysemous_ht } => {
            counted(writer, &pq.codes)?;
            put(writer, &[search_type])?;
            put(writer, &[u8::from(encode_signs)])?;
            put(writer, &[polysemous_ht])
        }
        PqLayout::FastScan { implementation, block_size, query_blocks } => {
            put(writer, &[implementation, block_size, query_blocks])?;
            let blocks = Blocks { rows: block_size as usize, code_size: pq.codebook.code_size() };
            let block_bytes = blocks.bytes().ok_or(io::ErrorKind::InvalidInput)?;
            let number = pq.header.ntotal.div_ceil(blocks.rows);
            put(writer, &[(number * blocks.rows) as u64, pq.codebook.m.next_multiple_of(2) as u64])?;
            put(writer, &[(number * block_bytes) as u64])?;
            let mut block = vec![0; if number > 0 { block_bytes } else { 0 }];
            pq.codes.chunks(block_bytes).try_for_each(|codes| {
                blocks.pack(codes, &mut block);
                put(writer, &block)
            })
        }
    }
}

fn ivf(writer: &mut impl Write, ivf: &Ivf, nlist: usize) -> io::Result<()> {
    header(writer, &ivf.header)?;
    put(writer, &[nlist as u64, ivf.nprobe as u64])?;
    index(writer, &ivf.quantizer)?;
    match &ivf.direct_map {
        DirectMap::None => {
            put(writer, &[0u8])?;
            counted::<i64>(writer, &[])
        }
        DirectMap::Array(entries) => {
            put(writer, &[1u8])?;
            counted(writer, entries)
        }
        DirectMap::Hashtable(pairs) => {
            put(writer, &[2u8])?;
            counted::<i64>(writer, &[])?;
            put(writer, &[pairs.len() as u64])?;
            pairs.iter().try_for_each(|&(id, entry)| put(writer, &[id, entry]))
        }
    }
}

/// Inverted lists with `width` items an entry.
fn lists<T: Element>(writer: &mut impl Write, lists: &Lists<T>, width: usize) -> io::Result<()> {
    writer.write_all(b"ilar")?;
    put(writer, &[lists.sizes.len() as u64, (width * size_of::<T>()) as u64])?;
    let sizes = lists.sizes.iter().map(|&size| size as u64);
    if is_sparse(&lists.sizes) {
        writer.write_all(b"sprs")?;
        let pairs: Vec<u64> =
            (0u64..).zip(sizes).filter(|&(_, size)| size > 0).flat_map(|(list, size)| [list, size]).collect();
        counted(writer, &pairs)?;
    } else {
        writer.write_all(b"full")?;
        counted(writer, &sizes.collect::<Vec<_>>())?;
    }
    let (mut entries, mut ids) = (&lists.entries[..], &lists.ids[..]);
    for &size in &lists.sizes {
        let (these, rest) = entries.split_at_checked(size * width).ok_or(io::ErrorKind::InvalidInput)?;
        put(writer, these)?;
        entries = rest;
        let (these, rest) = ids.split_at_checked(size).ok_or(io::ErrorKind::InvalidInput)?;
        put(writer, these)?;
        ids = rest;
    }
    Ok(())
}
