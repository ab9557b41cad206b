//! A real Alertmanager in a folder of its own on a loopback port that was free; ended by its own
//! process when dropped.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::redis::free_port;

/// How long it may take to come up.
const LIMIT: Duration = Duration::from_mins(1);

/// An Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    child: Child,
    // The child writes to it until it is dropped.
    _dir: TempDir,
    port: u16,
}

impl Alertmanager {
    /// One that tells everything at once to `webhook`, an URL, also what is over.
    pub fn start(webhook: &str) -> Self {
        Self::with(&format!(
            "route:\n  receiver: all\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n\
             receivers:\n- name: all\n  webhook_configs:\n  - url: {webhook}\n"
        ))
    }

    /// One with these settings.
    pub fn with(settings: &str) -> Self {
        for _ in 0..10 {
            if let Some(running) = Self::launch(settings) {
                return running;
            }
        }
        panic!("prometheus-alertmanager did not start");
    }

    fn launch(settings: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = dir.path().join("config.yml");
        fs::write(&config, settings).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("prometheus-alertmanager is installed (scripts/test installs it)");
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Self { child, _dir: dir, port });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The body of what it answers to a GET of that path.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }

    /// What `amtool ARGUMENTS` says of it.
    pub fn amtool(&self, arguments: &[&str]) -> String {
        let output = Command::new("amtool")
            .args(arguments)
            .arg(format!("--alertmanager.url={}", self.url()))
            .output()
            .expect("amtool is installed (scripts/test installs it)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
