//! Which peak of one spectrum goes with which of the other: the one-to-one assignment of highest weight.
//!
//! Peaks that can meet form a graph that falls into small components, nearly all of them a single pair. Those add up as
//! they are; a peak that can meet several of which none can meet another takes the best; what is left is solved by the
//! Hungarian algorithm (Kuhn 1955, with the potentials of Edmonds and Karp 1972), each component by itself.

use super::{Prepared, Scored};
use crate::spectra::Tolerance;

/// Memory that comparisons use again.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    edges: Vec<Edge>,
    /// Of each peak, those of the second spectrum after those of the first: how many it can meet.
    degrees: Vec<u32>,
    /// Of each peak, another of its component or itself.
    parents: Vec<u32>,
    /// The second spectrum's peaks begin here.
    split: usize,
    hungarian: Hungarian,
}

/// Two peaks that can meet.
#[derive(Clone, Copy, Debug)]
struct Edge {
    component: u32,
    a: u32,
    b: u32,
    weight: f64,
}

impl Scratch {
    pub(super) fn clear(&mut self, a: usize, b: usize) {
        self.edges.clear();
        self.degrees.clear();
        self.degrees.resize(a + b, 0);
        self.split = a;
    }

    /// Adds the pairs of peaks that are the same once the second spectrum is moved by `shift`.
    pub(super) fn add_pairs(&mut self, a: &Prepared, b: &Prepared, tolerance: Tolerance, shift: f64) {
        let shifted = shift != 0.0;
        let mut start = 0;
        for (i, &mz) in a.mzs.iter().enumerate() {
            let accepts = |other: f64| tolerance.accepts_moved(mz, other, shift);
            start += b.mzs[start..].iter().take_while(|&&other| other + shift < mz && !accepts(other)).count();
            for (j, &other) in b.mzs.iter().enumerate().skip(start) {
                if !accepts(other) {
                    break;
                }
                let (a_end, b_end) = (i as u32, (self.split + j) as u32);
                // A wide tolerance may give a pair both shifted and not.
                if shifted && tolerance.accepts(mz, other) {
                    continue;
                }
                self.degrees[i] += 1;
                self.degrees[self.split + j] += 1;
                let weight = a.weights[i] * b.weights[j];
                self.edges.push(Edge { component: 0, a: a_end, b: b_end, weight });
            }
        }
    }

    /// The weight of the best assignment, and how many pairs it has.
    pub(super) fn best(&mut self) -> Scored {
        let mut scored = Scored::default();
        let degrees = &self.degrees;
        self.edges.retain(|edge| {
            let alone = degrees[edge.a as usize] == 1 && degrees[edge.b as usize] == 1;
            if alone {
                scored.score += edge.weight;
                scored.matched += 1;
            }
            !alone
        });
        if !self.edges.is_empty() {
            self.find_components();
            for component in self.edges.chunk_by(|a, b| a.component == b.component) {
                let part = self.hungarian.solve(component);
                scored.score += part.score;
                scored.matched += part.matched;
            }
        }
        scored.score = scored.score.min(1.0);
        scored
    }

    /// Brings the edges of each component together.
    fn find_components(&mut self) {
        self.parents.clear();
        self.parents.extend(0..self.degrees.len() as u32);
        for edge in &self.edges {
            let (a, b) = (root(&mut self.parents, edge.a), root(&mut self.parents, edge.b));
            self.parents[a.max(b) as usize] = a.min(b);
        }
        for edge in &mut self.edges {
            edge.component = root(&mut self.parents, edge.a);
        }
        self.edges.sort_unstable_by_key(|edge| (edge.component, edge.a, edge.b));
    }
}

/// The least peak of a component; the ways there become shorter.
fn root(parents: &mut [u32], mut peak: u32) -> u32 {
    while parents[peak as usize] != peak {
        let next = parents[parents[peak as usize] as usize];
        parents[peak as usize] = next;
        peak = next;
    }
    peak
}

/// The Hungarian algorithm on one component.
#[derive(Clone, Debug, Default)]
struct Hungarian {
    rows: Vec<u32>,
    columns: Vec<u32>,
    /// Rows x columns; 0 where two peaks cannot meet.
    weights: Vec<f64>,
    row_potentials: Vec<f64>,
    column_potentials: Vec<f64>,
    /// Of each column the row that it goes with. Rows and columns count from 1; 0 is none.
    taken: Vec<usize>,
    way: Vec<usize>,
    slack: Vec<f64>,
    used: Vec<bool>,
}

impl Hungarian {
    fn solve(&mut self, edges: &[Edge]) -> Scored {
        if edges.iter().all(|edge| edge.a == edges[0].a) || edges.iter().all(|edge| edge.b == edges[0].b) {
            let best = edges.iter().map(|edge| edge.weight).fold(0.0, f64::max);
            return Scored { score: best, matched: usize::from(best > 0.0) };
        }
        self.lay_out(edges);
        for row in 1..=self.rows.len() {
            self.place(row);
        }
        let columns = self.columns.len();
        let weights = (1..=columns).filter(|&column| self.taken[column] > 0);
        let weights = weights.map(|column| self.weights[(self.taken[column] - 1) * columns + column - 1]);
        weights
            .filter(|&weight| weight > 0.0)
            .fold(Scored::default(), |sum, weight| Scored { score: sum.score + weight, matched: sum.matched + 1 })
    }

    /// Writes the weights as a matrix of no more rows than columns.
    fn lay_out(&mut self, edges: &[Edge]) {
        let distinct = |peaks: &mut Vec<u32>, end: fn(&Edge) -> u32| {
            peaks.clear();
            peaks.extend(edges.iter().map(end));
            peaks.sort_unstable();
            peaks.dedup();
        };
        let mut row_of: fn(&Edge) -> u32 = |edge| edge.a;
        let mut column_of: fn(&Edge) -> u32 = |edge| edge.b;
        distinct(&mut self.rows, row_of);
        distinct(&mut self.columns, column_of);
        if self.rows.len() > self.columns.len() {
            std::mem::swap(&mut self.rows, &mut self.columns);
            std::mem::swap(&mut row_of, &mut column_of);
        }
        let (rows, columns) = (self.rows.len(), self.columns.len());
        self.weights.clear();
        self.weights.resize(rows * columns, 0.0);
        for edge in edges {
            let row = self.rows.partition_point(|&peak| peak < row_of(edge));
            let column = self.columns.partition_point(|&peak| peak < column_of(edge));
            self.weights[row * columns + column] = edge.weight;
        }
        for (values, length) in [(&mut self.row_potentials, rows), (&mut self.column_potentials, columns)] {
            values.clear();
            values.resize(length + 1, 0.0);
        }
        for values in [&mut self.taken, &mut self.way] {
            values.clear();
            values.resize(columns + 1, 0);
        }
    }

    /// Gives a row its column, along the cheapest way of moving other rows on; the cost is the weight's negative.
    fn place(&mut self, row: usize) {
        let columns = self.columns.len();
        self.slack.clear();
        self.slack.resize(columns + 1, f64::INFINITY);
        self.used.clear();
        self.used.resize(columns + 1, false);
        self.taken[0] = row;
        let mut column = 0;
        while self.taken[column] != 0 {
            self.used[column] = true;
            let from = self.taken[column];
            let (mut least, mut next) = (f64::INFINITY, 0);
            for other in 1..=columns {
                if self.used[other] {
                    continue;
                }
                let cost = -self.weights[(from - 1) * columns + other - 1];
                let reduced = cost - self.row_potentials[from] - self.column_potentials[other];
                if reduced < self.slack[other] {
                    self.slack[other] = reduced;
                    self.way[other] = column;
                }
                if self.slack[other] < least {
                    (least, next) = (self.slack[other], other);
                }
            }
            for other in 0..=columns {
                if self.used[other] {
                    self.row_potentials[self.taken[other]] += least;
                    self.column_potentials[other] -= least;
                } else {
                    self.slack[other] -= least;
                }
            }
            column = next;
        }
        while column != 0 {
            self.taken[column] = self.taken[self.way[column]];
            column = self.way[column];
        }
    }
}
