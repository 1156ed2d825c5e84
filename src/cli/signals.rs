//! What becomes of files that are being written when a signal ends the command.

use std::{io, thread};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use crate::storage::remove_unfinished;

/// Has SIGINT and SIGTERM remove the files that are being written before they end the process.
pub(super) fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            remove_unfinished();
            // Whoever waits for the process learns of the signal; to a shell it is the status 130 or 143.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}
