//! Proving and refilling: verification against `go mod verify` and against hashing alone,
//! downloads against `go mod download`.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use larder_testkit::{FileProxy, ModuleMaker};
use sha2::{Digest as _, Sha256};

use super::measure::{Contestant, in_turns};
use super::report::{Goal, Row};
use super::{Bench, quietly};

/// Modules that are verified and fetched.
const MODULES: usize = 200;
/// As much memory as a verification may take, in bytes.
const MEMORY: f64 = 64e6;

/// A whole module cache, which is one project's build list, against `go mod verify`.
pub(super) fn verify_mod(bench: &Bench) -> Result<Vec<Row>> {
    let served = Served::new(bench)?;
    let gomodcache = bench.dir.join("verified");
    bench.remove_all(&gomodcache)?;
    let project = &served.project;
    quietly(&mut served.go(bench, &["mod", "download"], &gomodcache))?;
    let none = bench.none();
    let roots = project.display().to_string();
    let runs = in_turns(
        bench.rounds(),
        &mut [
            Contestant::new("larder", |_| {
                bench.larder(&["verify", "mod", "--roots", &roots], &none, &gomodcache)
            }),
            Contestant::new("go mod verify", |_| served.go(bench, &["mod", "verify"], &gomodcache)),
        ],
    )?;
    let what = format!("verify mod, {} modules", bench.size(MODULES));
    Ok(vec![
        Row::pair(&what, &runs[0], &runs[1], Goal::Times(3.0)),
        Row::alone(&what, &runs[0], Goal::Memory(MEMORY)),
    ])
}

/// A build cache that the go command made, against hashing as many bytes on as many threads.
pub(super) fn verify_build(bench: &Bench) -> Result<Vec<Row>> {
    let gocache = bench.dir.join("built");
    bench.remove_all(&gocache)?;
    // Large enough that the start of a process does not count.
    let packages: &[&str] = if bench.quick { &["strings"] } else { &["std", "cmd"] };
    let mut build = bench.sandbox.command("go");
    build.arg("build").args(packages).env("GOCACHE", &gocache).current_dir(bench.sandbox.root());
    quietly(&mut build)?;
    let none = bench.none();
    let output = bench.larder(&["verify", "build", "--json"], &gocache, &none).output()?;
    let document: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("read larder verify --json")?;
    let bytes = document["bytes_read"].as_u64().context("no bytes_read")?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let program = std::env::current_exe().context("own path")?;
    let runs = in_turns(
        bench.rounds(),
        &mut [
            Contestant::new("larder", |_| bench.larder(&["verify", "build"], &gocache, &none)),
            Contestant::new("SHA-256 alone, in memory", |_| {
                let mut command = Command::new(&program);
                command.args(["bench", "hash", &bytes.to_string(), &threads.to_string()]);
                command
            }),
        ],
    )?;
    let what = format!("verify build, {} MB", bytes / 1_000_000);
    Ok(vec![
        Row::pair(&what, &runs[0], &runs[1], Goal::AtMostTimes(1.0 / 0.85)),
        Row::alone(&what, &runs[0], Goal::Memory(MEMORY)),
    ])
}

/// Everything that a project needs into an empty cache, from a proxy on loopback.
pub(super) fn download(bench: &Bench) -> Result<Vec<Row>> {
    let served = Served::new(bench)?;
    // A folder a round, and none removed: right after removals ext4 is slow to make files.
    let cache = |of: &str, round: usize| bench.dir.join(format!("fetched-{of}-{round}"));
    let none = bench.none();
    let project = served.project.display().to_string();
    let runs = in_turns(
        bench.rounds(),
        &mut [
            Contestant::new("larder", |round| {
                let into = cache("larder", round);
                let mut command = bench.larder(&["download", &project], &none, &into);
                command.env("GOPROXY", &served.url).env("GOSUMDB", "off");
                command
            }),
            Contestant::new("go mod download", |round| {
                served.go(bench, &["mod", "download"], &cache("go", round))
            }),
        ],
    )?;
    let what = format!("download of {} modules", bench.size(MODULES));
    Ok(vec![Row::pair(&what, &runs[0], &runs[1], Goal::Times(1.5))])
}

/// Hashes so many bytes of memory on so many threads: the peer of a verification.
pub(super) fn hash(bytes: u64, threads: u64) {
    const BUFFER: u64 = 64 << 10;
    let rounds = bytes / threads.max(1) / BUFFER;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let buffer = vec![0x5a_u8; 64 << 10];
                let mut hash = Sha256::new();
                (0..rounds).for_each(|_| hash.update(&buffer));
                std::hint::black_box(hash.finalize());
            });
        }
    });
}

/// Publishes modules such as people write: many small files, and a large one each.
pub(super) fn make_proxy(dir: &Path, modules: usize) {
    let proxy = FileProxy::new(dir);
    for module in 0..modules {
        let mut maker = ModuleMaker::new(name(module), "v1.0.0").package("", &[]);
        for file in 0..40 {
            let lines = 20 + (module * 7 + file * 31) % 900;
            maker = maker.file(&format!("f{file}/f{file}.go"), source(file, lines));
        }
        proxy.publish(&maker.file("data/table.go", source(module, 9000)));
    }
}

fn name(module: usize) -> String {
    format!("example.com/group{}/module{module}", module % 10)
}

/// Text that packs about as well as Go code does.
fn source(seed: usize, lines: usize) -> String {
    let mut text = format!("package f{seed}\n\n");
    for line in 0..lines {
        let value = (line * 2_654_435_761 + seed * 40_503) % 1_000_003;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "// Field{value} of {line} is {:x}.", value * value);
    }
    text
}

/// A project, the proxy that has what it needs, and where that is served.
struct Served {
    project: PathBuf,
    url: String,
}

impl Served {
    fn new(bench: &Bench) -> Result<Self> {
        let modules = bench.size(MODULES);
        let proxy = bench.tree("proxy", "proxy", &[modules.to_string()])?;
        let url = serve(proxy)?;
        let project = bench.dir.join("project");
        bench.remove_all(&project)?;
        fs::create_dir_all(&project)?;
        let mut main = "package main\n\n".to_owned();
        let mut go_mod = "module example.com/bench\n\ngo 1.21\n".to_owned();
        for module in (0..modules).map(name) {
            let _ = writeln!(main, "import _ {module:?}");
            let _ = writeln!(go_mod, "require {module} v1.0.0");
        }
        fs::write(project.join("go.mod"), go_mod)?;
        fs::write(project.join("main.go"), main + "\nfunc main() {}\n")?;
        let served = Self { project, url };
        let filled = bench.dir.join("tidied");
        bench.remove_all(&filled)?;
        quietly(&mut served.go(bench, &["mod", "tidy"], &filled))?;
        Ok(served)
    }

    fn go(&self, bench: &Bench, arguments: &[&str], gomodcache: &Path) -> Command {
        let mut command = bench.sandbox.command("go");
        command.args(arguments).current_dir(&self.project);
        command.env("GOMODCACHE", gomodcache).env("GOPROXY", &self.url).env("GOSUMDB", "off");
        command
    }
}

/// Serves a folder over HTTP on loopback until this program ends.
fn serve(dir: PathBuf) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("listen on loopback")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let dir = dir.clone();
            std::thread::spawn(move || answer(&stream, &dir));
        }
    });
    Ok(url)
}

/// One connection, for as many requests as the client sends.
fn answer(stream: &TcpStream, dir: &Path) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let request = lines.next()?.ok()?;
        let path = request.split(' ').nth(1)?.trim_start_matches('/').to_owned();
        while !lines.next()?.ok()?.is_empty() {}
        let (status, body) = match fs::read(dir.join(path)) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let mut out = stream;
        write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
        out.write_all(&body).ok()?;
    }
}
