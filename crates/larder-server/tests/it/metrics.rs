//! `/metrics` as Prometheus and its tools read it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_core::{Sample, Time};
use larder_server::{Exposed, FAMILIES, Format, MOST_CACHES, metrics, redis_metrics};
use larder_testkit::free_port;

use crate::support::{Program, ask, exposed, options, redis_facts, request, start, until};

#[test]
fn the_text_of_everything() {
    insta::assert_snapshot!("metrics_text", metrics(&exposed(), Format::Text));
    insta::assert_snapshot!("metrics_openmetrics", metrics(&exposed(), Format::OpenMetrics));
}

#[test]
fn every_name_is_written_where_everything_is_known_and_none_where_nothing_is() {
    let mut all = exposed();
    all.samples[0].score = Some(91.0);
    let text = metrics(&all, Format::Text);
    for family in FAMILIES {
        let lines = text.lines();
        let lines = lines.filter(|line| line.split(['{', ' ']).next() == Some(family.name));
        assert!(lines.count() > 0, "{} is missing", family.name);
    }
    let nothing = metrics(&Exposed::default(), Format::Text);
    let names: Vec<&str> = nothing.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(names, ["larder_build_info{version=\"\"} 1", "larder_exposition_left_out_series 0"]);
    assert!(!text.contains("larder_cache_files{cache=\"vcs\"}"), "a failed sample has no values");
}

#[test]
fn the_number_of_caches_is_bounded_and_the_rest_is_counted() {
    let at = Time::from_unix(1_700_000_000);
    let sample = |index| {
        let mut sample = Sample::empty(format!("redis:{index}"), at, Duration::ZERO);
        sample.files = Some(1);
        sample
    };
    let samples = (0..MOST_CACHES + 3).map(sample).collect();
    let text = metrics(&Exposed { samples, ..Exposed::default() }, Format::Text);
    let files = text.lines().filter(|line| line.starts_with("larder_cache_files{")).count();
    assert_eq!(files, MOST_CACHES);
    // Each has three series: whether it is up, its files, and how long its sample took.
    assert!(text.ends_with("larder_exposition_left_out_series 9\n"), "{text}");
}

#[test]
fn promtool_has_nothing_to_say() {
    for text in [
        metrics(&exposed(), Format::Text),
        redis_metrics(Some(&redis_facts()), Format::Text),
        redis_metrics(None, Format::Text),
    ] {
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is installed (scripts/test installs it)");
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn the_format_is_the_one_that_was_asked_for() {
    let server = start(options());
    let accept = [("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")];
    let reply = ask(server.address(), "GET /metrics", &accept, "");
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert_eq!(reply.text(), metrics(&exposed(), Format::OpenMetrics));
}

#[test]
fn a_real_prometheus_scrapes_it() {
    let server = start(options());
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    let jobs = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: larder\n  static_configs:\n  \
         - targets: [\"{0}\"]\n- job_name: probes\n  metrics_path: /probe\n  \
         params: {{target: [\"redis://127.0.0.1:6379\"]}}\n  static_configs:\n  \
         - targets: [\"{0}\"]\n",
        server.address()
    );
    std::fs::write(&config, jobs).unwrap();
    let port = free_port();
    let _prometheus = Program::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let query = |query: &str| -> Option<String> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        let line = format!("GET /api/v1/query?query={query}");
        // The older version of HTTP has no chunks.
        let text = request(&line, &[], "").replace("HTTP/1.1", "HTTP/1.0");
        stream.write_all(text.as_bytes()).ok()?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).ok()?;
        Some(answer)
    };
    let value = |name: &str| {
        let answer = query(name)?;
        let document: serde_json::Value =
            serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        document["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    for (name, wanted) in [
        ("up%7Bjob%3D%22larder%22%7D", "1"),
        ("larder_cache_files%7Bcache%3D%22build%22%7D", "412000"),
        ("larder_cleanup_freed_bytes_total", "33900000000"),
        ("larder_build_info", "1"),
        ("dev_active_tasks", "3"),
        ("redis_db_keys%7Bjob%3D%22larder%22%2Cdb%3D%22db0%22%7D", "1200000"),
        ("redis_memory_used_bytes%7Bjob%3D%22probes%22%7D", "1600000000"),
    ] {
        until(name, || value(name).as_deref() == Some(wanted));
    }
}
