//! larder: a steward for the caches that developers live with.

use std::process::ExitCode;

fn main() -> ExitCode {
    larder_cli::run(std::env::args_os().collect()).into()
}
