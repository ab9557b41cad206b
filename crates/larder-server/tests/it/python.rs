//! Held against judges that are written in Python: schemathesis, which makes requests out of the
//! OpenAPI document, good ones and bad ones, and holds the answers against it; a validator of such
//! documents; and the reference parser of OpenMetrics, which is stricter than Prometheus.
//! `scripts/test` installs them and names the folder of their programs in `LARDER_PYTHON`; without
//! that there is nothing to run.

use std::path::PathBuf;
use std::process::Command;

use larder_server::{Format, ServeOptions, Token, metrics, openapi, redis_metrics};

use crate::support::{endpoints, exposed, options, redis_facts, start};

const TOKEN: &str = "0123456789abcdef";

fn python() -> Option<PathBuf> {
    let dir = std::env::var_os("LARDER_PYTHON").filter(|dir| !dir.is_empty());
    if dir.is_none() {
        eprintln!("LARDER_PYTHON is not set: scripts/test sets it");
    }
    dir.map(PathBuf::from)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_document_is_openapi_3_1() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("openapi.json");
    std::fs::write(&path, openapi(&endpoints()).to_string()).unwrap();
    run(Command::new(python.join("openapi-spec-validator")).arg(path));
}

#[test]
fn schemathesis_finds_nothing() {
    let Some(python) = python() else { return };
    let server = start(ServeOptions { token: Token::new(TOKEN).ok(), ..options() });
    let dir = tempfile::tempdir().unwrap();
    run(Command::new(python.join("schemathesis"))
        .current_dir(dir.path())
        .args(["run", &format!("{}/api/v1/openapi.json", server.url())])
        // A stream has no end that could be waited for.
        .args(["--exclude-path", "/api/v1/events/stream"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "100"])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--seed", "1", "--no-color"]));
}

#[test]
fn the_reference_parser_reads_openmetrics() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        families = list(parse(open(sys.argv[1]).read()))\n\
        assert len(families) > 3, families\n";
    let texts = [
        metrics(&exposed(), Format::OpenMetrics),
        redis_metrics(Some(&redis_facts()), Format::OpenMetrics),
    ];
    for text in texts {
        let path = dir.path().join("metrics");
        std::fs::write(&path, text).unwrap();
        run(Command::new(python.join("python")).args(["-c", program]).arg(path));
    }
}
