//! Results as a plot: an SVG that needs nothing else.

use std::fmt::Write as _;

use super::Row;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 780.0;
const TOP: f64 = 74.0;
const BAR: f64 = 9.0;
const GAP: f64 = 10.0;

const COLORS: [&str; 4] = ["#9aa7b5", "#2563a8", "#c8553d", "#5b8c5a"];

/// The seconds that each of `devices` takes for every row, as bars on a logarithmic scale with the spread of the runs,
/// and how many times as fast as the first the others are.
#[must_use]
pub fn plot(title: &str, devices: &[&str], rows: &[Row]) -> String {
    let each = devices.len() as f64 * BAR + GAP;
    let bottom = TOP + rows.len() as f64 * each;
    let height = bottom + 36.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#1f2933\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    for (number, device) in devices.iter().enumerate() {
        let x = 16.0 + 270.0 * number as f64;
        let color = COLORS[number % COLORS.len()];
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"36\" width=\"10\" height=\"10\" fill=\"{color}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"45\">{}</text>", x + 15.0, escaped(device));
    }
    let scale = Scale::of(rows);
    for power in scale.low..=scale.high {
        let x = scale.at(10_f64.powi(power));
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#dde3ea\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            seconds(power)
        );
    }
    for (place, row) in rows.iter().enumerate() {
        bars(&mut svg, &scale, row, TOP + place as f64 * each + GAP / 2.0);
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">seconds a run, the median and the spread</text>\n</svg>",
        f64::midpoint(LEFT, RIGHT),
        bottom + 30.0
    );
    svg
}

/// The bars of a row, one a device, from `y` on.
fn bars(svg: &mut String, scale: &Scale, row: &Row, y: f64) {
    let middle = y + row.measured.len() as f64 * BAR / 2.0 + 4.0;
    let name = escaped(&row.name);
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0);
    for (number, measured) in row.measured.iter().enumerate() {
        let (y, color) = (y + number as f64 * BAR, COLORS[number % COLORS.len()]);
        let (end, centre) = (scale.at(measured.seconds), y + BAR / 2.0 - 0.5);
        let (from, to) = (scale.at(measured.fastest), scale.at(measured.slowest));
        let (width, height) = (end - LEFT, BAR - 1.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{color}\"/>\
             <line x1=\"{from:.1}\" y1=\"{centre:.1}\" x2=\"{to:.1}\" y2=\"{centre:.1}\" stroke=\"#1f2933\"/>"
        );
        if number > 0 {
            let (x, y) = (to.max(end) + 5.0, centre + 4.0);
            let ratio = row.ratio(number);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"9\">{ratio:.2}x</text>");
        }
    }
}

/// Powers of ten that hold all times.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn of(rows: &[Row]) -> Self {
        let measured = || rows.iter().flat_map(|row| &row.measured);
        let low = measured().map(|measured| measured.fastest).fold(f64::INFINITY, f64::min);
        let high = measured().map(|measured| measured.slowest).fold(0.0, f64::max);
        let low = if low.is_finite() { low.max(1e-12).log10().floor() as i32 } else { 0 };
        Scale { low, high: (high.max(1e-12).log10().ceil() as i32).max(low + 1) }
    }

    fn at(&self, seconds: f64) -> f64 {
        let share = (seconds.max(1e-12).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

/// A power of ten of seconds, in words.
fn seconds(power: i32) -> String {
    let (unit, least) =
        [("s", 0), ("ms", -3), ("us", -6)].into_iter().find(|(_, least)| power >= *least).unwrap_or(("ns", -9));
    format!("{} {unit}", 10_f64.powi(power - least))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
