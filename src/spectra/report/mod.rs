//! One self-contained HTML page that shows what was found: figures are SVG, and nothing is fetched.

mod clusters;
mod identifications;
mod map;
mod plots;

pub use clusters::ClustersReport;
pub use identifications::IdentificationsReport;

use std::fmt::{Display, Write as _};

const STYLE: &str = "\
:root{--ink:#1d2733;--soft:#5b6877;--line:#dde3ea;--paper:#fff;--back:#f5f7fa;--a:#2563a8;--b:#c8553d;--c:#9aa7b5}\
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);\
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}h1{font-size:26px;margin:0}h2{font-size:18px;margin:40px 0 4px}\
.note{color:var(--soft);margin:2px 0 12px;max-width:75ch}\
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}.tile{background:var(--paper);border:1px solid var(--line);\
border-radius:8px;padding:10px 16px;min-width:118px}.tile b{display:block;font-size:22px;font-weight:600}\
.tile span{color:var(--soft);font-size:13px}\
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:16px}\
figure{margin:0;background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:12px}\
figcaption{font-size:13px;color:var(--soft);overflow-wrap:anywhere}figcaption b{color:var(--ink)}\
svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--soft)}\
table{border-collapse:collapse;background:var(--paper);font-size:13px}td,th{border:1px solid var(--line);padding:4px 10px;\
text-align:left;vertical-align:top;overflow-wrap:anywhere}th{font-weight:600}\
.key{font-size:13px;color:var(--soft)}.key i{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 5px 0 12px}";

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
                 <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
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
        for (name, color) in names {
            let _ = write!(self.html, "<i style=\"background:{color}\"></i>{}", escaped(name));
        }
        self.html.push_str("</p>\n");
    }

    /// Pictures side by side, each with a title and what is to say of it.
    fn figures(&mut self, figures: impl IntoIterator<Item = Figure>) {
        self.html.push_str("<div class=\"figures\">");
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

/// What is known, or a dash.
fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// Up to `most` numbers below `count`, evenly apart and the same every time.
fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |index| index * count / taken)
}
