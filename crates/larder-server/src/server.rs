//! Starting and stopping: a server with a runtime of its own, for callers that block.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use crate::connection;
use crate::endpoint::{self, Endpoint};
use crate::events::Events;
use crate::guard::Gate;
use crate::openapi::openapi;
use crate::routes;
use crate::secret::Token;
use crate::source::Source;
use crate::state::{Shared, Work};
use crate::web::WebSettings;
use crate::web_file::WebFileError;

/// Takes a line for the log: no full stop, no secret.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// How a server is to be.
#[derive(Clone)]
pub struct ServeOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names that it answers to besides addresses and `localhost`; `*` is every name.
    pub hosts: Vec<String>,
    /// What changing requests must carry. Without one, only a server on a loopback address takes
    /// changes.
    pub token: Option<Token>,
    /// The web settings file (`--web.config.file`).
    pub web_file: Option<PathBuf>,
    /// What clients may cost.
    pub limits: Limits,
    /// Who is told what nobody asked for.
    pub say: Say,
}

impl ServeOptions {
    /// A server at `listen`, with nothing set and nobody told.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            hosts: Vec::new(),
            token: None,
            web_file: None,
            limits: Limits::default(),
            say: Arc::new(|_| ()),
        }
    }
}

/// What clients may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Until the head of a request has arrived.
    pub header_time: Duration,
    /// Until the body of a request has arrived.
    pub body_time: Duration,
    /// Until a request is answered.
    pub request_time: Duration,
    /// Until a Redis has answered a probe.
    pub probe_time: Duration,
    /// A connection without a request.
    pub idle_time: Duration,
    /// An answer of which nothing is taken.
    pub write_time: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Requests on one connection.
    pub requests_per_connection: u32,
    /// Listeners to events at once.
    pub streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 10,
            header_bytes: 16 << 10,
            header_time: Duration::from_secs(5),
            body_time: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
            probe_time: Duration::from_secs(8),
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(30),
            connections: 128,
            requests_per_connection: 1000,
            streams: 32,
        }
    }
}

/// What a server answers.
pub struct Routes {
    /// Metrics, pages, readiness and probes.
    pub source: Arc<dyn Source>,
    /// The API.
    pub endpoints: Vec<Endpoint>,
    /// Where its stream of events comes from.
    pub events: Events,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The web settings file is wrong.
    #[error(transparent)]
    WebFile(#[from] WebFileError),
    /// The table of the API is wrong: a mistake of whoever wrote it.
    #[error("the API cannot be served: {0}")]
    Endpoints(String),
    /// The system gives no threads.
    #[error("cannot start the threads of the server: {0}")]
    Threads(std::io::Error),
}

/// Starts servers.
#[derive(Clone, Copy, Debug)]
pub struct Server;

impl Server {
    /// Listens and answers, on threads of its own, until it is stopped or dropped.
    pub fn start(options: ServeOptions, routes: Routes) -> Result<Running, ServeError> {
        endpoint::check(&routes.endpoints).map_err(ServeError::Endpoints)?;
        let web = options.web_file.as_deref().map(WebSettings::read).transpose()?;
        let listen = |source| ServeError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(Work::THREADS)
            .thread_name("larder-http")
            .enable_all()
            .build()
            .map_err(ServeError::Threads)?;
        let (closing, seen) = watch::channel(false);
        let description = openapi(&routes.endpoints).to_string().into();
        let shared = Arc::new(Shared {
            source: routes.source,
            kept: Arc::default(),
            endpoints: routes
                .endpoints
                .into_iter()
                .map(Endpoint::described)
                .map(Arc::new)
                .collect(),
            description,
            events: routes.events,
            streams: Arc::new(Semaphore::new(options.limits.streams)),
            gate: Gate {
                hosts: options.hosts,
                token: options.token,
                loopback: address.ip().is_loopback(),
            },
            tls: web.as_ref().is_some_and(|web| web.now().tls.is_some()),
            web: web.map(Arc::new),
            limits: options.limits,
            work: Work::new(),
            closing: seen.clone(),
            say: options.say,
        });
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)
        };
        let listener =
            listener.map_err(|source| ServeError::Listen { address: options.listen, source })?;
        let tls = shared.tls;
        let paths = routes::router(&shared);
        let accepting = runtime.spawn(connection::accept(listener, shared, paths, seen));
        Ok(Running { runtime: Some(runtime), accepting, closing, address, tls })
    }
}

/// A server that answers. Dropped, it stops at once.
#[derive(Debug)]
pub struct Running {
    runtime: Option<Runtime>,
    accepting: tokio::task::JoinHandle<()>,
    closing: watch::Sender<bool>,
    address: SocketAddr,
    tls: bool,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:8000`, or with `https`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }

    /// Takes no more requests and waits for those under way, `deadline` at most; whether all were
    /// answered.
    pub fn stop(mut self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let _ = self.closing.send(true);
        let Some(runtime) = self.runtime.take() else { return true };
        let ended = runtime
            .block_on(async { tokio::time::timeout(deadline, &mut self.accepting).await.is_ok() });
        // Threads that still work for nobody are waited for as long, and then left to themselves.
        runtime.shutdown_timeout(until.saturating_duration_since(Instant::now()));
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
