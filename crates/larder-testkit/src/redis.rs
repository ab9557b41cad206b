//! Real Redis servers, each in a folder of its own on a loopback port that was free; ended by
//! their own process when dropped.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::redis_program::RedisProgram;

/// How long a server may take to come up or a state to come about.
const LIMIT: Duration = Duration::from_secs(30);

/// A server.
#[derive(Debug)]
pub struct RedisServer {
    child: Option<Child>,
    dir: TempDir,
    port: u16,
    options: Vec<String>,
}

impl RedisServer {
    /// A server without persistence.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with more options, as on its command line: `--maxmemory`, `10mb`, ….
    pub fn with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        // Somebody else may take a port between our look and the server's.
        for _ in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let mut server = Self { child: None, dir, port: free_port(), options: options.clone() };
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server did not start with {options:?}");
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again at the same place.
    pub fn restart(&mut self) {
        self.kill();
        let until = Instant::now() + LIMIT;
        while !self.launch() {
            assert!(Instant::now() < until, "redis-server did not come back on {}", self.port);
        }
    }

    /// One more option, from the next start on.
    pub fn add_option(&mut self, options: &[&str]) {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// A connection for a test's own commands.
    pub fn client(&self) -> RedisClient {
        RedisClient::connect(self.port)
    }

    fn launch(&mut self) -> bool {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let program = RedisProgram::here();
        let options = ["--enable-debug-command", "yes"].map(str::to_owned);
        let options = program.fitting(&[&options[..], &self.options].concat());
        let mut child = Command::new(&program.path)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(self.dir.path())
            .args(&options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                // Somebody else's server at this port would answer as well.
                if self.is_of(&mut child) {
                    self.child = Some(child);
                    return true;
                }
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }
}

impl RedisServer {
    /// Whether it is this process that answers.
    fn is_of(&self, child: &mut Child) -> bool {
        let mut client = self.client();
        match client.ask(&["INFO", "server"]) {
            Answer::Bytes(info) => String::from_utf8_lossy(&info)
                .lines()
                .any(|line| line == format!("process_id:{}", child.id())),
            // It asks for a password first: one that could not have the port has ended by then.
            _ => {
                std::thread::sleep(Duration::from_millis(100));
                child.try_wait().unwrap().is_none()
            }
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    // A cluster's bus takes the port 10,000 above, which has to exist.
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 {
            return port;
        }
    }
}

/// Masters of a cluster with all slots among them.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Three masters without replicas.
    pub fn start() -> Self {
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            "--cluster-require-full-coverage",
            "no",
        ];
        let nodes: Vec<RedisServer> = (0..3).map(|_| RedisServer::with(&options)).collect();
        let ranges = [(0, 5460), (5461, 10922), (10923, 16383)];
        let first = nodes[0].port().to_string();
        for (node, (from, to)) in nodes.iter().zip(ranges) {
            let mut client = node.client();
            let mut command = vec!["CLUSTER".to_owned(), "ADDSLOTS".to_owned()];
            command.extend((from..=to).map(|slot| slot.to_string()));
            assert_eq!(client.ask(&command).text(), "OK");
            client.ask(&["CLUSTER", "MEET", "127.0.0.1", &first]);
        }
        for node in &nodes {
            let mut client = node.client();
            let until = Instant::now() + LIMIT;
            loop {
                let info = client.ask(&["CLUSTER", "INFO"]).text();
                let whole = info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_ok:16384")
                    && info.contains("cluster_known_nodes:3");
                if whole {
                    break;
                }
                assert!(Instant::now() < until, "the cluster does not come about: {info}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Self { nodes }
    }
}

/// Asks when a key ends, exactly: before 7.0 there is no command for it, and what is left is told
/// of a millisecond that has to be the same before and after.
fn end_of(key: &[u8]) -> Vec<Vec<u8>> {
    let script = "local function now()
          local time = redis.call('TIME')
          return time[1] * 1000 + math.floor(time[2] / 1000)
        end
        while true do
          local before = now()
          local left = redis.call('PTTL', KEYS[1])
          if left < 0 then return left end
          if now() == before then return before + left end
        end";
    if RedisProgram::here().knows((7, 0)) {
        return vec![b"PEXPIRETIME".to_vec(), key.to_vec()];
    }
    vec![b"EVAL".to_vec(), script.into(), b"1".to_vec(), key.to_vec()]
}

/// An answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `+…` or `-…`, the latter with its sign.
    Line(String),
    /// `:…`.
    Integer(i64),
    /// `$…`.
    Bytes(Vec<u8>),
    /// Nothing.
    Nil,
    /// `*…`.
    List(Vec<Answer>),
}

impl Answer {
    /// As text.
    pub fn text(&self) -> String {
        match self {
            Self::Line(line) => line.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?} is no text"),
        }
    }

    /// As a number.
    pub fn number(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    /// As a list of bytes.
    pub fn list(&self) -> Vec<Vec<u8>> {
        let Self::List(items) = self else { panic!("{self:?} is no list") };
        items
            .iter()
            .map(|item| match item {
                Self::Bytes(bytes) => bytes.clone(),
                other => panic!("{other:?} in a list of bytes"),
            })
            .collect()
    }
}

/// Keys, each with its `DUMP` and when it ends, in milliseconds since 1970.
pub type Keys = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

/// A client of a test's own: it shares nothing with what is tested.
#[derive(Debug)]
pub struct RedisClient {
    reader: BufReader<TcpStream>,
}

impl RedisClient {
    /// Connects.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Sends a command and reads its answer.
    pub fn ask<T: AsRef<[u8]>>(&mut self, command: &[T]) -> Answer {
        self.send_all(&[command]);
        self.answer()
    }

    /// Sends a command whose answer nobody waits for.
    pub fn send<T: AsRef<[u8]>>(&mut self, command: &[T]) {
        self.send_all(&[command]);
    }

    /// Sends many commands at once and reads as many answers.
    pub fn ask_all<T: AsRef<[u8]>>(&mut self, commands: &[Vec<T>]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(commands.len());
        for some in commands.chunks(1000) {
            let slices: Vec<&[T]> = some.iter().map(Vec::as_slice).collect();
            self.send_all(&slices);
            answers.extend((0..some.len()).map(|_| self.answer()));
        }
        answers
    }

    /// Whether these are all keys of the database that is selected, as they were.
    pub fn holds(&mut self, keys: &Keys) -> bool {
        let slack = RedisProgram::here().slack();
        let now = self.keyspace();
        let same = |(key, (dump, end)): (&Vec<u8>, &(Vec<u8>, i64))| {
            keys.get(key).is_some_and(|was| was.0 == *dump && was.1.abs_diff(*end) <= slack)
        };
        now.len() == keys.len() && now.iter().all(same)
    }

    /// Every key of the database that is selected: its `DUMP` and when it ends.
    pub fn keyspace(&mut self) -> Keys {
        let keys = self.ask(&["KEYS", "*"]).list();
        let dumps: Vec<Vec<Vec<u8>>> =
            keys.iter().map(|key| vec![b"DUMP".to_vec(), key.clone()]).collect();
        let ends: Vec<Vec<Vec<u8>>> = keys.iter().map(|key| end_of(key)).collect();
        let (dumps, ends) = (self.ask_all(&dumps), self.ask_all(&ends));
        let values = dumps.into_iter().zip(ends).map(|(dump, end)| match dump {
            Answer::Bytes(dump) => (dump, end.number()),
            other => panic!("{other:?} is no dump"),
        });
        keys.into_iter().zip(values).collect()
    }

    /// When a key ends, in milliseconds since 1970; -1 for never, -2 for no such key.
    pub fn end(&mut self, key: &str) -> i64 {
        self.ask(&end_of(key.as_bytes())).number()
    }

    fn send_all<T: AsRef<[u8]>>(&mut self, commands: &[&[T]]) {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
            for word in *command {
                let word = word.as_ref();
                bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.reader.get_mut().write_all(&bytes).unwrap();
    }

    fn answer(&mut self) -> Answer {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let line = line.trim_end_matches("\r\n");
        let (kind, rest) = line.split_at(1);
        let length = || rest.parse::<i64>().unwrap();
        match kind {
            "+" => Answer::Line(rest.to_owned()),
            "-" => Answer::Line(line.to_owned()),
            ":" => Answer::Integer(length()),
            "$" if length() < 0 => Answer::Nil,
            "*" if length() < 0 => Answer::Nil,
            "$" => {
                let mut bytes = vec![0; usize::try_from(length()).unwrap() + 2];
                self.reader.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Answer::Bytes(bytes)
            }
            "*" => Answer::List((0..length()).map(|_| self.answer()).collect()),
            _ => panic!("{line:?} is no answer"),
        }
    }
}
