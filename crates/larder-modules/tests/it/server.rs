//! A small HTTP server on loopback that says whatever a test wants, lies included.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

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
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Whether the connection stays.
pub type Stays = bool;

pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    most: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Answers with what `handler` writes.
    pub fn start(
        handler: impl Fn(&Request, &mut TcpStream) -> Stays + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            most: Arc::default(),
            connections: Arc::default(),
            stop: Arc::default(),
        };
        let handler = Arc::new(handler);
        let (requests, stop) = (Arc::clone(&server.requests), Arc::clone(&server.stop));
        let (most, connections) = (Arc::clone(&server.most), Arc::clone(&server.connections));
        let busy = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                connections.fetch_add(1, Ordering::SeqCst);
                let (handler, requests) = (Arc::clone(&handler), Arc::clone(&requests));
                let (most, busy) = (Arc::clone(&most), Arc::clone(&busy));
                thread::spawn(move || {
                    serve(stream, |request, stream| {
                        requests.lock().unwrap().push(request.clone());
                        most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let stays = handler(request, stream);
                        busy.fetch_sub(1, Ordering::SeqCst);
                        stays
                    });
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    pub fn forget(&self) {
        self.requests.lock().unwrap().clear();
    }

    /// The most requests that were being answered at once.
    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut stream: TcpStream, handler: impl Fn(&Request, &mut TcpStream) -> Stays) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let Some(raw) = line.split(' ').nth(1).map(str::to_owned) else { return };
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None => break,
            }
        }
        let request = Request { path: decoded(&raw), raw, headers };
        if !handler(&request, &mut stream) {
            return;
        }
    }
}

fn decoded(raw: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = raw.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let hex = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A whole answer.
pub fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> Stays {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok()
}

pub fn ok(stream: &mut TcpStream, body: &[u8]) -> Stays {
    reply(stream, "200 OK", "", body)
}

pub fn not_found(stream: &mut TcpStream) -> Stays {
    reply(stream, "404 Not Found", "Content-Type: text/plain\r\n", b"not found: no such thing")
}

pub fn redirect(stream: &mut TcpStream, to: &str) -> Stays {
    reply(stream, "302 Found", &format!("Location: {to}\r\n"), b"")
}

/// A server for the files of a folder, as `GOPROXY`.
pub fn folder(dir: std::path::PathBuf) -> Server {
    Server::start(move |request, stream| serve_file(&dir, request, stream))
}

pub fn serve_file(dir: &std::path::Path, request: &Request, stream: &mut TcpStream) -> Stays {
    match std::fs::read(dir.join(request.path.trim_start_matches('/'))) {
        Ok(bytes) => ok(stream, &bytes),
        Err(_) => not_found(stream),
    }
}
