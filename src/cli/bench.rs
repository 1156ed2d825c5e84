//! `cellprobe bench`.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde_json::{Value, json};

use super::{Common, Outcome, console::Console};
use crate::{
    Device,
    bench::{self, Row, Size},
};

/// Times every operation and index on the CPU and on the device.
///
/// Times are medians of several runs after one that is not counted, on data that is on the device already. GFLOP count
/// three for each dimension of a distance; GB what an operation must read and write.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cellprobe bench
  cellprobe bench --size large --device gpu --json")]
pub(super) struct Bench {
    /// How much there is to do: 10,000, 100,000 or 1,000,000 rows
    #[arg(long, default_value = "medium", value_parser = PossibleValuesParser::new(["small", "medium", "large"])
        .try_map(|name| name.parse::<Size>()))]
    size: Size,
}

impl Bench {
    pub(super) fn run(&self, common: &Common, console: &Console) -> Outcome {
        let device = common.device()?;
        let mut devices = vec![Device::cpu()];
        if device.is_gpu() {
            devices.push(device.clone());
        }
        let bar = console.bar();
        let rows = bench::run(&devices, self.size, |step| {
            if let Some(bar) = &bar {
                bar.show(&format!("{} on {}", step.name, step.device), step.done, step.of);
            }
        })?;
        drop(bar);
        let json = json!({
            "device": device.name(),
            "rows": self.size.rows,
            "dimension": self.size.dimension,
            "queries": self.size.queries,
            "results": rows.iter().map(as_json).collect::<Vec<_>>(),
        });
        console.result(&json, &self.table(&devices, &rows))?;
        Ok(true)
    }

    fn table(&self, devices: &[Device], rows: &[Row]) -> String {
        let Size { rows: count, dimension, queries, nlist, nprobe, .. } = self.size;
        let mut lines = vec![
            format!(
                "{count} rows of {dimension} numbers, {queries} queries, {nlist} lists of which {nprobe} are visited"
            ),
            String::new(),
        ];
        let columns: Vec<String> = devices.iter().map(|device| format!("{:>30}", shortened(device.name()))).collect();
        let ratio = if devices.len() > 1 { "     ratio" } else { "" };
        lines.push(format!("{:<20}{}{ratio}", "", columns.concat()));
        for row in rows {
            let measured = row.seconds.iter().enumerate().map(|(number, &seconds)| {
                format!("{:>11}{:>9} {:<9}", time(seconds), digits(row.rate(number)), row.amount.unit)
            });
            let ratio = (devices.len() > 1).then(|| format!("{:>9}x", digits(row.ratio())));
            let cells: Vec<String> = [format!("{:<20}", row.name)].into_iter().chain(measured).chain(ratio).collect();
            lines.push(cells.concat().trim_end().to_owned());
        }
        lines.join("\n")
    }
}

fn as_json(row: &Row) -> Value {
    let mut json = json!({
        "name": row.name,
        "unit": row.amount.unit.to_string(),
        "cpu_seconds": row.seconds.first(),
        "cpu_rate": row.rate(0),
    });
    if let Some(seconds) = row.seconds.get(1) {
        json["seconds"] = (*seconds).into();
        json["rate"] = row.rate(1).into();
        json["ratio"] = row.ratio().into();
    }
    json
}

/// A name that fits its column.
fn shortened(name: &str) -> String {
    if name.chars().count() <= 28 { name.to_owned() } else { name.chars().take(25).chain("...".chars()).collect() }
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
