//! Checks of the repository that a compiler cannot make, and the benchmarks.
//!
//! `cargo run -p xtask -- check` and `cargo run --release -p xtask -- bench`; the scripts call it
//! so. Unix only: it drives Unix tools. Nothing of it is part of larder.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

mod bench;
mod check;

const USAGE: &str = "usage: xtask check
       xtask bench [--quick] [--renew] [--rounds N] [--list] [--dir DIR] [NAME…]";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|one| one == "--help" || one == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let result = match arguments.split_first() {
        Some((verb, [])) if verb == "check" => check::run(&root()),
        Some((verb, rest)) if verb == "bench" => bench::run(&root(), rest),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: the folder above this crate.
fn root() -> PathBuf {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().map(PathBuf::from).unwrap_or(crate_folder)
}
