//! A Prometheus that scrapes: a file of metrics that is served as larder would, or a larder that
//! runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use larder_testkit::free_port;
use serde_json::Value;
use tempfile::TempDir;

/// How long Prometheus may take for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const EXPOSITION: &str = include_str!("exposition.txt");

/// Each metric of the exposition with the labels that it has there.
pub(crate) fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in EXPOSITION.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let known = metrics.entry(name.to_owned()).or_default();
        let pairs = labels.trim_end_matches('}').split("\",");
        known.extend(pairs.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())));
    }
    metrics
}

/// The exposition as it would be now.
pub(crate) fn exposition() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let mut parts = EXPOSITION.split('@');
    let mut text = parts.next().unwrap().to_owned();
    while let Some(gap) = parts.next() {
        let offset: i64 = gap.strip_prefix("NOW").unwrap().parse().unwrap();
        text.push_str(&(now + offset).to_string());
        text.push_str(parts.next().unwrap());
    }
    text
}

/// Serves the exposition on a loopback port, until it is dropped.
pub(crate) struct Exposed {
    address: String,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exposed {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ends = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let _ = stream.map(answer);
            }
        });
        Self { address, ends, thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let body = exposition();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// A Prometheus with the exported rules that scrapes one target each second.
pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Prometheus {
    /// `rules` is the folder that `larder export rules` wrote; `target` is `HOST:PORT`.
    pub(crate) fn start(rules: &Path, target: &str) -> Self {
        Self::start_with(rules, target, "")
    }

    /// The same with more lines of how it scrapes.
    pub(crate) fn start_with(rules: &Path, target: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [\"{0}/alerts/*.yaml\", \"{0}/rules/*.yaml\"]\n\
             scrape_configs:\n  - job_name: larder\n    static_configs:\n      - targets: \
             [\"{target}\"]\n{more}",
            rules.display()
        );
        std::fs::write(dir.path().join("prometheus.yaml"), settings).unwrap();
        Self::run(dir)
    }

    /// One that scrapes nothing and remembers this, in the format of OpenMetrics.
    pub(crate) fn with_past(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("past.txt"), text).unwrap();
        std::fs::write(dir.path().join("prometheus.yaml"), "scrape_configs: []\n").unwrap();
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics", "-q", "past.txt", "data"])
            .current_dir(dir.path())
            .output()
            .expect("promtool is installed (scripts/test installs it)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self::run(dir)
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn run(dir: TempDir) -> Self {
        let port = free_port();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--config.file=prometheus.yaml")
            .arg("--storage.tsdb.path=data")
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("prometheus is installed (scripts/test installs it)");
        let mut prometheus = Self { child, port, dir };
        prometheus.wait_until_ready();
        prometheus
    }

    fn wait_until_ready(&mut self) {
        let until = Instant::now() + LIMIT;
        while get(self.port, "/-/ready").is_none_or(|(status, _)| status != 200) {
            let ended = self.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < until, "{ended:?}: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What an instant query gives; the reason where it is refused.
    pub(crate) fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/query?query={}", percent(expr));
        let (_, body) = get(self.port, &path).ok_or("no answer")?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        match answer["data"]["result"].as_array() {
            Some(rows) => Ok(rows.clone()),
            None => Err(answer["error"].to_string()),
        }
    }

    /// Every rule that it loaded, as it tells them.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let (_, body) = get(self.port, "/api/v1/rules").unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// Those of the queries that have no data in time.
    pub(crate) fn without_data(&self, queries: &BTreeSet<String>) -> Vec<String> {
        let until = Instant::now() + Duration::from_secs(20);
        let mut left: Vec<String> = queries.iter().cloned().collect();
        while !left.is_empty() && Instant::now() < until {
            left.retain(|expr| match self.query(expr) {
                Ok(rows) => rows.is_empty(),
                Err(reason) => panic!("{expr}: {reason}"),
            });
            std::thread::sleep(Duration::from_millis(250));
        }
        left
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // HTTP/1.0: the answer comes in one piece, and the connection ends with it.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
