//! What the tests of `larder watch` and `larder serve` share: a daemon as a child with its own
//! state, settings and port, what it says, how it is told to stop, and a small HTTP client.
//!
//! A daemon of these tests writes its log as JSON lines and tells a socket of its sandbox's when
//! it is ready, as it would tell systemd. It never outlives its [`Daemon`].

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder_testkit::GoSandbox;
use serde_json::Value;

use crate::flow;

/// How long something may take to come about on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `found` answers something; fails after [`LIMIT`].
#[track_caller]
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Writes the settings file of a sandbox. Measuring goes on every second unless the text has a
/// `[schedule]` of its own.
pub(crate) fn settings(sandbox: &GoSandbox, text: &str) -> PathBuf {
    let every = if text.contains("[schedule]") { "" } else { "[schedule]\nsample = \"1s\"\n" };
    let path = sandbox.config_home().join("larder/config.toml");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // As an editor saves: a daemon that looks at it meanwhile sees the old or the new one.
    let new = path.with_extension("new");
    fs::write(&new, format!("{text}\n{every}")).unwrap();
    fs::rename(new, &path).unwrap();
    path
}

/// larder's own folder in a sandbox.
pub(crate) fn state(sandbox: &GoSandbox) -> PathBuf {
    sandbox.state_home().join("larder")
}

/// A larder command whose log is JSON.
pub(crate) fn command(sandbox: &GoSandbox, args: &[&str]) -> Command {
    let mut command = flow::command(sandbox, args);
    command.env("LARDER_LOG_FORMAT", "json").stdin(Stdio::null());
    command
}

/// Runs `larder ARGS…` to its end, which must be `code`, and answers the events that it logged.
#[track_caller]
pub(crate) fn logged(sandbox: &GoSandbox, code: i32, args: &[&str]) -> Vec<Value> {
    let output = command(sandbox, args).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:#?}");
    events_of(&String::from_utf8_lossy(&output.stderr))
}

/// The JSON lines of a log; notes for people beside them are left out.
pub(crate) fn events_of(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The word of an event in the log: `cleaned`, `reloaded`, ….
pub(crate) fn kind(event: &Value) -> &str {
    event["event.action"].as_str().unwrap_or_default()
}

/// The history's events as `larder events` shows them, the newest last.
pub(crate) fn history(sandbox: &GoSandbox) -> Vec<Value> {
    let document = flow::document(sandbox, "events/1", 0, &["events", "--since", "30d"]);
    document["events"].as_array().unwrap().clone()
}

/// A daemon that runs.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    told: Arc<Mutex<Vec<String>>>,
}

/// How a daemon ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// All that it said.
    pub(crate) log: String,
    /// What it told systemd, in order.
    pub(crate) told: Vec<String>,
    /// From the signal to the end.
    pub(crate) took: Duration,
}

impl Daemon {
    /// `larder watch`, ready.
    pub(crate) fn watch(sandbox: &GoSandbox) -> Self {
        Self::ready(sandbox, command(sandbox, &["watch"]))
    }

    /// `larder serve` at a free port of loopback, ready.
    pub(crate) fn serve(sandbox: &GoSandbox) -> Self {
        Self::ready(sandbox, command(sandbox, &["serve", "--listen", "127.0.0.1:0"]))
    }

    /// Any larder that is a daemon, once it is ready.
    pub(crate) fn ready(sandbox: &GoSandbox, command: Command) -> Self {
        let mut daemon = Self::spawn(sandbox, command);
        until("it is ready", || {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before it was ready: {ended:?}\n{}", daemon.log());
            daemon.told().iter().any(|told| told.contains("READY=1")).then_some(())
        });
        daemon
    }

    /// The same, not waited for.
    pub(crate) fn spawn(sandbox: &GoSandbox, mut command: Command) -> Self {
        let place = tempfile::Builder::new().prefix("daemon-").tempdir_in(sandbox.root());
        let place = place.unwrap().keep();
        let (log, socket) = (place.join("log"), place.join("notify"));
        let told = Arc::new(Mutex::new(Vec::new()));
        listen(UnixDatagram::bind(&socket).unwrap(), &told);
        let file = File::create(&log).unwrap();
        command.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log, told }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The events that it logged so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        events_of(&self.log())
    }

    /// What it told systemd so far.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Waits for an event of this kind, and answers the first.
    #[track_caller]
    pub(crate) fn event(&self, word: &str) -> Value {
        self.nth_event(word, 0)
    }

    /// Waits until so many events of this kind came before it, and answers it.
    #[track_caller]
    pub(crate) fn nth_event(&self, word: &str, nth: usize) -> Value {
        let start = Instant::now();
        loop {
            if let Some(event) = self.events().into_iter().filter(|e| kind(e) == word).nth(nth) {
                return event;
            }
            assert!(start.elapsed() < LIMIT, "no {word} number {nth} in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `127.0.0.1:PORT` of a `serve`.
    #[track_caller]
    pub(crate) fn address(&self) -> String {
        let started = self.event("started");
        let message = started["message"].as_str().unwrap().to_owned();
        let url = message.split("http://").nth(1).unwrap_or_else(|| panic!("{message}"));
        url.trim_end_matches('/').to_owned()
    }

    /// Sends it a signal by name: `TERM`, `HUP`, ….
    pub(crate) fn signal(&self, name: &str) {
        let (name, pid) = (format!("-{name}"), self.pid().to_string());
        assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
    }

    /// Asks it to stop, and waits for it.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let (code, took) = (status.code(), start.elapsed());
                return Ended { code, log: self.log(), told: self.told(), took };
            }
            assert!(start.elapsed() < LIMIT, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes in what is told for as long as somebody wants to know.
fn listen(socket: UnixDatagram, told: &Arc<Mutex<Vec<String>>>) {
    let told = Arc::downgrade(told);
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Some(told) = told.upgrade() {
            if let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                told.lock().unwrap().push(text);
            }
        }
    });
}

/// What an HTTP server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines before the body.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// `GET PATH`.
#[track_caller]
pub(crate) fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, &[], "")
}

/// `POST PATH` without a body.
#[track_caller]
pub(crate) fn post(address: &str, path: &str) -> Answer {
    ask(address, "POST", path, &[], "")
}

/// One request on a connection of its own; `headers` are whole lines.
#[track_caller]
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {}\r\n{more}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        if length == 0 {
            break;
        }
        body.push_str(&after[..length]);
        rest = after[length..].trim_start_matches("\r\n");
    }
    body
}
