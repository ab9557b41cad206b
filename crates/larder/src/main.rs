//! larder: a steward for the caches that developers live with.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    larder_cli::run(&args).into()
}
