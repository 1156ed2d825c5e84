//! The table in the crate's docs.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Outcome,
    code::{HotLoop, hot_loop, vector_a_read},
    radv::Compiled,
};

/// Where the table is kept.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/ceilings.md");

const HEADER: &str = "\
What each kernel's machine code lets it reach on a Radeon RX 6800/6900 (NAVI21, RDNA2) and RX 7900 (GFX1100, RDNA3), as
Mesa's RADV compiles it. Registers are vector registers a lane, subgroups those that a SIMD holds at a time. The hot
loop is the innermost one with the most multiply-adds (FMA): how many of its vector instructions they are, and how many
more the loop around it takes a round. The ceiling is the share of the multiply-add peak that the hot loop leaves if
nothing ever waits, bound by vector instructions, 128 bytes of workgroup memory or 64 bytes of the first-level cache a
clock. It is read off the code, not timed. Four products of 8-bit integers in one instruction count as four
multiply-adds, so that they may exceed what the peak of f32 is. Where a kernel looks numbers up in workgroup memory rather than multiplies, the
last column has the vector instructions a look-up.

The table is written and kept by `cargo bench --profile dev --bench ceilings`, which needs no GPU.

| kernel | GPU | registers | spills | subgroups | FMA of vector instructions | around | ceiling | bound by | a look-up |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

/// Figures by kernel and GPU.
#[derive(Default)]
pub struct Table {
    pub rows: BTreeMap<(String, String), Figures>,
}

/// What is known of a kernel on a GPU.
pub struct Figures {
    pub registers: u64,
    /// Registers that lie in memory, scalar ones included.
    pub spills: u64,
    /// Subgroups that a SIMD holds at a time.
    pub subgroups: u64,
    pub fma: f64,
    pub vector: f64,
    /// Vector instructions of the loop around the hot one.
    pub around: f64,
    /// Share of the multiply-add peak, in percent.
    pub ceiling: f64,
    pub bound: String,
    /// Vector instructions a look-up, of a kernel that looks numbers up.
    pub lookup: Option<f64>,
}

impl Figures {
    pub fn of(compiled: &Compiled, looks_up: bool) -> Outcome<Self> {
        let figure = |name: &str| {
            let found = compiled.statistics.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| *value).ok_or_else(|| format!("the driver does not tell {name}"))
        };
        let HotLoop { issued, around } = hot_loop(&compiled.assembly).unwrap_or_default();
        let (bound, ceiling) = issued.ceiling();
        Ok(Figures {
            registers: figure("VGPRs")?,
            spills: figure("Spilled VGPRs")? + figure("Spilled SGPRs")?,
            subgroups: figure("Subgroups per SIMD")?,
            fma: issued.fma,
            vector: issued.vector,
            around: around.vector,
            ceiling: ceiling.round(),
            bound: bound.into(),
            lookup: looks_up
                .then(|| vector_a_read(&compiled.assembly))
                .flatten()
                .map(|count| (count * 100.0).round() / 100.0),
        })
    }
}

impl Table {
    /// The table as Markdown.
    pub fn render(&self) -> String {
        let mut text = HEADER.to_owned();
        for ((kernel, gpu), figures) in &self.rows {
            let Figures { registers, spills, subgroups, fma, vector, around, ceiling, bound, lookup } = figures;
            let lookup = lookup.map_or_else(String::new, |count| count.to_string());
            let row = format!(
                "| {kernel} | {gpu} | {registers} | {spills} | {subgroups} | {fma} of {vector} | {around} | {ceiling} % | {bound} | {lookup} |"
            );
            writeln!(text, "{row}").unwrap_or_default();
        }
        text
    }

    /// Reads what [`Table::render`] wrote.
    pub fn parse(text: &str) -> Outcome<Self> {
        let mut table = Table::default();
        for line in text.lines().filter(|line| line.starts_with('|')).skip(2) {
            let cells: Vec<&str> = line
                .strip_prefix('|')
                .and_then(|line| line.strip_suffix('|'))
                .unwrap_or(line)
                .split('|')
                .map(str::trim)
                .collect();
            let [kernel, gpu, registers, spills, subgroups, issued, around, ceiling, bound, lookup] = cells[..] else {
                return Err(format!("not a row of the table: {line}").into());
            };
            let (fma, vector) = issued.split_once(" of ").ok_or("not a count of instructions")?;
            let figures = Figures {
                registers: registers.parse()?,
                spills: spills.parse()?,
                subgroups: subgroups.parse()?,
                fma: fma.parse()?,
                vector: vector.parse()?,
                around: around.parse()?,
                ceiling: ceiling.trim_end_matches(" %").parse()?,
                bound: bound.into(),
                lookup: if lookup.is_empty() { None } else { Some(lookup.parse()?) },
            };
            table.rows.insert((kernel.into(), gpu.into()), figures);
        }
        Ok(table)
    }
}
