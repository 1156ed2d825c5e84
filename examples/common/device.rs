//! The device that the command line asks for.

use std::{env, error::Error};

use cellprobe::{Device, device::Options};

/// `--device auto|cpu|gpu|gpu:<index or part of the name>`; `auto` without it.
pub fn device() -> Result<Device, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let wanted = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => "auto".to_owned(),
        (Some("--device"), Some(wanted), None) => wanted,
        _ => return Err("usage: [--device auto|cpu|gpu|gpu:<index or part of the name>]".into()),
    };
    Ok(Device::open(&wanted, &Options::default())?)
}
