//! What the figures were measured on: enough to compare, no name and no path of the machine.

use std::fs;
use std::process::Command;
use std::thread;

use super::Bench;

/// Names and values, in the order they are shown.
pub(super) fn describe(bench: &Bench) -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
    };
    let kibibytes: f64 =
        field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
    let mut versions = vec![first_line(Command::new("go").arg("version"))];
    versions.push(first_line(Command::new("du").arg("--version")));
    for peer in ["diskus", "pdu", "dua"] {
        let built = bench.root.join("target/peers/bin").join(peer);
        versions.push(first_line(Command::new(built).arg("--version")));
    }
    versions.retain(|version| !version.is_empty());
    let file_system = first_line(
        Command::new("findmnt").args(["-n", "-o", "FSTYPE,OPTIONS", "-T"]).arg(&bench.dir),
    );
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let rows = [
        ("date", first_line(Command::new("date").args(["-u", "+%Y-%m-%d"]))),
        ("larder", first_line(Command::new(&bench.larder).arg("--version"))),
        ("CPU", field(&read("/proc/cpuinfo"), "model name")),
        ("cores", cores.to_string()),
        ("memory", format!("{:.1} GB", kibibytes * 1024.0 / 1e9)),
        ("kernel", format!("Linux {}", read("/proc/sys/kernel/osrelease").trim())),
        ("file system", file_system.split_whitespace().collect::<Vec<_>>().join(", ")),
        ("peers", versions.join("; ")),
        ("rounds", bench.rounds().to_string()),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().trim().to_owned()
}
