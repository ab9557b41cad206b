//! A master, its replica, and a Sentinel that watches them.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::redis::{Answer, RedisClient, RedisServer, free_port};
use crate::redis_program::RedisProgram;

/// How long a state may take to come about.
const LIMIT: Duration = Duration::from_secs(30);

/// What a Sentinel watches, and the Sentinel.
#[derive(Debug)]
pub struct RedisSentinel {
    /// The first is the master in the beginning.
    pub servers: Vec<RedisServer>,
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl RedisSentinel {
    /// What the Sentinel calls the master.
    pub const MASTER: &'static str = "sessions";

    /// A master with a replica in step, and a Sentinel that knows both.
    pub fn start() -> Self {
        let master = RedisServer::start();
        let place = master.port().to_string();
        let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &place]);
        until("the replica is in step", || {
            let info = replica.client().ask(&["INFO", "replication"]).text();
            info.contains("master_link_status:up")
        });
        let dir = tempfile::tempdir().unwrap();
        let (child, port) = sentinel(&dir, &place);
        let one = Self { servers: vec![master, replica], child, port, _dir: dir };
        until("the Sentinel knows the replica", || {
            let replicas = one.client().ask(&["SENTINEL", "REPLICAS", Self::MASTER]);
            let Answer::List(replicas) = replicas else { return false };
            // Before it has heard of the replica's own state it would not promote it.
            let fields = replicas.first().map(Answer::list).unwrap_or_default();
            let status = fields.iter().position(|field| field == b"master-link-status");
            status.is_some_and(|at| fields[at + 1] == b"ok")
        });
        one
    }

    /// The Sentinel's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT` of the Sentinel.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection to the Sentinel for a test's own commands.
    pub fn client(&self) -> RedisClient {
        RedisClient::connect(self.port)
    }

    /// The port of the master, as the Sentinel knows it.
    pub fn master(&self) -> u16 {
        let answer = self.client().ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER]);
        String::from_utf8(answer.list()[1].clone()).unwrap().parse().unwrap()
    }

    /// Makes the replica the master.
    pub fn fail_over(&self) {
        let before = self.master();
        let asked = self.client().ask(&["SENTINEL", "FAILOVER", Self::MASTER]).text();
        assert_eq!(asked, "OK");
        until("the other one is the master", || self.master() != before);
        let new = self.servers.iter().find(|server| server.port() == self.master()).unwrap();
        until("it takes writes", || {
            new.client().ask(&["INFO", "replication"]).text().contains("role:master")
        });
    }
}

impl Drop for RedisSentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Sentinel on a port that was free.
fn sentinel(dir: &TempDir, master: &str) -> (Child, u16) {
    let (port, name) = (free_port(), RedisSentinel::MASTER);
    let settings = dir.path().join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {name} 127.0.0.1 {master} 1\n\
         sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n",
        dir.path().display(),
    );
    std::fs::write(&settings, text).unwrap();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let child = Command::new(&RedisProgram::here().path)
        .arg(&settings)
        .arg("--sentinel")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("the Sentinel starts");
    until("the Sentinel listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (child, port)
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
