//! One self-contained HTML page that shows what was found: figures are SVG, and nothing is fetched.

mod clusters;
mod identifications;
mod map;
mod plots;

pub use clusters::ClustersReport;
pub use identifications::IdentificationsReport;

use std::fmt::Write as _;

/// The style, for light and dark.
const STYLE: &str = include_str!("style.css");

/// A page in the making.
struct Page {
    html: String,
}

impl Page {
    fn new(title: &str, subtitle: &str) -> Self {
        let (title, subtitle) = (escaped(title), escaped(subtitle));
        Page {
            html: format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
                 <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n<style>\n{STYLE}</style></head>\n\
                 <body><main><h1>{title}</h1><p class=\"note\">{subtitle}</p>\n"
            ),
        }
    }

    /// Figures that are read at a glance.
    fn tiles(&mut self, tiles: &[(&str, String)]) {
        self.html.push_str("<div class=\"tiles\">");
        for (label, value) in tiles {
            let _ =
                write!(self.html, "<div class=\"tile\"><b>{}</b><span>{}</span></div>", escaped(value), escaped(label));
        }
        self.html.push_str("</div>\n");
    }

    fn section(&mut self, title: &str, note: &str) {
        let _ = writeln!(self.html, "<h2>{}</h2><p class=\"note\">{}</p>", escaped(title), escaped(note));
    }

    /// What colours mean.
    fn key(&mut self, names: &[(&str, &str)]) {
        self.html.push_str("<p class=\"key\">");
        for (name, class) in names {
            let _ = write!(self.html, "<i class=\"{class}\"></i>{}", escaped(name));
        }
        self.html.push_str("</p>\n");
    }

    /// Plots of all there is, side by side.
    fn overview(&mut self, figures: impl IntoIterator<Item = Figure>) {
        self.grid("overview", figures);
    }

    /// Pictures side by side, each with a title and what is to say of it.
    fn figures(&mut self, figures: impl IntoIterator<Item = Figure>) {
        self.grid("figures", figures);
    }

    fn grid(&mut self, class: &str, figures: impl IntoIterator<Item = Figure>) {
        let _ = write!(self.html, "<div class=\"{class}\">");
        for Figure { title, text, svg } in figures {
            let (title, text) = (escaped(&title), escaped(&text));
            let _ = write!(self.html, "<figure>{svg}<figcaption><b>{title}</b> {text}</figcaption></figure>");
        }
        self.html.push_str("</div>\n");
    }

    fn table(&mut self, rows: &[(String, String)]) {
        self.html.push_str("<table>");
        for (name, value) in rows {
            let _ = write!(self.html, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
        }
        self.html.push_str("</table>\n");
    }

    fn finish(mut self) -> String {
        self.html.push_str("</main></body></html>\n");
        self.html
    }
}

/// A picture.
struct Figure {
    title: String,
    text: String,
    svg: String,
}

/// Text that means nothing to HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// `count`, with a space at thousands.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("\u{202f}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn matching_peaks(count: usize) -> String {
    format!("{count} matching peak{}", if count == 1 { "" } else { "s" })
}

/// Up to `most` numbers below `count`, evenly apart and the same every time.
fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |index| index * count / taken)
}
