//! Plots as SVG, coloured by the page's style.

use std::fmt::Write as _;

use crate::spectra::{Peak, Spectrum, Tolerance};

/// A range around 0 that holds nearly all of some values, from 1 on.
pub(super) fn around_zero(values: &[f64]) -> (f64, f64) {
    let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let most = sizes.get(sizes.len() * 98 / 100).copied().unwrap_or(1.0).max(1.0).ceil();
    (-most, most)
}

/// Classes of the style sheet for the colours of plots.
pub(super) const FIRST: &str = "a";
pub(super) const SECOND: &str = "b";
pub(super) const REST: &str = "c";

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = WIDTH - 14.0;
const BOTTOM: f64 = HEIGHT - 34.0;
const TOP: f64 = 12.0;

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

    /// Round numbers in the range, about `count` of them, and their decimals.
    fn marks(self, count: f64) -> (Vec<f64>, usize) {
        let least = (self.to - self.from) / count;
        if !(least > 0.0 && least.is_finite()) {
            return (vec![self.from], 0);
        }
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|&step| step >= least * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = ((self.from / step - 1e-9).ceil() as i64, (self.to / step + 1e-9).floor() as i64);
        let decimals = (-step.log10()).ceil().max(0.0) as usize;
        ((first..=last).map(|mark| mark as f64 * step).collect(), decimals)
    }
}

fn open() -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">")
}

fn across(from: f64, to: f64) -> Scale {
    Scale { from, to, start: LEFT, end: RIGHT }
}

/// A line below with marks at round numbers, and what it measures.
fn axis(svg: &mut String, scale: Scale, label: &str) {
    let (marks, decimals) = scale.marks(5.0);
    let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}");
    for &mark in &marks {
        let _ = write!(svg, "M{:.1} {BOTTOM}v4", scale.at(mark));
    }
    svg.push_str("\"/>");
    for mark in marks {
        let (x, y) = (scale.at(mark), BOTTOM + 15.0);
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{mark:.decimals$}</text>");
    }
    label_below(svg, label);
}

fn label_below(svg: &mut String, label: &str) {
    let (x, y) = (f64::midpoint(LEFT, RIGHT), HEIGHT - 4.0);
    let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{label}</text></svg>");
}

/// Lines across at round numbers of a count, and the scale.
fn counts_up(svg: &mut String, most: usize) -> Scale {
    let up = Scale { from: 0.0, to: most.max(1) as f64, start: BOTTOM, end: TOP };
    for mark in up.marks(4.0).0.into_iter().filter(|mark| *mark >= 1.0 && mark.fract() == 0.0) {
        let y = up.at(mark);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
        // Five digits have no room.
        let mark = if mark < 10_000.0 { mark.to_string() } else { format!("{}k", mark / 1000.0) };
        let _ = write!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>", LEFT - 5.0, y + 3.5);
    }
    up
}

fn bar(svg: &mut String, (x, width): (f64, f64), (top, bottom): (f64, f64), class: &str) {
    let height = bottom - top;
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
    );
}

/// Stacked bars of how often values fall where in a range; those outside count with the outermost.
pub(super) fn histogram(series: &[(&[f64], &str)], (from, to): (f64, f64), label: &str) -> String {
    const BINS: usize = 40;
    let bin = |value: f64| ((value - from) / (to - from) * BINS as f64).clamp(0.0, BINS as f64 - 1.0) as usize;
    let mut counts = vec![[0_usize; BINS]; series.len()];
    for (counts, (values, _)) in counts.iter_mut().zip(series) {
        for &value in *values {
            counts[bin(value)] += 1;
        }
    }
    let most = (0..BINS).map(|bin| counts.iter().map(|counts| counts[bin]).sum()).max().unwrap_or(0);
    let mut svg = open();
    let up = counts_up(&mut svg, most);
    let x = across(from, to);
    let width = (x.end - x.start) / BINS as f64;
    for bin in 0..BINS {
        let mut below = 0;
        for (counts, (_, class)) in counts.iter().zip(series).filter(|(counts, _)| counts[bin] > 0) {
            let (bottom, top) = (up.at(below as f64), up.at((below + counts[bin]) as f64));
            below += counts[bin];
            bar(&mut svg, (x.start + bin as f64 * width, width - 1.0), (top, bottom), class);
        }
    }
    axis(&mut svg, x, label);
    svg
}

/// Bars of counts, each with its name.
pub(super) fn bars(counts: &[(String, usize)], label: &str) -> String {
    let mut svg = open();
    let up = counts_up(&mut svg, counts.iter().map(|(_, count)| *count).max().unwrap_or(0));
    let width = (RIGHT - LEFT) / counts.len().max(1) as f64;
    for (place, (name, count)) in counts.iter().enumerate() {
        let x = LEFT + place as f64 * width;
        if *count > 0 {
            bar(&mut svg, (x + 0.1 * width, 0.8 * width), (up.at(*count as f64), BOTTOM), FIRST);
        }
        let (x, y) = (x + 0.5 * width, BOTTOM + 15.0);
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>");
    }
    let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>");
    label_below(&mut svg, label);
    svg
}

/// Two spectra back to back, each relative to its strongest peak; peaks that are in both are coloured, and the strongest
/// have their m/z.
pub(super) fn mirror(above: &Spectrum, below: &Spectrum, tolerance: Tolerance) -> String {
    let mzs = || above.peaks.iter().chain(&below.peaks).map(|peak| peak.mz);
    let (least, most) = (mzs().fold(f64::INFINITY, f64::min), mzs().fold(0.0, f64::max));
    // Wide enough for marks of their own.
    let margin = (0.04 * (most - least)).max(10.0 - 0.5 * (most - least)) + 1.0;
    let x = Scale { start: 8.0, end: WIDTH - 8.0, ..across((least - margin).max(0.0), most + margin) };
    let middle = f64::midpoint(TOP, BOTTOM);
    let mut svg = open();
    for (spectrum, other, end, class) in [(above, below, TOP + 12.0, FIRST), (below, above, BOTTOM - 14.0, SECOND)] {
        let strongest = spectrum.peaks.iter().map(|peak| peak.intensity).fold(f32::MIN_POSITIVE, f32::max);
        let up = Scale { from: 0.0, to: 1.0, start: middle, end };
        let end_of = |peak: &Peak| (x.at(peak.mz), up.at(f64::from(peak.intensity / strongest)));
        for peak in &spectrum.peaks {
            let near = other.peaks.partition_point(|other| other.mz < peak.mz);
            let shared = other.peaks[near.saturating_sub(1)..].iter().take(2).any(|o| tolerance.accepts(peak.mz, o.mz));
            let (class, (x, y)) = (if shared { class } else { REST }, end_of(peak));
            let _ = write!(svg, "<path class=\"peak {class}\" d=\"M{x:.1} {middle:.1}V{y:.1}\"/>");
        }
        let beyond = if end < middle { -4.0 } else { 11.0 };
        for peak in labelled(&spectrum.peaks, x) {
            let (at, y) = (x.at(peak.mz).clamp(20.0, WIDTH - 20.0), end_of(peak).1 + beyond);
            let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{:.2}</text>", peak.mz);
        }
    }
    let _ = write!(svg, "<path class=\"axis\" d=\"M{} {middle:.1}H{}\"/>", x.start, x.end);
    let (marks, decimals) = x.marks(5.0);
    for mark in marks {
        let (x, y) = (x.at(mark).clamp(12.0, WIDTH - 12.0), BOTTOM + 15.0);
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{mark:.decimals$}</text>");
    }
    label_below(&mut svg, "m/z");
    svg
}

/// The strongest peaks of 10 % and more, as many as have room for a number.
fn labelled(peaks: &[Peak], x: Scale) -> Vec<&Peak> {
    const LABELS: usize = 4;
    const ROOM: f64 = 42.0;
    let mut strongest: Vec<&Peak> = peaks.iter().collect();
    strongest.sort_by(|a, b| b.intensity.total_cmp(&a.intensity).then(a.mz.total_cmp(&b.mz)));
    let least = strongest.first().map_or(0.0, |peak| 0.1 * peak.intensity);
    let mut chosen: Vec<&Peak> = vec![];
    for peak in strongest.into_iter().take_while(|peak| peak.intensity >= least).take(5 * LABELS) {
        let free = chosen.iter().all(|other| (x.at(other.mz) - x.at(peak.mz)).abs() >= ROOM);
        if free && chosen.len() < LABELS {
            chosen.push(peak);
        }
    }
    chosen
}

/// Points, each with its colour: a number for one of so many hues, or none for the rest.
pub(super) fn scatter(points: &[([f64; 2], Option<usize>)], hues: usize) -> String {
    let range = |axis: usize| {
        let values = points.iter().map(|(place, _)| place[axis]);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((left, right), (low, high)) = (range(0), range(1));
    let x = Scale { from: left, to: right, start: 8.0, end: WIDTH - 8.0 };
    let y = Scale { from: low, to: high, start: HEIGHT - 8.0, end: 8.0 };
    let mut svg = open();
    for ([a, b], hue) in points {
        let (a, b) = (x.at(*a), y.at(*b));
        let _ = match hue {
            Some(hue) => {
                let degrees = hue * 360 / hues;
                write!(svg, "<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"2.2\" fill=\"hsl({degrees},70%,50%)\"/>")
            }
            None => write!(svg, "<circle class=\"rest\" cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"1.4\"/>"),
        };
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers_in_the_range() {
        for (from, to, marks, decimals) in [
            (0.0, 1.0, vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 1),
            (28.0, 624.0, vec![200.0, 400.0, 600.0], 0),
            (-2.0, 2.0, vec![-2.0, -1.0, 0.0, 1.0, 2.0], 0),
            (3.0, 3.0, vec![3.0], 0),
        ] {
            let (found, digits) = across(from, to).marks(5.0);
            let near = found.len() == marks.len() && found.iter().zip(&marks).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(near && digits == decimals, "{from} {to}: {found:?} {digits}");
        }
    }
}
