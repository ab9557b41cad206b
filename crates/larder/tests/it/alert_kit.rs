//! What tests of the alert path share: a daemon in a sandbox, a Redis under load that is well or
//! sick as the test wants, and receivers of notices that answer as the test wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use larder_testkit::{GoSandbox, RedisClient, RedisServer};
use serde_json::Value;

use crate::flow::command;

/// How long a condition may take to come about; each test waits for far less.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits for a condition.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for something to be there.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(what, || {
        found = look();
        found.is_some()
    });
    found.unwrap()
}

/// Writes the settings.
pub(crate) fn settings(sandbox: &GoSandbox, text: &str) {
    sandbox.write("home/.config/larder/config.toml", text);
}

/// larder's own folder.
pub(crate) fn state(sandbox: &GoSandbox) -> PathBuf {
    sandbox.state_home().join("larder")
}

/// A daemon; killed by its own process when dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// `larder watch`; what it says on standard error goes to `said`.
    pub(crate) fn watch(sandbox: &GoSandbox) -> Self {
        Self::start(command(sandbox, &["watch"]), sandbox)
    }

    pub(crate) fn start(mut command: Command, sandbox: &GoSandbox) -> Self {
        let said = std::fs::File::options()
            .create(true)
            .append(true)
            .open(sandbox.root().join("said"))
            .unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        Self(child.spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// As a power cut would.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Stops it as systemd would; how it ended.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal to a process that the test started.
pub(crate) fn signal(id: u32, name: &str) {
    let args = [name.to_owned(), id.to_string()];
    assert!(Command::new("kill").args(args).status().unwrap().success());
}

/// What the daemon said on standard error.
pub(crate) fn said(sandbox: &GoSandbox) -> String {
    std::fs::read_to_string(sandbox.root().join("said")).unwrap_or_default()
}

/// What happened, by `larder events`, the oldest first.
pub(crate) fn events(sandbox: &GoSandbox) -> Vec<Value> {
    let output = command(sandbox, &["events", "--since", "1h", "--json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    document["events"].as_array().cloned().unwrap_or_default()
}

/// Those of a kind.
pub(crate) fn events_of(sandbox: &GoSandbox, kind: &str) -> Vec<Value> {
    events(sandbox).into_iter().filter(|event| event["kind"] == kind).collect()
}

/// What fires, by `larder alerts`.
pub(crate) fn alerts(sandbox: &GoSandbox) -> Vec<Value> {
    let output = command(sandbox, &["alerts", "--json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    document["alerts"].as_array().cloned().unwrap_or_default()
}

/// A Redis that is asked all the time, for keys that it has or has not.
pub(crate) struct Loaded {
    pub(crate) server: RedisServer,
    sick: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Loaded {
    pub(crate) fn start() -> Self {
        Self::of(RedisServer::with(&["--maxmemory", "100mb"]))
    }

    pub(crate) fn of(server: RedisServer) -> Self {
        let (sick, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut client = server.client();
        client.ask(&["SET", "there", "x"]);
        let (is_sick, ends) = (Arc::clone(&sick), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let key = if is_sick.load(Ordering::Relaxed) { "gone" } else { "there" };
                let gets: Vec<Vec<&str>> = (0..100).map(|_| vec!["GET", key]).collect();
                // The server may be stopped for a while, but not longer than a client waits.
                client.ask_all(&gets);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { server, sick, stop, thread: Some(thread) }
    }

    /// Nearly every look-up misses from now on, or none.
    pub(crate) fn sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::Relaxed);
    }

    pub(crate) fn client(&self) -> RedisClient {
        self.server.client()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A message that a receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) at: Instant,
    pub(crate) body: Value,
}

/// A receiver that keeps what it is sent and answers as the test wants.
pub(crate) struct Inbox {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    stop: Arc<AtomicBool>,
}

impl Inbox {
    /// Takes everything.
    pub(crate) fn new() -> Self {
        Self::says(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned())
    }

    /// Answers with what `answer` says to the request of this number, from 0; nothing of it hangs.
    pub(crate) fn says(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inbox = Self {
            port: listener.local_addr().unwrap().port(),
            got: Arc::default(),
            stop: Arc::default(),
        };
        let (got, stop, answer) =
            (Arc::clone(&inbox.got), Arc::clone(&inbox.stop), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (got, answer) = (Arc::clone(&got), Arc::clone(&answer));
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    let Some(body) = body_of(&mut reader) else { return };
                    let number = {
                        let mut got = got.lock().unwrap();
                        got.push(Got { at: Instant::now(), body });
                        got.len() - 1
                    };
                    let said = answer(number);
                    if said.is_empty() {
                        std::thread::sleep(LIMIT);
                    }
                    let _ = reader.get_mut().write_all(said.as_bytes());
                });
            }
        });
        inbox
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// The notices that came for this occasion.
    pub(crate) fn of(&self, occasion: &str) -> Vec<Value> {
        let bodies = self.got().into_iter().map(|got| got.body);
        bodies.filter(|body| body["occasion"] == occasion).collect()
    }

    /// The occasions in the order in which they came.
    pub(crate) fn occasions(&self) -> Vec<String> {
        let text = |got: Got| got.body["occasion"].as_str().unwrap_or_default().to_owned();
        self.got().into_iter().map(text).collect()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn body_of(reader: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The lines of a log receiver.
pub(crate) fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
