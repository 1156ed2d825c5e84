//! Plots as SVG.

use std::fmt::Write as _;

use crate::spectra::{Spectrum, Tolerance};

/// A range around 0 that holds nearly all of some values, from 1 on.
pub(super) fn around_zero(values: &[f64]) -> (f64, f64) {
    let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let most = sizes.get(sizes.len() * 98 / 100).copied().unwrap_or(1.0).max(1.0).ceil();
    (-most, most)
}

pub(super) const FIRST: &str = "#2563a8";
pub(super) const SECOND: &str = "#c8553d";
pub(super) const REST: &str = "#9aa7b5";

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 36.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 10.0;

/// Where numbers of a range fall on a line.
#[derive(Clone, Copy)]
struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    fn at(self, value: f64) -> f64 {
        let share = if self.to > self.from { (value - self.from) / (self.to - self.from) } else { 0.5 };
        self.start + share * (self.end - self.start)
    }
}

fn open() -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">")
}

fn across(from: f64, to: f64) -> Scale {
    Scale { from, to, start: LEFT, end: WIDTH - 8.0 }
}

/// A line below with five marks, and what it measures.
fn axis(svg: &mut String, scale: Scale, label: &str, decimals: usize) {
    let y = HEIGHT - BOTTOM;
    let _ = write!(svg, "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"#b6c0cb\"/>", WIDTH - 8.0);
    for mark in 0..5 {
        let value = scale.from + (scale.to - scale.from) * f64::from(mark) / 4.0;
        let anchor = ["start", "middle", "middle", "middle", "end"][mark as usize];
        let (x, y) = (scale.at(value), y + 14.0);
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{value:.decimals$}</text>");
    }
    let (x, y) = (f64::midpoint(LEFT, WIDTH - 8.0), HEIGHT - 4.0);
    let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{label}</text></svg>");
}

/// Stacked bars of how often values fall where in a range; those outside count with the outermost.
pub(super) fn histogram(series: &[(&[f64], &str)], (from, to): (f64, f64), label: &str, decimals: usize) -> String {
    const BINS: usize = 40;
    let bin = |value: f64| ((value - from) / (to - from) * BINS as f64).clamp(0.0, BINS as f64 - 1.0) as usize;
    let mut counts = vec![[0_usize; BINS]; series.len()];
    for (counts, (values, _)) in counts.iter_mut().zip(series) {
        for &value in *values {
            counts[bin(value)] += 1;
        }
    }
    let most = (0..BINS).map(|bin| counts.iter().map(|counts| counts[bin]).sum()).max().unwrap_or(0).max(1);
    let up = Scale { from: 0.0, to: most as f64, start: HEIGHT - BOTTOM, end: TOP };
    let x = across(from, to);
    let width = (x.end - x.start) / BINS as f64;
    let mut svg = open();
    for bin in 0..BINS {
        let mut below = 0;
        for (counts, (_, color)) in counts.iter().zip(series) {
            let (bottom, top) = (up.at(below as f64), up.at((below + counts[bin]) as f64));
            below += counts[bin];
            if bottom > top {
                let x = x.start + bin as f64 * width;
                let (width, height) = (width - 1.0, bottom - top);
                let _ = write!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
                );
            }
        }
    }
    let _ = write!(svg, "<text x=\"2\" y=\"{}\">{most}</text>", TOP + 8.0);
    axis(&mut svg, x, label, decimals);
    svg
}

/// Two spectra back to back, each relative to its strongest peak; peaks that are in both are coloured.
pub(super) fn mirror(above: &Spectrum, below: &Spectrum, tolerance: Tolerance) -> String {
    let mzs = || above.peaks.iter().chain(&below.peaks).map(|peak| peak.mz);
    let (least, most) = (mzs().fold(f64::INFINITY, f64::min), mzs().fold(0.0, f64::max));
    // Wide enough for marks of their own.
    let margin = (0.04 * (most - least)).max(10.0 - 0.5 * (most - least)) + 1.0;
    let x = across((least - margin).max(0.0).floor(), (most + margin).ceil());
    let middle = f64::midpoint(TOP, HEIGHT - BOTTOM);
    let mut svg = open();
    for (spectrum, other, end, color) in [(above, below, TOP, FIRST), (below, above, HEIGHT - BOTTOM - 2.0, SECOND)] {
        let strongest = spectrum.peaks.iter().map(|peak| peak.intensity).fold(f32::MIN_POSITIVE, f32::max);
        let up = Scale { from: 0.0, to: 1.0, start: middle, end };
        for peak in &spectrum.peaks {
            let near = other.peaks.partition_point(|other| other.mz < peak.mz);
            let shared = other.peaks[near.saturating_sub(1)..].iter().take(2).any(|o| tolerance.accepts(peak.mz, o.mz));
            let (x, y) = (x.at(peak.mz), up.at(f64::from(peak.intensity / strongest)));
            let (color, width) = if shared { (color, 1.8) } else { (REST, 1.2) };
            let _ = write!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{middle:.1}\" x2=\"{x:.1}\" y2=\"{y:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>"
            );
        }
    }
    let right = WIDTH - 8.0;
    let _ =
        write!(svg, "<line x1=\"{LEFT}\" y1=\"{middle:.1}\" x2=\"{right}\" y2=\"{middle:.1}\" stroke=\"#5b6877\"/>");
    axis(&mut svg, x, "m/z", 0);
    svg
}

/// Points, each with its colour.
pub(super) fn scatter(points: &[([f64; 2], String)]) -> String {
    let range = |axis: usize| {
        let values = points.iter().map(|(place, _)| place[axis]);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((left, right), (low, high)) = (range(0), range(1));
    let x = Scale { from: left, to: right, start: 8.0, end: WIDTH - 8.0 };
    let y = Scale { from: low, to: high, start: HEIGHT - 8.0, end: 8.0 };
    let mut svg = open();
    for ([a, b], color) in points {
        let (a, b) = (x.at(*a), y.at(*b));
        let _ = write!(svg, "<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"1.6\" fill=\"{color}\" fill-opacity=\"0.7\"/>");
    }
    svg.push_str("</svg>");
    svg
}
