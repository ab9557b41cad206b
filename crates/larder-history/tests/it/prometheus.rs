//! Debian's Prometheus, with a past that promtool made and a present that it scrapes.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use larder_core::Time;
use larder_core::trend::Verdict;
use larder_history::{
    Credential, Metric, PrometheusHistory, PrometheusSettings, Range, Series as _, SeriesError,
    Source,
};
use larder_testkit::free_port;

use crate::{Place, wait_for};

/// What the name `larder` logs in with.
const PASSWORD: &str = "not a password";
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuiffewqCKmp/IVlo/pCQOWKh/6FZgAJO";

/// A server for as long as this lives.
struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// With these blocks, asking `target` every second.
    fn start(folder: &Path, target: u16) -> Self {
        let (port, config, web) = (free_port(), folder.join("p.yml"), folder.join("web.yml"));
        fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: larder\n  \
                 static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
            ),
        )
        .unwrap();
        fs::write(&web, format!("basic_auth_users: {{larder: {HASH}}}\n")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.config.file={}", web.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .expect("prometheus is there: scripts/test installs it");
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

/// The last three hours: `build` on three machines with the counter of what was freed. Two are
/// cleaned every half hour; the third every minute of all that it grew, which no level shows.
fn past(folder: &Path, now: i64) {
    let (mut sizes, mut freed) = (String::new(), String::new());
    for (host, per_second) in [("a:1", 2000_i64), ("b:1", 5000), ("c:1", 3000)] {
        let (mut level, mut gone) = (100_000_000_i64, 0);
        let label = format!("{{cache=\"build\",instance=\"{host}\",job=\"larder\"}}");
        for step in 0..720 {
            let at = now - 3 * 3600 + step * 15;
            level += per_second * 15;
            let took = match step {
                _ if host == "c:1" && step % 4 == 3 => per_second * 60,
                _ if host != "c:1" && step % 120 == 119 => level / 2,
                _ => 0,
            };
            (level, gone) = (level - took, gone + took);
            writeln!(sizes, "larder_cache_allocated_bytes{label} {level} {at}").unwrap();
            writeln!(freed, "larder_cleanup_freed_bytes_total{label} {gone} {at}").unwrap();
        }
    }
    let text = format!(
        "# TYPE larder_cache_allocated_bytes gauge\n{sizes}\
         # TYPE larder_cleanup_freed_bytes counter\n{freed}# EOF\n"
    );
    fs::write(folder.join("past.txt"), text).unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", "-q"])
        .args([folder.join("past.txt"), folder.join("data")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Answers every request with `text` until the test ends.
fn serve(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let length = text.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n");
            let _ = write!(stream, "Content-Length: {length}\r\nConnection: close\r\n\r\n{text}");
        }
    });
    port
}

fn settings(url: &str, credential: Credential) -> PrometheusSettings {
    PrometheusSettings {
        url: url.to_owned(),
        credential,
        matchers: vec![("job".to_owned(), "larder".to_owned())],
        host_label: Some("instance".to_owned()),
        timeout: Duration::from_secs(10),
    }
}

#[test]
fn trends_and_lines_of_several_machines() {
    let place = Place::new();
    let now = larder_fs::now();
    past(place.folder(), now.unix());
    let target = serve(
        "# TYPE larder_cache_allocated_bytes gauge\n\
         larder_cache_allocated_bytes{cache=\"redis:s\"} 4096\n\
         # TYPE larder_disk_free_bytes gauge\n\
         larder_disk_free_bytes{cache=\"redis:s\",mountpoint=\"/srv/go\"} 300\n\
         # TYPE redis_db_keys gauge\n\
         redis_db_keys{cache=\"redis:s\",db=\"db0\"} 5\n\
         redis_db_keys{cache=\"redis:s\",db=\"db1\"} 7\n",
    );
    let server = Prometheus::start(place.folder(), target);
    let password_file = place.folder().join("password");
    fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
    let basic = Credential::Basic { user: "larder".to_owned(), password_file };
    let history = PrometheusHistory::new(settings(&server.url, basic.clone())).unwrap();
    let range = || Range {
        since: now.minus(Duration::from_secs(4 * 3600)),
        until: larder_fs::now(),
        most: 500,
    };
    let here = Source { host: Some(format!("127.0.0.1:{target}")), cache: "redis:s".to_owned() };
    wait_for("it scrapes", || history.sources(range()).is_ok_and(|all| all.contains(&here)));

    let of = |host: &str| Source { host: Some(host.to_owned()), cache: "build".to_owned() };
    assert_eq!(history.sources(range()).unwrap(), [here.clone(), of("a:1"), of("b:1"), of("c:1")]);
    for (host, per_second) in [("a:1", 2000.0), ("b:1", 5000.0), ("c:1", 3000.0)] {
        let trend = history.trend(&of(host), Metric::Allocated, range()).unwrap();
        let rate = trend.rate.unwrap();
        assert!((rate.per_second / per_second - 1.0).abs() < 0.05, "{trend:?}");
        assert_eq!(trend.verdict, Verdict::Growing);
        assert!(trend.fallen > 0.0);
    }
    // Each whole hour has its mean, at its beginning.
    let begins = |hours: i64| Time::from_unix((now.unix() / 3600 + hours) * 3600);
    let whole = Range { since: begins(-2), until: begins(0), most: 4000 };
    let hours = history.by_hour(&of("c:1"), Metric::Allocated, whole).unwrap();
    assert_eq!(hours.iter().map(|p| p.at).collect::<Vec<_>>(), [begins(-2), begins(-1)]);
    let fine = Range { since: begins(-1), until: begins(0), most: 240 };
    let values = history.series(&of("c:1"), Metric::Allocated, fine).unwrap();
    let mean = values.iter().map(|point| point.value).sum::<f64>() / values.len() as f64;
    assert!((hours[1].value / mean - 1.0).abs() < 0.001, "{hours:?} {mean}");
    let line = history.series(&of("a:1"), Metric::Allocated, range()).unwrap();
    assert!(line.len() > 200 && line.len() <= 501, "{}", line.len());
    wait_for("now is there", || {
        history.last(&here, Metric::Keys, range()).unwrap().is_some_and(|p| p.value == 12.0)
    });
    assert_eq!(history.series(&of("a:1"), Metric::Score, range()).unwrap(), []);
    assert_eq!(history.disk(&here, range()).unwrap().as_deref(), Some("/srv/go"));
    assert_eq!(history.disk(&of("a:1"), range()).unwrap(), None);
    let free = history.last(&here, Metric::DiskFree, range()).unwrap();
    assert_eq!(free.map(|point| point.value), Some(300.0));

    // Without a label for machines they are not added up.
    let alone = PrometheusSettings { host_label: None, ..settings(&server.url, basic) };
    let alone = PrometheusHistory::new(alone).unwrap();
    let error = alone.trend(&Source::here("build"), Metric::Allocated, range()).unwrap_err();
    assert!(error.to_string().contains("3 lines of build"), "{error}");

    // Who has no password is told so, and who asks for nonsense hears the server's own words.
    let nobody = PrometheusHistory::new(settings(&server.url, Credential::None)).unwrap();
    let denied = nobody.sources(range()).unwrap_err();
    assert!(matches!(denied, SeriesError::Denied { status: 401, .. }), "{denied}");
    let backwards = Range { since: larder_fs::now(), until: Time::from_unix(0), most: 10 };
    let error = history.series(&of("a:1"), Metric::Allocated, backwards).unwrap_err();
    assert!(error.to_string().contains("end timestamp"), "{error}");
}

#[test]
fn a_server_that_is_silent_gone_or_something_else_is_told_apart() {
    let range = Range { since: Time::from_unix(0), until: Time::from_unix(60), most: 10 };
    let ask = |port: u16| {
        let url = format!("http://127.0.0.1:{port}/");
        let timeout = Duration::from_millis(300);
        let settings = PrometheusSettings { timeout, ..settings(&url, Credential::None) };
        PrometheusHistory::new(settings).unwrap().sources(range).unwrap_err().to_string()
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = ask(silent.local_addr().unwrap().port());
    assert!(error.contains("does not answer in time"), "{error}");
    let error = ask(free_port());
    assert!(error.to_lowercase().contains("refused"), "{error}");
    let error = ask(serve("<html>hello</html>"));
    assert!(error.contains("does not speak Prometheus"), "{error}");
    let error = ask(serve("{\"status\":\"error\",\"error\":\"too many cats\"}"));
    assert!(error.contains("too many cats"), "{error}");
}

#[test]
fn a_token_is_read_anew_for_each_question_and_stands_in_no_message() {
    let place = Place::new();
    let file = place.folder().join("token");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let _ = heard.send(String::from_utf8_lossy(&request[..read]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let credential = Credential::Bearer { file: file.clone() };
    let url = format!("http://127.0.0.1:{port}/prom/");
    let history = PrometheusHistory::new(settings(&url, credential)).unwrap();
    let range = Range { since: Time::from_unix(0), until: Time::from_unix(60), most: 10 };
    let missing = history.sources(range).unwrap_err().to_string();
    assert!(missing.contains("cannot read"), "{missing}");
    for token in ["first-token", "second-token"] {
        fs::write(&file, format!("{token}\n")).unwrap();
        let error = history.sources(range).unwrap_err();
        assert!(matches!(error, SeriesError::Denied { status: 403, .. }), "{error}");
        assert!(!format!("{error} {error:?} {history:?}").contains(token));
        let request = hears.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(request.starts_with("GET /prom/api/v1/series?"), "{request}");
        let header = format!("authorization: Bearer {token}");
        assert!(request.to_lowercase().contains(&header.to_lowercase()), "{request}");
    }
}
