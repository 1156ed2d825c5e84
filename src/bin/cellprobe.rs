//! The `cellprobe` command.

fn main() -> std::process::ExitCode {
    cellprobe::cli::run()
}
