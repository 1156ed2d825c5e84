//! `cellprobe bench`.

use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde_json::{Map, Value, json};

use super::{Common, Outcome, arguments::Overwrite, console::Console};
use crate::{
    Device, Error, Result,
    bench::{self, Measured, Peak, Row, Size, Unit},
    device::{Options, Profile},
    storage::{write_vectors, write_whole},
};

/// Times every operation and index on the CPU and on the device.
///
/// Times are medians of several runs after one that is not counted, on data that is on the device already. GFLOP are the
/// multiply-adds of distances, one a dimension and two each; GB what must be read and written, once. The share of the peak
/// is the time that these would take at the device's measured peaks, of multiply-adds in registers and of copying, over
/// the time that a run takes.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe bench
  cellprobe bench --size large --device gpu --json
  cellprobe bench --device gpu --profile --plot bench.svg")]
pub(super) struct Bench {
    /// How much there is to do: 10,000, 100,000 or 1,000,000 rows
    #[arg(long, default_value = "medium", value_parser = PossibleValuesParser::new(["small", "medium", "large"])
        .try_map(|name| name.parse::<Size>()))]
    size: Size,
    /// Show how long each kernel takes, in runs of their own
    #[arg(long)]
    profile: bool,
    /// Draw the times
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,
    /// Write the vectors, rows.npy and queries.npy, into this folder
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl Bench {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let names = ["rows.npy", "queries.npy"];
        let vectors = self.vectors.as_ref().map(|folder| self.overwrite.check_in(folder, names, []));
        let vectors = vectors.transpose()?.unwrap_or_default();
        self.overwrite.check(&self.plot, &vectors)?;
        let device = common.device()?;
        let mut devices = vec![Device::cpu()];
        if device.is_gpu() {
            devices.push(device.clone());
        }
        let peaks = devices.iter().map(bench::peak).collect::<Result<Vec<_>>>()?;
        // Kernels that are timed cannot overlap, so that a device of its own is.
        let profiled = Device::open(&common.device, &Options::default().profile(self.profile))?;
        let profiled = (self.profile && profiled.is_gpu()).then_some(profiled);
        let bar = console.bar();
        let measured: Vec<Device> = devices.iter().cloned().chain(profiled).collect();
        let mut rows = bench::run(&measured, self.size, |step| {
            if let Some(bar) = &bar {
                bar.show(&format!("{} on {}", step.name, step.device), step.done, step.of);
            }
        })?;
        drop(bar);
        let stages: Vec<Option<Measured>> =
            rows.iter_mut().map(|row| row.measured.drain(devices.len()..).next()).collect();
        if let [rows, queries] = &vectors[..] {
            self.write_vectors(rows, queries)?;
        }
        if let Some(path) = &self.plot {
            self.write_plot(path, &devices, &rows)?;
        }
        let report = Report { size: self.size, devices: &devices, peaks: &peaks, rows: &rows, stages: &stages };
        console.result(&report.json(), &report.table())?;
        Ok(true)
    }

    fn write_vectors(&self, rows: &PathBuf, queries: &PathBuf) -> Result<()> {
        if let Some(folder) = &self.vectors {
            std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
        }
        let vectors = bench::vectors(self.size);
        write_vectors(rows, vectors.0.view(), self.overwrite.force)?;
        write_vectors(queries, vectors.1.view(), self.overwrite.force)
    }

    fn write_plot(&self, path: &PathBuf, devices: &[Device], rows: &[Row]) -> Result<()> {
        let names: Vec<&str> = devices.iter().map(Device::name).collect();
        let plot = bench::plot(&format!("cellprobe bench: {}", in_words(self.size)), &names, rows);
        write_whole(path, self.overwrite.force, |file| {
            file.write_all(plot.as_bytes()).map_err(|source| Error::Io { path: path.clone(), source })
        })
    }
}

/// What was measured.
struct Report<'a> {
    size: Size,
    devices: &'a [Device],
    peaks: &'a [Peak],
    rows: &'a [Row],
    /// Of each row, where kernels were timed.
    stages: &'a [Option<Measured>],
}

impl Report<'_> {
    fn table(&self) -> String {
        let mut lines = vec![in_words(self.size)];
        for (device, peak) in self.devices.iter().zip(self.peaks) {
            let (gflops, gbytes) = (digits(peak.gflops), digits(peak.gbytes));
            lines.push(format!("{device}: peak {gflops} GFLOP/s, {gbytes} GB/s"));
        }
        lines.push(format!(
            "\n{:<26}{:<10}{:>9}  {:<21}{:>9}{:>9}{:>8}{:>9}{:>8}{:>11}",
            "", "", "time", "spread", "GFLOP/s", "GB/s", "of peak", "ratio", "submits", "read-backs"
        ));
        for (row, stages) in self.rows.iter().zip(self.stages) {
            for (number, measured) in row.measured.iter().enumerate() {
                lines.push(self.line(row, number, measured));
            }
            if let Some(Measured { profile, runs, .. }) = stages {
                lines.extend(stage_lines(profile, *runs));
            }
        }
        lines.join("\n")
    }

    fn line(&self, row: &Row, number: usize, measured: &Measured) -> String {
        let Measured { seconds, fastest, slowest, submissions, read_backs, .. } = measured;
        let rate = |amount: f64| if amount > 0.0 { digits(amount / seconds) } else { "-".into() };
        let share = row.share(number, &self.peaks[number]);
        let share = if share > 0.0 { format!("{:.1}%", 100.0 * share) } else { "-".into() };
        let spread = format!("{} to {}", time(*fastest), time(*slowest));
        let name = if number == 0 { row.name.as_str() } else { "" };
        let mut line = format!(
            "{name:<26}{:<10}{:>9}  {spread:<21}{:>9}{:>9}{share:>8}",
            if number == 0 { "cpu" } else { "device" },
            time(*seconds),
            rate(row.needed.gflop),
            rate(row.needed.gbyte)
        );
        if number > 0 {
            let ratio = format!("{}x", digits(row.ratio(number)));
            let _ = write!(line, "{ratio:>9}{:>8}{:>11}", digits(*submissions), digits(*read_backs));
        }
        if matches!(row.amount.unit, Unit::Query | Unit::Row) {
            let _ = write!(line, "  {} {}", digits(row.rate(number)), row.amount.unit);
        }
        line
    }

    fn json(&self) -> Value {
        let results = self.rows.iter().zip(self.stages).map(|(row, stages)| self.result(row, stages.as_ref()));
        let Size { rows, dimension, queries, nlist, m, nprobe } = self.size;
        let name = self.devices.last().map(Device::name);
        let mut json = json!({
            "device": name,
            "rows": rows,
            "dimension": dimension,
            "queries": queries,
            "nlist": nlist,
            "m": m,
            "nprobe": nprobe,
            "results": results.collect::<Vec<_>>(),
        });
        for (number, peak) in self.peaks.iter().enumerate() {
            json[key(number, "peak")] = json!({ "gflops": peak.gflops, "gbytes": peak.gbytes });
        }
        json
    }

    /// Keys of the CPU begin with `cpu_`.
    fn result(&self, row: &Row, stages: Option<&Measured>) -> Value {
        let mut json = Map::new();
        json.insert("name".into(), row.name.clone().into());
        json.insert("unit".into(), row.amount.unit.to_string().into());
        json.insert("gflop".into(), row.needed.gflop.into());
        json.insert("gbyte".into(), row.needed.gbyte.into());
        for (number, measured) in row.measured.iter().enumerate() {
            let mut put = |name: &str, value: Value| json.insert(key(number, name), value);
            put("seconds", measured.seconds.into());
            put("spread", json!([measured.fastest, measured.slowest]));
            put("runs", measured.runs.into());
            put("rate", row.rate(number).into());
            put("gflops", (row.needed.gflop / measured.seconds).into());
            put("gbytes", (row.needed.gbyte / measured.seconds).into());
            put("share_of_peak", row.share(number, &self.peaks[number]).into());
            if number > 0 {
                put("ratio", row.ratio(number).into());
                put("submissions", measured.submissions.into());
                put("read_backs", measured.read_backs.into());
            }
        }
        if let Some(Measured { profile, runs, .. }) = stages {
            json.insert("stages".into(), stages_json(profile, *runs));
        }
        json.into()
    }
}

/// The key of a figure of device number `number`.
fn key(number: usize, name: &str) -> String {
    if number == 0 { format!("cpu_{name}") } else { name.to_owned() }
}

/// Each kernel's part of a run.
fn stage_lines(profile: &Profile, runs: usize) -> Vec<String> {
    let a_run = |total: f64| total / runs as f64;
    let line = |stage: &crate::device::Stage| {
        let name = format!("{} ({})", stage.operation, stage.entry);
        let took = stage.seconds.map_or("not timed".into(), |seconds| time(a_run(seconds)));
        let share = match (stage.seconds, profile.seconds()) {
            (Some(seconds), Some(all)) if all > 0.0 => format!("{:.0}%", 100.0 * seconds / all),
            _ => "-".into(),
        };
        let bound = digits(a_run(stage.bytes as f64) / 1e6);
        let dispatches = digits(a_run(stage.dispatches as f64));
        format!("    {name:<32}{took:>9}{share:>6}  {dispatches:>6} dispatches {bound:>9} MB bound")
    };
    profile.stages.iter().map(line).collect()
}

fn stages_json(profile: &Profile, runs: usize) -> Value {
    let a_run = |total: f64| total / runs as f64;
    let stage = |stage: &crate::device::Stage| {
        json!({
            "operation": stage.operation,
            "entry": stage.entry,
            "dispatches": a_run(stage.dispatches as f64),
            "seconds": stage.seconds.map(a_run),
            "workgroups": a_run(stage.workgroups as f64),
            "bytes_bound": a_run(stage.bytes as f64),
        })
    };
    profile.stages.iter().map(stage).collect()
}

fn in_words(size: Size) -> String {
    let Size { rows, dimension, queries, nlist, nprobe, .. } = size;
    format!("{rows} rows of {dimension} numbers, {queries} queries, {nlist} lists of which {nprobe} are visited")
}

fn time(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{} us", digits(seconds * 1e6)),
        ..1.0 => format!("{} ms", digits(seconds * 1e3)),
        _ => format!("{} s", digits(seconds)),
    }
}

/// A number in about three digits.
fn digits(number: f64) -> String {
    match number {
        ..0.1 => format!("{number:.3}"),
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
