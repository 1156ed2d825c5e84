//! Clusters as files: a table, their representatives, the network.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::{ClusterOptions, Clusters, Earlier, consensus};
use crate::{
    Error, Result,
    spectra::{Collection, Spectrum, write_mgf},
    storage::stream_error,
};

/// Spectra that are fetched together.
const FETCHED_AT_ONCE: usize = 1 << 12;

/// Clusters, their spectra, and what is to be said of how they came about.
pub struct ClusterFiles<'a, C: ?Sized> {
    /// The spectra.
    pub spectra: &'a C,
    /// Their clusters.
    pub clusters: &'a Clusters,
    /// The clusters that they were clustered into.
    pub earlier: &'a Earlier,
    /// How they were clustered.
    pub options: &'a ClusterOptions,
    /// Program, device and parameters, which each file begins with.
    pub heading: &'a [(String, String)],
}

impl<C: Collection + ?Sized> ClusterFiles<'_, C> {
    /// Writes a table, tab-separated, a line a spectrum by clusters: file, id, cluster, size, representative (`yes` or
    /// `no`), after lines with `#` that say how the clusters came about.
    ///
    /// # Errors
    /// Those of the writer, as [`Error::Io`], and of fetching the spectra.
    pub fn write_table(&self, out: &mut impl Write) -> Result<()> {
        self.write_heading(out)?;
        writeln!(out, "file\tid\tcluster\tsize\trepresentative").map_err(stream_error)?;
        self.for_each(|cluster, numbers, spectra| {
            let size = self.size(cluster);
            let mut line = |file: &str, id: &str, is_representative: bool| {
                let is_representative = if is_representative { "yes" } else { "no" };
                writeln!(out, "{}\t{}\t{cluster}\t{size}\t{is_representative}", cell(file), cell(id))
                    .map_err(stream_error)
            };
            for row in self.earlier.rows(cluster) {
                line(&row.file, &row.id, row.representative)?;
            }
            let medoid = self.clusters.medoids()[cluster];
            // The representative of an earlier cluster is among its rows already.
            let new = numbers.iter().zip(spectra).filter(|(number, _)| !self.is_earlier(cluster, **number));
            for (&number, spectrum) in new {
                line(&spectrum.source.file.to_string_lossy(), &spectrum.id(), number == medoid)?;
            }
            Ok(())
        })
    }

    /// Writes the medoid of each cluster as MGF, with `CLUSTER_ID` and `CLUSTER_SIZE`; it is the cleaned spectrum with
    /// its intensities as they were and all its fields.
    ///
    /// # Errors
    /// As [`ClusterFiles::write_table`].
    pub fn write_medoids(&self, out: &mut impl Write) -> Result<()> {
        self.write_heading(out)?;
        let clusters: Vec<usize> = (0..self.clusters.len()).collect();
        for clusters in clusters.chunks(FETCHED_AT_ONCE) {
            let numbers: Vec<u32> = clusters.iter().map(|&cluster| self.clusters.medoids()[cluster]).collect();
            for (&cluster, mut spectrum) in clusters.iter().zip(self.spectra.fetch(&numbers)?) {
                let source = spectrum.source.clone();
                for (key, value) in [
                    ("SOURCE_FILE", source.file.to_string_lossy().into_owned()),
                    ("SOURCE_INDEX", source.index.to_string()),
                ] {
                    if spectrum.field(key).is_none() {
                        spectrum.fields.push((key.into(), value));
                    }
                }
                self.write_representative(out, cluster, spectrum)?;
            }
        }
        Ok(())
    }

    /// Writes the [`consensus`] of each cluster as MGF, with `CLUSTER_ID` and `CLUSTER_SIZE`. That of an earlier cluster
    /// stays as it was.
    ///
    /// # Errors
    /// As [`ClusterFiles::write_table`].
    pub fn write_consensus(&self, out: &mut impl Write) -> Result<()> {
        self.write_heading(out)?;
        self.for_each(|cluster, _, spectra| {
            let mut merged = match self.earlier.consensus(cluster) {
                Some(merged) => merged.clone(),
                None => consensus(spectra, self.options.fragment_tolerance).ok_or(Error::Empty { what: "cluster" })?,
            };
            if merged.field("TITLE").is_none() {
                merged.fields.push(("TITLE".into(), format!("consensus of cluster {cluster}")));
            }
            self.write_representative(out, cluster, merged)
        })
    }

    /// Writes the network as [GraphML](http://graphml.graphdrawing.org): a node a spectrum, an edge for each of
    /// [`Clusters::edges`] with its score.
    ///
    /// # Errors
    /// As [`ClusterFiles::write_table`].
    pub fn write_network(&self, out: &mut impl Write) -> Result<()> {
        self.begin_network(out).map_err(stream_error)?;
        self.for_each(|cluster, numbers, spectra| {
            for (number, spectrum) in numbers.iter().zip(spectra) {
                self.write_node(out, cluster, *number, spectrum).map_err(stream_error)?;
            }
            Ok(())
        })?;
        for edge in self.clusters.edges() {
            writeln!(
                out,
                r#"    <edge source="s{}" target="s{}"><data key="score">{:.4}</data></edge>"#,
                edge.a, edge.b, edge.score
            )
            .map_err(stream_error)?;
        }
        writeln!(out, "  </graph>\n</graphml>").map_err(stream_error)
    }

    fn begin_network(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(out, r#"<graphml xmlns="http://graphml.graphdrawing.org/xmlns">"#)?;
        for (key, of, kind) in [
            ("file", "node", "string"),
            ("id", "node", "string"),
            ("cluster", "node", "int"),
            ("representative", "node", "boolean"),
            ("precursor_mz", "node", "double"),
            ("charge", "node", "int"),
            ("score", "edge", "double"),
        ] {
            writeln!(out, r#"  <key id="{key}" for="{of}" attr.name="{key}" attr.type="{kind}"/>"#)?;
        }
        for (number, (key, _)) in self.heading.iter().enumerate() {
            writeln!(out, r#"  <key id="p{number}" for="graph" attr.name="{}" attr.type="string"/>"#, escaped(key))?;
        }
        writeln!(out, r#"  <graph edgedefault="undirected">"#)?;
        for (number, (_, value)) in self.heading.iter().enumerate() {
            writeln!(out, r#"    <data key="p{number}">{}</data>"#, escaped(value))?;
        }
        Ok(())
    }

    fn write_node(&self, out: &mut impl Write, cluster: usize, number: u32, spectrum: &Spectrum) -> io::Result<()> {
        let data = |key: &str, value: Cow<'_, str>| format!(r#"<data key="{key}">{}</data>"#, escaped(&value));
        let mut all = data("file", spectrum.source.file.to_string_lossy());
        all += &data("id", spectrum.id().into());
        all += &data("cluster", cluster.to_string().into());
        all += &data("representative", (self.clusters.medoids()[cluster] == number).to_string().into());
        if let Some(mz) = spectrum.precursor_mz {
            all += &data("precursor_mz", mz.to_string().into());
        }
        if let Some(charge) = spectrum.charge() {
            all += &data("charge", charge.to_string().into());
        }
        writeln!(out, r#"    <node id="s{number}">{all}</node>"#)
    }

    fn write_representative(&self, out: &mut impl Write, cluster: usize, mut spectrum: Spectrum) -> Result<()> {
        spectrum.fields.retain(|(key, _)| !matches!(key.as_str(), "CLUSTER_ID" | "CLUSTER_SIZE"));
        let size = self.size(cluster).to_string();
        spectrum.fields.extend([("CLUSTER_ID".into(), cluster.to_string()), ("CLUSTER_SIZE".into(), size)]);
        write_mgf(out, &spectrum).map_err(stream_error)
    }

    /// Writes what a table or an MGF file begins with: lines with `#`, `# device: cpu`.
    ///
    /// # Errors
    /// Those of the writer, as [`Error::Io`].
    pub fn write_heading(&self, out: &mut impl Write) -> Result<()> {
        self.heading.iter().try_for_each(|(key, value)| writeln!(out, "# {key}: {}", cell(value)).map_err(stream_error))
    }

    /// Share of the spectra, those of earlier runs included, that are in a cluster of two or more.
    #[must_use]
    pub fn clustered_ratio(&self) -> f64 {
        let (mut clustered, mut all) = (0, 0);
        for size in (0..self.clusters.len()).map(|cluster| self.size(cluster)) {
            clustered += if size > 1 { size } else { 0 };
            all += size;
        }
        clustered as f64 / all.max(1) as f64
    }

    /// Spectra of a cluster, those of earlier runs included.
    pub(crate) fn size(&self, cluster: usize) -> usize {
        let (earlier, now) = (self.earlier.rows(cluster).len(), self.clusters.members(cluster).len());
        // The representative of an earlier cluster is in both.
        if earlier > 0 { earlier + now - 1 } else { now }
    }

    fn is_earlier(&self, cluster: usize, number: u32) -> bool {
        cluster < self.earlier.len() && self.clusters.medoids()[cluster] == number
    }

    /// Calls `visit` with each cluster, the numbers of its spectra and the spectra.
    fn for_each(&self, mut visit: impl FnMut(usize, &[u32], &[Spectrum]) -> Result<()>) -> Result<()> {
        let mut cluster = 0;
        while cluster < self.clusters.len() {
            let mut numbers = Vec::new();
            let mut end = cluster;
            while end < self.clusters.len() && numbers.len() < FETCHED_AT_ONCE {
                numbers.extend_from_slice(self.clusters.members(end));
                end += 1;
            }
            let fetched = self.spectra.fetch(&numbers)?;
            let mut rest = &fetched[..];
            for cluster in cluster..end {
                let members = self.clusters.members(cluster);
                let (spectra, others) = rest.split_at(members.len());
                visit(cluster, members, spectra)?;
                rest = others;
            }
            cluster = end;
        }
        Ok(())
    }
}

/// A text without what ends a cell of a table.
fn cell(text: &str) -> Cow<'_, str> {
    if text.contains(['\t', '\r', '\n']) { text.replace(['\t', '\r', '\n'], " ").into() } else { text.into() }
}

/// A text for XML, which allows no other control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}
