//! `cellprobe verify`.

use serde_json::{Value, json};

use super::{Common, Outcome, console::Console};
use crate::{
    Device, Result,
    device::Options,
    verify::{self, Check},
};

/// Checks every operation and index, in every variant that the device has.
pub(super) fn run(common: &Common, console: &Console) -> Outcome {
    let devices = variants(common)?;
    let name = devices.first().map(|device| device.name().to_owned());
    let bar = console.bar();
    let mut checks = vec![];
    for (number, device) in devices.iter().enumerate() {
        let mut done = 0;
        let report = verify::run(device, |check| {
            done += 1;
            if let Some(bar) = &bar {
                // Every variant has as many checks as the first.
                let all = checks.len().checked_div(number).unwrap_or(done);
                bar.show(&format!("{} ({}): {}", device.name(), check.variant, check.operation), done, all);
            }
        })?;
        checks.extend(report.checks);
    }
    drop(bar);
    let ok = checks.iter().all(|check| check.ok);
    let json = json!({ "device": name, "checks": checks.iter().map(as_json).collect::<Vec<_>>(), "ok": ok });
    let shown: Vec<String> =
        checks.iter().filter(|check| !(console.is_quiet() && check.ok)).map(ToString::to_string).collect();
    let failed = checks.iter().filter(|check| !check.ok).count();
    let verdict = format!(
        "{}: {} checks, {}",
        name.as_deref().unwrap_or_default(),
        checks.len(),
        if ok { "all passed".to_owned() } else { format!("{failed} FAILED") }
    );
    console.result(&json, &[&shown[..], &[verdict]].concat().join("\n"))?;
    Ok(ok)
}

/// The device, and the same with the other kernels that it could run: checked, without subgroups and packed integers, and
/// without cooperative matrices.
fn variants(common: &Common) -> Result<Vec<Device>> {
    let mut devices: Vec<Device> = vec![];
    let kinds =
        [(false, true, true), (false, true, false), (false, false, false), (true, true, true), (true, false, false)];
    for (checked, subgroups, matrices) in kinds {
        // What is wrong is to be shown, not avoided.
        let options =
            Options::default().checked(checked).subgroups(subgroups).packed_integers(subgroups).self_test(false);
        let options = options.matrices(matrices);
        let device = Device::open(&common.device, &options)?;
        if devices.iter().all(|known| known.variant() != device.variant()) {
            devices.push(device);
        }
    }
    Ok(devices)
}

fn as_json(check: &Check) -> Value {
    json!({
        "operation": check.operation,
        "variant": check.variant,
        "shape": check.shape,
        // JSON has no infinity.
        "worst_error": check.worst_error.min(f64::MAX),
        "tolerance": check.tolerance,
        "ok": check.ok,
        "failure": check.failure,
    })
}
