//! Clusters that an earlier run wrote.

use std::{collections::HashMap, fs, path::Path};

use crate::{
    Error, Result,
    spectra::{MgfReader, Spectrum},
};

/// The table of clusters in a folder.
pub const CLUSTERS_FILE: &str = "clusters.tsv";

/// The medoids in a folder.
pub const MEDOIDS_FILE: &str = "representatives.mgf";

/// The consensus spectra in a folder.
pub const CONSENSUS_FILE: &str = "consensus.mgf";

/// Clusters that an earlier run wrote, to cluster new spectra into.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    clusters: Vec<EarlierCluster>,
}

#[derive(Clone, Debug)]
struct EarlierCluster {
    rows: Vec<EarlierRow>,
    medoid: Spectrum,
    consensus: Option<Spectrum>,
}

/// A spectrum that an earlier run clustered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierRow {
    /// Its file.
    pub file: String,
    /// Its name in the file.
    pub id: String,
    /// Whether it represents its cluster.
    pub representative: bool,
}

impl Earlier {
    /// Reads [`CLUSTERS_FILE`], [`MEDOIDS_FILE`] and, if it is there, [`CONSENSUS_FILE`] of a folder.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read; [`Error::Format`], with the file's name, for a table that is not one of
    /// clusters, or where clusters and representatives do not match.
    pub fn read(folder: &Path) -> Result<Self> {
        let table = folder.join(CLUSTERS_FILE);
        let text = fs::read_to_string(&table).map_err(|source| Error::Io { path: table.clone(), source })?;
        let mut rows = rows(&text).map_err(|error| error.in_file(&table))?;
        let mut consensus = match folder.join(CONSENSUS_FILE) {
            path if path.exists() => by_cluster(&path)?,
            _ => HashMap::new(),
        };
        let medoids_file = folder.join(MEDOIDS_FILE);
        let mut medoids = by_cluster(&medoids_file)?;
        let mut clusters = Vec::with_capacity(medoids.len());
        for cluster in 0..medoids.len() {
            let (Some(medoid), Some(rows)) = (medoids.remove(&cluster), rows.remove(&cluster)) else {
                return Err(
                    damaged(0, format!("no cluster {cluster} here or in {CLUSTERS_FILE}")).in_file(medoids_file)
                );
            };
            clusters.push(EarlierCluster { rows, medoid, consensus: consensus.remove(&cluster) });
        }
        match rows.keys().min() {
            Some(cluster) => Err(damaged(0, format!("no representative of cluster {cluster}")).in_file(medoids_file)),
            None => Ok(Earlier { clusters }),
        }
    }

    /// The number of clusters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// The spectra of a cluster; none of one that there is not.
    #[must_use]
    pub fn rows(&self, cluster: usize) -> &[EarlierRow] {
        self.clusters.get(cluster).map_or(&[], |cluster| &cluster.rows)
    }

    /// The representatives, cluster by cluster.
    pub fn medoids(&self) -> impl Iterator<Item = &Spectrum> {
        self.clusters.iter().map(|cluster| &cluster.medoid)
    }

    /// The consensus of a cluster, if it was written.
    #[must_use]
    pub fn consensus(&self, cluster: usize) -> Option<&Spectrum> {
        self.clusters.get(cluster)?.consensus.as_ref()
    }
}

/// The rows of each cluster of a table.
fn rows(text: &str) -> Result<HashMap<usize, Vec<EarlierRow>>> {
    let mut clusters = HashMap::<usize, Vec<EarlierRow>>::new();
    let mut offset = 0;
    let mut is_heading = true;
    for line in text.split_inclusive('\n') {
        let (start, content) = (offset, line.trim_end_matches(['\r', '\n']));
        offset += line.len() as u64;
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = content.split('\t').collect();
        let [file, id, cluster, _, representative] = cells[..] else {
            return Err(damaged(start, format!("{} columns instead of 5", cells.len())));
        };
        if std::mem::take(&mut is_heading) {
            if cells[..] != ["file", "id", "cluster", "size", "representative"] {
                return Err(damaged(start, "this is not the heading of a table of clusters".into()));
            }
            continue;
        }
        let cluster = cluster.parse().map_err(|_| damaged(start, format!("\"{cluster}\" is no cluster")))?;
        let row = EarlierRow { file: file.into(), id: id.into(), representative: representative == "yes" };
        clusters.entry(cluster).or_default().push(row);
    }
    Ok(clusters)
}

/// The spectra of an MGF file by their `CLUSTER_ID`.
fn by_cluster(path: &Path) -> Result<HashMap<usize, Spectrum>> {
    let mut spectra = HashMap::new();
    for spectrum in MgfReader::open(path)? {
        let spectrum = spectrum?;
        let place = spectrum.source.line;
        let cluster = spectrum.field("CLUSTER_ID").and_then(|id| id.parse().ok());
        let cluster = cluster.ok_or_else(|| damaged(0, format!("line {place}: no CLUSTER_ID")).in_file(path))?;
        if spectra.insert(cluster, spectrum).is_some() {
            return Err(damaged(0, format!("line {place}: cluster {cluster} for the second time")).in_file(path));
        }
    }
    Ok(spectra)
}

fn damaged(offset: u64, message: String) -> Error {
    Error::Format { offset, message }
}
