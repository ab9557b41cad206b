//! A server with made-up content, and a client that sends exactly what it is told to.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder_core::{RedisSample, Sample, Severity, Time};
use larder_server::{
    ApiResponse, Cleanups, Endpoint, Events, Exposed, Firing, Growth, HistoryState, Method,
    Notifications, ParamKind, RedisExposed, RedisFacts, Routes, Running, Sampled, ServeOptions,
    Server, Source, Tasks, Verified,
};
use serde_json::{Value, json};

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A source that answers what it was made with.
pub(crate) struct Made {
    pub(crate) exposed: Arc<Exposed>,
    pub(crate) ready: Mutex<Result<(), String>>,
    pub(crate) targets: Vec<String>,
    /// Targets that were asked.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Made {
    pub(crate) fn new(exposed: Exposed) -> Arc<Self> {
        Arc::new(Self {
            exposed: Arc::new(exposed),
            ready: Mutex::new(Ok(())),
            targets: vec!["redis://127.0.0.1:6379".to_owned(), "redis:slow".to_owned()],
            asked: Mutex::default(),
        })
    }
}

impl Source for Made {
    fn exposed(&self) -> Arc<Exposed> {
        self.exposed.clone()
    }

    fn ready(&self) -> Result<(), String> {
        self.ready.lock().unwrap().clone()
    }

    fn probe_targets(&self) -> Vec<String> {
        self.targets.clone()
    }

    fn probe(&self, target: &str) -> Result<RedisFacts, String> {
        self.asked.lock().unwrap().push(target.to_owned());
        if target == "redis:slow" {
            std::thread::sleep(Duration::from_secs(3));
            return Err("nobody listens".to_owned());
        }
        Ok(redis_facts())
    }
}

/// Options for a free port of this machine.
pub(crate) fn options() -> ServeOptions {
    ServeOptions::new("127.0.0.1:0".parse().unwrap())
}

/// A server with all of this file's content.
pub(crate) fn start(options: ServeOptions) -> Running {
    start_with(options, Made::new(exposed()), endpoints())
}

pub(crate) fn start_with(
    options: ServeOptions,
    source: Arc<dyn Source>,
    endpoints: Vec<Endpoint>,
) -> Running {
    Server::start(options, Routes { source, endpoints, events: Events::new(8, 0) }).unwrap()
}

/// An API of one kind of thing each.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let thing = json!({
        "title": "Thing",
        "type": "object",
        "properties": {"schema": {"const": "larder/thing/1"}, "said": {"$ref": "#/$defs/Said"}},
        "required": ["schema", "said"],
        "$defs": {"Said": {"type": "object"}},
    });
    let said = |said: Value| json!({"schema": "larder/thing/1", "said": said});
    let words = vec!["age", "kind"];
    let order = json!({
        "title": "Order",
        "type": "object",
        "properties": {"cache": {"type": "string"}, "bytes": {"type": "integer", "minimum": 0}},
        "required": ["cache"],
        "additionalProperties": false,
    });
    vec![
        Endpoint::new(Method::Get, "/api/v1/caches/{cache}", thing.clone(), move |request| {
            ApiResponse::ok(said(json!({
                "cache": request.part("cache"),
                "by": request.query("by"),
                "top": request.whole("top"),
                "deep": request.flag("deep"),
            })))
        })
        .summary("What a cache is")
        .param("by", ParamKind::OneOf(words), "The key of the rows")
        .param("top", ParamKind::Whole(1000), "How many rows")
        .param("deep", ParamKind::Flag, "Whether to look into it"),
        Endpoint::new(Method::Post, "/api/v1/orders", thing.clone(), move |request| {
            let body = request.body.unwrap_or_default();
            let known = |(key, value): (&String, &Value)| match key.as_str() {
                "cache" => value.is_string(),
                "bytes" => {
                    value.is_u64() || value.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0)
                }
                _ => false,
            };
            let good = body.as_object().is_some_and(|body| body.iter().all(known));
            if !good || body.get("cache").is_none() {
                return ApiResponse::problem(422, "this is no order").because("the secret reason");
            }
            ApiResponse::accepted(said(body))
        })
        .summary("Orders something")
        .takes(order)
        .changes(),
        Endpoint::new(Method::Delete, "/api/v1/orders/{id}", thing, move |request| {
            ApiResponse::ok(said(json!({"id": request.part("id")})))
        })
        .summary("Takes an order back")
        .changes(),
    ]
}

/// An endpoint of a test's own.
pub(crate) fn endpoint(path: &str, answer: impl Fn() -> Value + Send + Sync + 'static) -> Endpoint {
    Endpoint::new(Method::Get, path, json!({}), move |_| ApiResponse::ok(answer()))
}

/// What an answer says.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = &self.body[..self.body.len().min(500)];
        write!(f, "{}{}", self.head, body.escape_ascii())
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?} is not JSON"))
    }

    /// The public message of an error.
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// A connection on which whatever is sent is sent.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, text: &str) {
        // The other side may have had enough.
        let _ = self.0.write_all(text.as_bytes());
    }

    /// The next answer; `None` where the connection ended.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        reply(&mut self.0)
    }

    /// How long it took until the other side closed, which it must do.
    pub(crate) fn closed_after(&mut self, start: Instant) -> Duration {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (),
            Err(error) => panic!("the connection stays open: {error}"),
        }
        start.elapsed()
    }
}

/// Reads one answer with a length.
pub(crate) fn reply(stream: &mut impl io::Read) -> Option<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => {
                assert!(head.is_empty(), "half an answer: {}", String::from_utf8_lossy(&head));
                return None;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply { status, head, body: Vec::new() };
    let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    reply.body = body;
    Some(reply)
}

/// One request with headers, on a connection of its own.
pub(crate) fn ask(address: SocketAddr, line: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut raw = Raw::to(address);
    raw.send(&request(line, headers, body));
    if line.starts_with("HEAD ") {
        let mut text = String::new();
        raw.0.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("\r\n\r\n"), "a body for HEAD: {text:?}");
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        return Reply { status, head: text, body: Vec::new() };
    }
    raw.reply().expect("an answer")
}

/// The text of a request after which the connection ends.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    text + "\r\n" + body
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, &format!("GET {path}"), &[], "")
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program that is ended with the test.
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let name = quiet.get_program().to_owned();
        let child = quiet.spawn();
        Self(child.unwrap_or_else(|error| {
            panic!("{} (scripts/test installs it): {error}", name.display())
        }))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Content in which everything is known of one cache or another.
pub(crate) fn exposed() -> Exposed {
    let at = Time::from_unix(1_700_000_000);
    let ago = |seconds| Some(at.minus(Duration::from_secs(seconds)));
    Exposed {
        version: "0.1.0".to_owned(),
        samples: samples(at),
        sampled: vec![
            sampled("build", 240, 0, Some(at)),
            sampled("redis:sessions", 240, 2, Some(at)),
            sampled("vcs", 1, 1, None),
        ],
        growth: vec![Growth {
            cache: "build".to_owned(),
            per_second: 1234.5,
            low: Some(-10.0),
            high: Some(2500.0),
            full_at: Some(Time::from_unix(1_800_000_000)),
        }],
        alerts: vec![Firing {
            name: "RedisCacheUnhealthy".to_owned(),
            cache: "redis:sessions".to_owned(),
            severity: Severity::Warning,
            since: ago(120),
            command: Some("larder audit redis:sessions".to_owned()),
        }],
        tasks: Some(Tasks { go: 2, larder: 1 }),
        cleanups: vec![Cleanups {
            cache: "build".to_owned(),
            total: 4,
            failures: 1,
            freed_bytes_total: 33_900_000_000,
            last_at: ago(3600),
            last_duration: Some(Duration::from_millis(4100)),
        }],
        verifications: vec![Verified {
            cache: "mod".to_owned(),
            at: at.minus(Duration::from_hours(1)),
            checked: 1640,
            bad: 2,
            unverifiable: 3,
        }],
        notifications: vec![Notifications {
            receiver: "team".to_owned(),
            sent: 5,
            failed: 1,
            dropped: 0,
            queue: 2,
        }],
        plans_waiting: Some(1),
        events_total: Some(17),
        history: Some(HistoryState { bytes: 1_048_576, dropped: 0 }),
        forecast_errors: vec![("build".to_owned(), 0.12)],
        throttles: vec![("redis:sessions".to_owned(), 1)],
        redis: vec![
            redis("redis:sessions", None, Some(redis_facts())),
            redis("redis:gone", None, None),
            redis("redis:cluster", Some("10.0.0.7:7000"), Some(redis_facts())),
            redis("redis:cluster", Some("10.0.0.8:7000"), None),
        ],
        scanned_at: ago(240),
        foreseen_at: ago(30),
        counted_at: ago(4),
    }
}

fn redis(cache: &str, node: Option<&str>, facts: Option<RedisFacts>) -> RedisExposed {
    let (cache, node) = (cache.to_owned(), node.map(str::to_owned));
    RedisExposed { cache, node, facts: facts.map(Arc::new) }
}

fn sampled(cache: &str, total: u64, failures: u64, last: Option<Time>) -> Sampled {
    Sampled { cache: cache.to_owned(), total, failures, last }
}

fn samples(at: Time) -> Vec<Sample> {
    let mut build = Sample::empty("build", at, Duration::from_millis(1500));
    build.files = Some(412_000);
    build.logical_bytes = Some(40_000_000_000);
    build.allocated_bytes = Some(41_200_000_000);
    build.reclaimable_bytes = Some(33_900_000_000);
    build.budget_bytes = Some(20_000_000_000);
    build.disk = Some("/var".to_owned());
    build.disk_free_bytes = Some(31_000_000_000);
    build.disk_size_bytes = Some(250_000_000_000);
    build.last_used = Some(at.minus(Duration::from_mins(2)));
    build.oldest_use = Some(at.minus(Duration::from_hours(216)));
    let mut redis = Sample::empty("redis:sessions", at, Duration::from_millis(12));
    redis.allocated_bytes = Some(1_600_000_000);
    redis.score = Some(77.1);
    redis.points = [("hit_rate", 45.5), ("memory", 4.0), ("latency", 27.6)]
        .map(|(n, p)| (n.to_owned(), p))
        .into();
    redis.redis = Some(RedisSample {
        keys: 1_200_000,
        persistent_keys: 412_310,
        hit_rate: Some(0.91),
        fragmentation: Some(1.06),
        latency: Some(Duration::from_millis(8)),
        ..RedisSample::default()
    });
    let mut vcs = Sample::empty("vcs", at, Duration::from_millis(3));
    vcs.error = Some("the folder cannot be read".to_owned());
    vec![build, redis, vcs]
}

/// What a Redis could say.
pub(crate) fn redis_facts() -> RedisFacts {
    let fields = [
        ("redis_version", "7.0.15"),
        ("redis_build_id", "ae4d7c971a948f0"),
        ("redis_mode", "standalone"),
        ("os", "Linux 6.1 x86_64"),
        ("process_id", "77"),
        ("run_id", "5558766a"),
        ("tcp_port", "6379"),
        ("role", "master"),
        ("maxmemory_policy", "noeviction"),
        ("uptime_in_seconds", "86400"),
        ("connected_clients", "7"),
        ("blocked_clients", "0"),
        ("maxclients", "10000"),
        ("used_memory", "1600000000"),
        ("used_memory_peak", "1700000000"),
        ("used_memory_rss", "1710000000"),
        ("maxmemory", "2000000000"),
        ("mem_fragmentation_ratio", "1.06"),
        ("keyspace_hits", "910"),
        ("keyspace_misses", "90"),
        ("evicted_keys", "0"),
        ("expired_keys", "12"),
        ("total_commands_processed", "5000"),
        ("total_connections_received", "40"),
        ("rejected_connections", "0"),
        ("total_net_input_bytes", "123456"),
        ("total_net_output_bytes", "654321"),
        ("connected_slaves", "1"),
        ("slave0", "ip=10.0.0.9,port=6379,state=online,offset=1500,lag=1"),
        ("rdb_last_bgsave_status", "ok"),
        ("aof_last_write_status", "err"),
        ("latest_fork_usec", "2500"),
        ("server_time_usec", "1700000000999999"),
        ("errorstat_WRONGTYPE", "count=3"),
        ("cmdstat_get", "calls=1000,usec=2500,usec_per_call=2.50,rejected_calls=0,failed_calls=0"),
        ("cmdstat_config|get", "calls=2,usec=167,usec_per_call=83.50"),
        ("db0", "keys=1200000,expires=787690,avg_ttl=3600000"),
    ];
    RedisFacts {
        info: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        databases: Some(2),
        slowlog_length: Some(31),
        slowlog_last_id: Some(30),
        slowlog_last_took: Some(Duration::from_micros(12_345)),
    }
}
