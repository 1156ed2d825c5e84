//! `cellprobe devices`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Outcome, console::Console};
use crate::{
    Device,
    device::{AdapterSummary, adapters},
};

/// Lists every adapter, and which one is taken.
pub(super) fn run(console: &Console) -> Outcome {
    let found = adapters();
    let taken = Device::auto();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let simd = Device::cpu().variant();
    let json = json!({
        "adapters": found.iter().map(as_json).collect::<Vec<_>>(),
        "cpu": { "simd": simd, "threads": threads },
        "auto": { "device": taken.name(), "reason": taken.reason(), "variant": taken.variant() },
    });
    let mut text = String::new();
    for adapter in &found {
        describe(adapter, &mut text);
    }
    let _ = writeln!(text, "cpu  {threads} threads, SIMD {simd}\n");
    let _ = writeln!(text, "auto takes {} ({}): {}", taken.name(), taken.variant(), taken.reason());
    console.result(&json, &text)?;
    Ok(true)
}

fn as_json(adapter: &AdapterSummary) -> Value {
    let limits: Map<String, Value> =
        adapter.limits.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    json!({
        "index": adapter.index,
        "name": adapter.name,
        "type": adapter.kind,
        "backend": adapter.backend,
        "driver": adapter.driver,
        "software": adapter.software,
        "unusable": adapter.unusable,
        "features": adapter.features,
        "limits": limits,
        "auto": adapter.auto,
    })
}

fn describe(adapter: &AdapterSummary, text: &mut String) {
    let AdapterSummary { index, name, kind, backend, driver, .. } = adapter;
    let _ = writeln!(text, "gpu:{index}  {name}{}", if adapter.auto { "  (auto)" } else { "" });
    let software = if adapter.software { " (a software rasteriser: auto never takes it)" } else { "" };
    let features = if adapter.features.is_empty() { "none".to_owned() } else { adapter.features.join(", ") };
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<36}{value}");
    };
    line("type", &format!("{kind}{software}"));
    line("backend", backend);
    line("driver", driver);
    line("features used", &features);
    for (limit, value) in &adapter.limits {
        line(limit, &value.to_string());
    }
    if let Some(reason) = &adapter.unusable {
        line("cannot be used", reason);
    }
    text.push('\n');
}
