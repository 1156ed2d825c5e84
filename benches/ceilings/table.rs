//! The tables in the crate's docs.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Outcome,
    code::{HotLoop, hot_loop, vector_a},
    radv::Compiled,
};

/// Where the tables are kept.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/ceilings.md");

const HEADER: &str = "\
What each kernel's machine code lets it reach on a Radeon RX 6800/6900 (NAVI21, RDNA2) and RX 7900 (GFX1100, RDNA3), as
Mesa's RADV compiles it. It is read off the code, not timed; the tables are written and kept by
`cargo bench --profile dev --bench ceilings`, which needs no GPU. No kernel spills registers.

Registers are vector registers a lane, subgroups those that a SIMD holds at a time. The hot loop is the innermost one
with the most multiply-adds (FMA): how many of its vector instructions they are, and how many more the loop around it
takes a round. The ceiling is the share of the multiply-add peak that the hot loop leaves if nothing ever waits, bound by
vector instructions, 128 bytes of workgroup memory or 64 bytes of the first-level cache a clock. Four products of 8-bit
integers in one instruction count as four multiply-adds, and exceed the peak of f32; a product of cooperative matrices, which
RDNA3 alone has, as 128 in the time of 32 instructions, so that their peak is 400 %. Where a kernel looks numbers up or adds
them rather than multiplies, a step is one of those, and the tables have its vector instructions.

# Beside the plainest kernels
`benches/ceilings/naive` has operations as one would first write them: a thread a result, everything in memory. Least and
most of all variants on both GPUs:

| kernels | ceiling | naive | instructions a step | naive | registers | naive |
| --- | --- | --- | --- | --- | --- | --- |
";

const EVERY_VARIANT: &str = "
Not in these figures: the lanes of a naive kernel each read rows of their own, a cache line a number, where neighbouring
lanes of `flat_scan` and `rerank` read neighbouring numbers; a step of a naive scan loads a code and an entry through the
cache, 8 clocks for 64 lanes, where an entry in workgroup memory takes 2 or 4; the naive `knn`, `flat_scan` and `pq_scan`
write every distance down for a selection to read. A step of `pq_scan` with codes of 4 bits is two sub-quantizers, but one
of the naive kernel's.

# Every variant
Where the GPUs differ, NAVI21's figure comes first. Those of cooperative matrices are compiled for GFX1100 alone.

| kernel | registers | subgroups | FMA of vector instructions | around | ceiling | bound by | a step |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

/// Words, a naive kernel, and which others it is compared with.
type Comparison = (&'static str, &'static str, fn(&str) -> bool);

/// What is compared with the plainest kernels: in words, the naive kernel, and which others.
const COMPARED: [Comparison; 19] = [
    ("`knn` by differences", "knn naive", |kernel| kernel.starts_with("knn main")),
    ("`knn` by products", "knn naive", |kernel| kernel.starts_with("knn_products ")),
    ("`knn` by matrices", "knn naive", |kernel| kernel.starts_with("knn_matrices ")),
    ("`nearest` by differences", "nearest naive", |kernel| kernel.starts_with("nearest main")),
    ("`nearest` by products", "nearest naive", |kernel| kernel.starts_with("nearest_products ")),
    ("`nearest` by matrices", "nearest naive", |kernel| kernel.starts_with("nearest_matrices ")),
    ("`pq_encode` of up to 16 columns", "pq_encode naive", |kernel| kernel.starts_with("pq_encode_short ")),
    ("`pq_encode` of more", "pq_encode naive", |kernel| kernel.starts_with("pq_encode assign")),
    ("`flat_scan`", "flat_scan naive", |kernel| kernel.starts_with("flat_scan main")),
    ("`rerank`", "rerank naive", |kernel| kernel.starts_with("rerank main")),
    ("`pq_scan` for one query", "pq_scan naive", |kernel| scans(kernel, false, false)),
    ("`pq_scan` for two queries", "pq_scan naive", |kernel| scans(kernel, true, false)),
    ("`pq_scan` for two by whole numbers", "pq_scan naive", |kernel| scans_rounded(kernel, false, false)),
    ("`pq_scan` for four by whole numbers", "pq_scan naive", |kernel| scans_rounded(kernel, true, false)),
    ("`pq_scan` of 4 bits for one", "pq_scan naive_4_bits", |kernel| scans(kernel, false, true)),
    ("`pq_scan` of 4 bits for two", "pq_scan naive_4_bits", |kernel| scans(kernel, true, true)),
    ("the same of 4 bits for two", "pq_scan naive_4_bits", |kernel| scans_rounded(kernel, false, true)),
    ("the same of 4 bits for four", "pq_scan naive_4_bits", |kernel| scans_rounded(kernel, true, true)),
    ("`segment_sums`", "segment_sums naive", |kernel| kernel.starts_with("segment_sums segment_sums")),
];

fn scans(kernel: &str, two_queries: bool, pairs: bool) -> bool {
    kernel.starts_with("pq_scan main")
        && kernel.contains("-two_queries") == two_queries
        && kernel.contains("-pairs") == pairs
}

fn scans_rounded(kernel: &str, four_queries: bool, pairs: bool) -> bool {
    kernel.starts_with("pq_scan_rounded main")
        && kernel.contains("-four_queries") == four_queries
        && kernel.contains("-pairs") == pairs
}

/// Figures by kernel, one for each GPU.
#[derive(Default)]
pub struct Table {
    pub rows: BTreeMap<String, Vec<Figures>>,
}

/// What is known of a kernel on a GPU.
pub struct Figures {
    pub registers: u64,
    /// Subgroups that a SIMD holds at a time.
    pub subgroups: u64,
    pub fma: f64,
    pub vector: f64,
    /// Vector instructions of the loop around the hot one.
    pub around: f64,
    /// Share of the multiply-add peak, in percent.
    pub ceiling: f64,
    pub bound: String,
    /// Vector instructions for each number looked up or added, of a kernel that does that.
    pub step: Option<f64>,
}

impl Figures {
    /// `steps` counts what an instruction looks up or adds.
    pub fn of(compiled: &Compiled, steps: Option<fn(&str) -> f64>) -> Outcome<Self> {
        let HotLoop { issued, around } = hot_loop(&compiled.assembly).unwrap_or_default();
        let (bound, ceiling) = issued.ceiling();
        let step = steps.and_then(|steps| vector_a(&compiled.assembly, steps));
        Ok(Figures {
            registers: compiled.figure("VGPRs")?,
            subgroups: compiled.figure("Subgroups per SIMD")?,
            fma: issued.fma,
            vector: issued.vector,
            around: around.vector,
            ceiling: ceiling.round(),
            bound: bound.into(),
            step: step.map(|count| (count * 100.0).round() / 100.0),
        })
    }
}

impl Table {
    /// The tables as Markdown.
    pub fn render(&self) -> String {
        let mut text = HEADER.to_owned();
        for (name, naive, others) in COMPARED {
            let tuned = |kernel: &str| others(kernel);
            let naive = |kernel: &str| kernel == naive;
            let cells = [
                self.range(&tuned, |figures| (figures.fma > 0.0).then_some(figures.ceiling), " %"),
                self.range(&naive, |figures| (figures.fma > 0.0).then_some(figures.ceiling), " %"),
                self.range(&tuned, |figures| figures.step, ""),
                self.range(&naive, |figures| figures.step, ""),
                self.range(&tuned, |figures| Some(figures.registers as f64), ""),
                self.range(&naive, |figures| Some(figures.registers as f64), ""),
            ];
            writeln!(text, "| {name} | {} |", cells.join(" | ")).unwrap_or_default();
        }
        text.push_str(EVERY_VARIANT);
        for (kernel, figures) in &self.rows {
            let each = |cell: fn(&Figures) -> String| {
                let mut cells: Vec<String> = figures.iter().map(cell).collect();
                cells.dedup();
                cells.join(", ")
            };
            let cells = [
                each(|figures| figures.registers.to_string()),
                each(|figures| figures.subgroups.to_string()),
                each(|figures| format!("{} of {}", figures.fma, figures.vector)),
                each(|figures| figures.around.to_string()),
                each(|figures| if figures.fma > 0.0 { format!("{} %", figures.ceiling) } else { String::new() }),
                each(|figures| figures.bound.clone()),
                each(|figures| figures.step.map_or_else(String::new, |step| step.to_string())),
            ];
            writeln!(text, "| {kernel} | {} |", cells.join(" | ")).unwrap_or_default();
        }
        text
    }

    /// The least and the most of a figure.
    fn range(&self, of: &dyn Fn(&str) -> bool, figure: fn(&Figures) -> Option<f64>, unit: &str) -> String {
        let rows = self.rows.iter().filter(|(kernel, _)| of(kernel));
        let mut found: Vec<f64> = rows.flat_map(|(_, figures)| figures.iter().filter_map(figure)).collect();
        found.sort_by(f64::total_cmp);
        match (found.first(), found.last()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}{unit}"),
            (Some(only), _) => format!("{only}{unit}"),
            _ => String::new(),
        }
    }

    /// Reads what [`Table::render`] wrote of so many GPUs.
    pub fn parse(text: &str, gpus: usize) -> Outcome<Self> {
        let (_, rows) = text.split_once(EVERY_VARIANT).ok_or("there is no table of every variant")?;
        let mut table = Table::default();
        for line in rows.lines() {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [kernel, ref figures @ ..] = cells[..] else {
                return Err(format!("not a row of the table: {line}").into());
            };
            let figures = (0..gpus).map(|gpu| parse_figures(figures, gpu)).collect::<Outcome<_>>()?;
            table.rows.insert(kernel.into(), figures);
        }
        Ok(table)
    }
}

/// The figures of one GPU in the cells of a row.
fn parse_figures(cells: &[&str], gpu: usize) -> Outcome<Figures> {
    let [registers, subgroups, issued, around, ceiling, bound, step] =
        cells.try_into().map_err(|_| format!("not the figures of a kernel: {cells:?}"))?;
    // What is the same for all is there once.
    let own = |cell: &'_ str| cell.split(", ").nth(gpu).or(cell.split(", ").next()).unwrap_or_default().to_owned();
    let issued = own(issued);
    let (fma, vector) = issued.split_once(" of ").ok_or("not a count of instructions")?;
    let step = own(step);
    Ok(Figures {
        registers: own(registers).parse()?,
        subgroups: own(subgroups).parse()?,
        fma: fma.parse()?,
        vector: vector.parse()?,
        around: own(around).parse()?,
        ceiling: if fma == "0" { 0.0 } else { own(ceiling).trim_end_matches(" %").parse()? },
        bound: own(bound),
        step: if step.is_empty() { None } else { Some(step.parse()?) },
    })
}
