//! What every kernel could reach on real GPUs, read off their machine code: no GPU is needed.
//!
//! Mesa's RADV compiles for a GPU that is not there. Registers, spills and occupancy are its own figures; ceilings are
//! counted in the code's hot loops. The tables in the crate's docs are the ones kept here: without arguments the kernels
//! are compared with them, and a kernel that spills, loses more than 5 points of its ceiling or takes more instructions
//! to look a number up or add it makes this fail; `--write` brings the tables up to date. Beside the kernels stand the
//! plainest ones that do the same, of the folder `naive`. Those of cooperative matrices, which RDNA3 alone has and a newer
//! Mesa compiles, are measured for themselves.
//!
//! ```sh
//! cargo bench --profile dev --bench ceilings [-- --write]    # needs mesa-vulkan-drivers 22 or later, on Linux
//! tests/newer_mesa.sh radv target/debug/deps/ceilings-* --matrices [--write]    # Mesa 25
//! ```

mod code;
mod radv;
mod table;

use std::{collections::BTreeMap, error::Error, process::Command};

use cellprobe::device::{RenderedShader, rendered_shaders};
use table::{Figures, Table};

/// One of RDNA2 and one of RDNA3.
const GPUS: [&str; 2] = ["NAVI21", "GFX1100"];

/// Those that multiply cooperative matrices: GFX1100, as Mesa 25 calls it.
const MATRIX_GPUS: [&str; 1] = ["NAVI31"];

/// Points of ceiling that a kernel may lose before it is a failure.
const TOLERANCE: f64 = 5.0;

/// Share by which a look-up or an addition may become dearer before it is a failure.
const DEARER: f64 = 1.05;

/// The plainest kernels: the operation, the entry point, the WGSL.
const NAIVE: [(&str, &str, &str); 8] = [
    ("flat_scan", "naive", include_str!("naive/flat_scan.wgsl")),
    ("knn", "naive", include_str!("naive/knn.wgsl")),
    ("nearest", "naive", include_str!("naive/nearest.wgsl")),
    ("pq_encode", "naive", include_str!("naive/pq_encode.wgsl")),
    ("pq_scan", "naive", include_str!("naive/pq_scan.wgsl")),
    ("pq_scan", "naive_4_bits", include_str!("naive/pq_scan.wgsl")),
    ("rerank", "naive", include_str!("naive/rerank.wgsl")),
    ("segment_sums", "naive", include_str!("naive/segment_sums.wgsl")),
];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    if !arguments.iter().all(|argument| ["--compile", "--matrices", "--write"].contains(&argument.as_str())) {
        return Err("arguments: none, --matrices, --write".into());
    }
    let matrices = asked("--matrices");
    if asked("--compile") {
        return compile(matrices);
    }
    let mut kept = Table::parse(&std::fs::read_to_string(table::PATH)?, GPUS.len())?;
    let mut found = measure(matrices)?;
    if asked("--write") {
        kept.rows.retain(|kernel, _| of_matrices(kernel) != matrices);
        found.rows.append(&mut kept.rows);
        return Ok(std::fs::write(table::PATH, found.render())?);
    }
    kept.rows.retain(|kernel, _| of_matrices(kernel) == matrices);
    compare(&kept, &found)
}

/// Whether a kernel, by its name, multiplies cooperative matrices.
fn of_matrices(kernel: &str) -> bool {
    kernel.split(' ').next().is_some_and(|name| name.ends_with("_matrices"))
}

/// The figures of every kernel on every GPU, of those of cooperative matrices or of the others. The driver is told which GPU
/// to be by its environment, so each takes a process of its own.
fn measure(matrices: bool) -> Outcome<Table> {
    let mut rows: BTreeMap<String, Vec<Figures>> = BTreeMap::new();
    let driver = radv::driver()?;
    for gpu in if matrices { &MATRIX_GPUS[..] } else { &GPUS } {
        let output = Command::new(std::env::current_exe()?)
            .arg("--compile")
            .args(matrices.then_some("--matrices"))
            .env("RADV_FORCE_FAMILY", gpu)
            .env("RADV_DEBUG", "nocache")
            .env("VK_DRIVER_FILES", driver)
            .env("VK_ICD_FILENAMES", driver)
            .output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{gpu}, through {driver}: {reason}").into());
        }
        for (kernel, figures) in Table::parse(&String::from_utf8(output.stdout)?, 1)?.rows {
            rows.entry(kernel).or_default().extend(figures);
        }
    }
    Ok(Table { rows })
}

/// Prints the tables of the GPU that the environment names.
fn compile(matrices: bool) -> Outcome<()> {
    let compiler = radv::Compiler::new(matrices)?;
    let mut rows = BTreeMap::new();
    let mut add = |kernel: String, compiled: radv::Compiled, steps: Option<fn(&str) -> f64>| -> Outcome<()> {
        let spills = compiled.figure("Spilled VGPRs")? + compiled.figure("Spilled SGPRs")?;
        if spills > 0 {
            return Err(format!("{kernel} spills {spills} registers").into());
        }
        rows.insert(kernel, vec![Figures::of(&compiled, steps)?]);
        Ok(())
    };
    // What only measures peaks reaches them, and RDNA3's matrices are of 16 x 16.
    let of_interest = |shader: &RenderedShader| {
        let other_size = matrices && shader.variant.contains("-matrix8");
        shader.name != "probe" && of_matrices(shader.name) == matrices && !other_size
    };
    for shader in rendered_shaders().into_iter().filter(of_interest) {
        let steps: Option<fn(&str) -> f64> = match shader.name {
            "pq_scan" => Some(code::words_read),
            "pq_scan_rounded" => Some(code::halves_read),
            "segment_sums" => Some(code::additions),
            _ => None,
        };
        let compiled = compiler.compile(&shader.wgsl, shader.entry)?;
        add(format!("{} {}", shader.name, shader.variant), compiled, steps)?;
    }
    for (name, entry, wgsl) in NAIVE.into_iter().filter(|_| !matrices) {
        // What they look up is in memory, and then added.
        let steps = ["pq_scan", "segment_sums"].contains(&name).then_some(code::additions as fn(&str) -> f64);
        add(format!("{name} {entry}"), compiler.compile(wgsl, entry)?, steps)?;
    }
    print!("{}", Table { rows }.render());
    Ok(())
}

/// Fails on what got worse than was kept.
fn compare(kept: &Table, found: &Table) -> Outcome<()> {
    let mut worse = vec![];
    for (kernel, figures) in &found.rows {
        let Some(before) = kept.rows.get(kernel) else {
            worse.push(format!("{kernel} is new"));
            continue;
        };
        for (gpu, (now, before)) in GPUS.iter().zip(figures.iter().zip(before)) {
            if now.ceiling < before.ceiling - TOLERANCE {
                worse.push(format!("{kernel} on {gpu} fell from {} to {} %", before.ceiling, now.ceiling));
            }
            if now.step.zip(before.step).is_some_and(|(now, before)| now > DEARER * before) {
                let (now, before) = (now.step, before.step);
                worse.push(format!("{kernel} on {gpu} takes {now:?} instructions a step, not {before:?}"));
            }
        }
    }
    let gone = kept.rows.keys().filter(|kernel| !found.rows.contains_key(*kernel));
    worse.extend(gone.map(|kernel| format!("{kernel} is gone")));
    if worse.is_empty() {
        println!("{} kernels are as good as in {}", found.rows.len(), table::PATH);
        return Ok(());
    }
    for line in &worse {
        println!("{line}");
    }
    Err(format!("{} differences from {}; --write keeps them", worse.len(), table::PATH).into())
}
