//! A small HTTP server on loopback that says whatever a test wants, lies included; with TLS where
//! it is given an [`Authority`].

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// With `%21` and the like undone.
    pub path: String,
    /// As it came.
    pub raw: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header by its name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Whether the connection stays.
pub type Stays = bool;

/// Where an answer is written.
pub type Stream<'a> = dyn Write + 'a;

type Handler = dyn Fn(&Request, &mut Stream<'_>) -> Stays + Send + Sync;

/// A running server; it stops when it is dropped.
pub struct Server {
    /// On 127.0.0.1.
    pub port: u16,
    scheme: &'static str,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    busy: AtomicUsize,
    most: AtomicUsize,
    connections: AtomicUsize,
    stop: AtomicBool,
}

impl Server {
    /// Answers with what `handler` writes.
    pub fn start(
        handler: impl Fn(&Request, &mut Stream<'_>) -> Stays + Send + Sync + 'static,
    ) -> Self {
        Self::run("http", None, Arc::new(handler))
    }

    /// The same over TLS, as 127.0.0.1 and localhost.
    pub fn start_tls(
        authority: &Authority,
        handler: impl Fn(&Request, &mut Stream<'_>) -> Stays + Send + Sync + 'static,
    ) -> Self {
        Self::run("https", Some(authority.config()), Arc::new(handler))
    }

    fn run(scheme: &'static str, tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its own address").port();
        let server = Self { port, scheme, shared: Arc::default() };
        let shared = Arc::clone(&server.shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (handler, shared) = (Arc::clone(&handler), Arc::clone(&shared));
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => serve(stream, &*handler, &shared),
                    Some(config) => {
                        let Ok(connection) = ServerConnection::new(config) else { return };
                        serve(StreamOwned::new(connection, stream), &*handler, &shared);
                    }
                });
            }
        });
        server
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// All that was asked since the start or [`Self::forget`].
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no handler panicked").clone()
    }

    /// The paths of these.
    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.shared.requests.lock().expect("no handler panicked").clear();
    }

    /// The most requests that were being answered at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // wakes the thread that listens
    }
}

fn serve(stream: impl Read + Write, handler: &Handler, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        shared.requests.lock().expect("no handler panicked").push(request.clone());
        let busy = shared.busy.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(busy, Ordering::SeqCst);
        let stream = reader.get_mut();
        let stays = handler(&request, stream) && stream.flush().is_ok();
        shared.busy.fetch_sub(1, Ordering::SeqCst);
        if !stays {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return None;
    }
    let raw = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    Some(Request { path: decoded(&raw), raw, headers })
}

fn decoded(raw: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = raw.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A whole answer.
pub fn reply(stream: &mut Stream<'_>, status: &str, headers: &str, body: &[u8]) -> Stays {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok()
}

/// 200.
pub fn ok(stream: &mut Stream<'_>, body: &[u8]) -> Stays {
    reply(stream, "200 OK", "", body)
}

/// 404.
pub fn not_found(stream: &mut Stream<'_>) -> Stays {
    reply(stream, "404 Not Found", "Content-Type: text/plain\r\n", b"not found: no such thing")
}

/// 302.
pub fn redirect(stream: &mut Stream<'_>, to: &str) -> Stays {
    reply(stream, "302 Found", &format!("Location: {to}\r\n"), b"")
}

/// A server for the files of a folder, as `GOPROXY`.
pub fn folder(dir: PathBuf) -> Server {
    Server::start(move |request, stream| serve_file(&dir, request, stream))
}

/// The file of this path below a folder, or 404.
pub fn serve_file(dir: &Path, request: &Request, stream: &mut Stream<'_>) -> Stays {
    match fs::read(dir.join(request.path.trim_start_matches('/'))) {
        Ok(bytes) => ok(stream, &bytes),
        Err(_) => not_found(stream),
    }
}

/// An authority that nobody knows but who is given its file, and one certificate of it.
pub struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    /// Made by the `openssl` command.
    ///
    /// # Errors
    /// A sentence, where there is no such command.
    pub fn new() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
        let make = |name: &str, more: &[&str]| -> Result<(), String> {
            let mut openssl = Command::new("openssl");
            openssl.current_dir(dir.path()).args(["req", "-x509", "-nodes", "-days", "2"]);
            openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
            openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
            openssl.args(["-subj", &format!("/CN={name}")]).args(more);
            let output = openssl.output().map_err(|e| format!("openssl cannot be run: {e}"))?;
            let said = || String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(said()) }
        };
        make("authority", &[])?;
        make(
            "server",
            &[
                "-CA",
                "authority.pem",
                "-CAkey",
                "authority.key",
                "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ],
        )?;
        Ok(Self { dir })
    }

    /// The authority's certificate, for `SSL_CERT_FILE`.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("authority.pem")
    }

    fn config(&self) -> Arc<ServerConfig> {
        let path = |name: &str| self.dir.path().join(name);
        let certificate = CertificateDer::from_pem_file(path("server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(path("server.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        Arc::new(config)
    }
}
