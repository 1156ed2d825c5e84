//! Reports are whole pages that fetch nothing, the same every time, whatever the files say.
#![cfg(all(feature = "cli", feature = "spectra"))]

use std::{error::Error, fs, path::Path, process::Command};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn dbgi(number: usize) -> String {
    format!("{}/examples/data/dbgi/20220513_PMA_DBGI_01_04_{number:03}.mgf", env!("CARGO_MANIFEST_DIR"))
}

/// The report of a command that writes to a new folder.
fn report(folder: &Path, threads: usize, arguments: &[&str]) -> Result<String> {
    let out = folder.join(format!("out{threads}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cellprobe"));
    command.args(["spectra", "--device", "cpu", "--quiet", "--threads", &threads.to_string()]);
    let output = command.args(arguments).arg("-o").arg(&out).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(fs::read_to_string(out.join("report.html"))?)
}

/// Checks what holds for every report, and gives its number of pictures.
fn whole(page: &str) -> usize {
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</main></body></html>\n"));
    for fetched in ["http:", "https:", "<script", "<link", "<img", "url(", "@import", "NaN", "inf\""] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    let count = |text: &str| page.matches(text).count();
    for tag in ["figure", "figcaption", "svg", "div", "table", "h2", "text", "b", "td"] {
        let opened = count(&format!("<{tag}>")) + count(&format!("<{tag} "));
        assert_eq!(opened, count(&format!("</{tag}>")), "{tag}");
    }
    assert_eq!(count("<svg"), count("<figure>"));
    count("<figure>")
}

#[test]
fn identifications_are_shown() -> Result {
    let folder = tempfile::tempdir()?;
    let (library, queries) = (dbgi(1), dbgi(4));
    let arguments = ["identify", &library, &queries, "--precursor-tolerance", "open"];
    let page = report(folder.path(), 1, &arguments)?;
    // Four distributions; the best matches, those at the border, some of all.
    assert_eq!(whole(&page), 4 + 6 + 6 + 6);
    assert!(page.contains("prefers-color-scheme: dark"), "dark where the reader wants it");
    for part in ["Identified spectra", "Precursor error", "At the border", "precursor-tolerance</th><td>open"] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page, report(folder.path(), 2, &arguments)?);
    Ok(())
}

#[test]
fn clusters_are_shown() -> Result {
    let folder = tempfile::tempdir()?;
    let runs = [1, 4, 6].map(dbgi);
    let arguments = ["cluster", &runs[0], &runs[1], &runs[2]];
    let page = report(folder.path(), 1, &arguments)?;
    // Sizes, scores, precursors and the map; nine clusters.
    assert_eq!(whole(&page), 4 + 9);
    assert!(page.matches("<circle").count() > 300, "every spectrum is on the map");
    assert!(page.contains("hsl("), "the largest clusters have colours");
    assert_eq!(page, report(folder.path(), 2, &arguments)?);
    Ok(())
}

#[test]
fn names_are_text_and_nothing_is_a_report_too() -> Result {
    let folder = tempfile::tempdir()?;
    let hostile = "<script>alert(\"&\")</script>";
    let spectrum = format!(
        "BEGIN IONS\nTITLE={hostile}\nNAME={hostile}\nPEPMASS=300\nCHARGE=1+\nINCHIKEY={hostile}\n\
         100 1\n150 2\n160 3\n170 4\n180 5\n190 6\nEND IONS\n"
    );
    let (some, none) = (folder.path().join("some.mgf"), folder.path().join("none.mgf"));
    fs::write(&some, spectrum.repeat(2))?;
    fs::write(&none, "BEGIN IONS\nPEPMASS=900\nCHARGE=1+\n100 1\nEND IONS\n")?;
    let (some, none) = (some.to_string_lossy(), none.to_string_lossy());

    let page = report(folder.path(), 1, &["identify", &some, &some, "--truth", "INCHIKEY:14"])?;
    whole(&page);
    assert!(page.contains("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"));
    assert!(page.contains("best match right"));
    let page = report(folder.path(), 2, &["identify", &some, &none])?;
    assert_eq!(whole(&page), 4, "the distributions of nothing");
    let page = report(folder.path(), 3, &["cluster", &none])?;
    assert_eq!(whole(&page), 4);
    let page = report(folder.path(), 4, &["cluster", &some, "--truth", "INCHIKEY:14"])?;
    assert_eq!(whole(&page), 4 + 1);
    assert!(page.contains("adjusted Rand index"));
    Ok(())
}
