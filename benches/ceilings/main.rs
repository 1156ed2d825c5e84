//! What every kernel could reach on real GPUs, read off their machine code: no GPU is needed.
//!
//! Mesa's RADV compiles for a GPU that is not there. Registers, spills and occupancy are its own figures; ceilings are
//! counted in the code's hot loops. The table in the crate's docs is the one kept here: without arguments the kernels
//! are compared with it, and a kernel that spills, loses more than 5 points of its ceiling or takes more instructions a
//! look-up makes this fail;
//! `--write` brings the table up to date.
//!
//! ```sh
//! cargo bench --profile dev --bench ceilings [-- --write]    # needs mesa-vulkan-drivers 22 or later, on Linux
//! ```

mod code;
mod radv;
mod table;

use std::{collections::BTreeMap, error::Error, process::Command};

use cellprobe::device::rendered_shaders;
use table::{Figures, Table};

/// One of RDNA2 and one of RDNA3.
const GPUS: [&str; 2] = ["NAVI21", "GFX1100"];

/// Points of ceiling that a kernel may lose before it is a failure.
const TOLERANCE: f64 = 5.0;

/// What scans look up in tables.
const LOOKS_UP: [&str; 1] = ["pq_scan"];

/// Share by which a look-up may become dearer before it is a failure.
const DEARER: f64 = 1.05;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--compile-for", gpu] => compile(gpu),
        ["--write"] => Ok(std::fs::write(table::PATH, measure()?.render())?),
        [] => compare(&Table::parse(&std::fs::read_to_string(table::PATH)?)?, &measure()?),
        _ => Err("arguments: none, or --write".into()),
    }
}

/// The figures of every kernel on every GPU. The driver is told which GPU to be by its environment, so each takes a
/// process of its own.
fn measure() -> Outcome<Table> {
    let mut rows = BTreeMap::new();
    for gpu in GPUS {
        let output = Command::new(std::env::current_exe()?)
            .args(["--compile-for", gpu])
            .env("RADV_FORCE_FAMILY", gpu)
            .env("RADV_DEBUG", "nocache")
            .env("VK_DRIVER_FILES", radv::DRIVER)
            .env("VK_ICD_FILENAMES", radv::DRIVER)
            .output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{gpu}, through {}: {reason}", radv::DRIVER).into());
        }
        rows.extend(Table::parse(&String::from_utf8(output.stdout)?)?.rows);
    }
    Ok(Table { rows })
}

/// Prints the rows of the table for the GPU that the environment names.
fn compile(gpu: &str) -> Outcome<()> {
    let compiler = radv::Compiler::new()?;
    let mut rows = BTreeMap::new();
    // What only measures peaks reaches them.
    for shader in rendered_shaders().into_iter().filter(|shader| shader.name != "probe") {
        let compiled = compiler.compile(&shader.wgsl, shader.entry)?;
        let kernel = format!("{} {}", shader.name, shader.variant);
        rows.insert((kernel, gpu.to_owned()), Figures::of(&compiled, LOOKS_UP.contains(&shader.name))?);
    }
    print!("{}", Table { rows }.render());
    Ok(())
}

/// Fails on what got worse than was kept.
fn compare(kept: &Table, found: &Table) -> Outcome<()> {
    let mut worse = vec![];
    for ((kernel, gpu), figures) in &found.rows {
        let what = format!("{kernel} on {gpu}");
        match kept.rows.get(&(kernel.clone(), gpu.clone())) {
            None => worse.push(format!("{what} is new")),
            Some(before) if figures.spills > before.spills => worse.push(format!("{what} spills {}", figures.spills)),
            Some(before) if figures.ceiling < before.ceiling - TOLERANCE => {
                worse.push(format!("{what} fell from {:.0} to {:.0} %", before.ceiling, figures.ceiling));
            }
            Some(before) if figures.lookup.zip(before.lookup).is_some_and(|(now, before)| now > DEARER * before) => {
                worse
                    .push(format!("{what} takes {:?} instructions a look-up, not {:?}", figures.lookup, before.lookup));
            }
            Some(_) => {}
        }
    }
    let gone = kept.rows.keys().filter(|key| !found.rows.contains_key(key));
    worse.extend(gone.map(|(kernel, gpu)| format!("{kernel} on {gpu} is gone")));
    if worse.is_empty() {
        println!("{} kernels are as good as in {}", found.rows.len(), table::PATH);
        return Ok(());
    }
    for line in &worse {
        println!("{line}");
    }
    Err(format!("{} differences from {}; --write keeps them", worse.len(), table::PATH).into())
}
