//! Taking connections and speaking HTTP/1.1 on each, within limits.
//!
//! Promises: beyond the limit a client is told that it is too many, and let go; a connection that
//! fails takes nothing with it; when the server stops, what is being answered is answered.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::paced::{Pace, Paced, Paces};
use crate::server::Limits;
use crate::state::{Shared, until_closing};

/// How long a client that is too many may take to read that, and a handshake of TLS.
const POLITE: Duration = Duration::from_secs(5);
/// Clients that are told so at once; others are just let go.
const POLITE_TO: usize = 16;
/// What is read of a client that is too many, so that the answer is not lost with its request.
const POLITE_BYTES: u64 = 64 << 10;

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 100\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"too many \
    connections\"}   ";

/// Takes connections until the server stops, and ends when the last one has ended.
pub(crate) async fn accept(
    mut listener: TcpListener,
    shared: Arc<Shared>,
    router: Router,
    mut closing: watch::Receiver<bool>,
) {
    let limits = shared.limits;
    let places = Arc::new(Semaphore::new(limits.connections));
    let polite = Arc::new(Semaphore::new(POLITE_TO));
    loop {
        let (stream, _) = tokio::select! {
            // Waits and goes on where the system has no descriptors left.
            accepted = axum::serve::Listener::accept(&mut listener) => accepted,
            () = until_closing(&mut closing) => break,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            if let Ok(held) = polite.clone().try_acquire_owned() {
                tokio::spawn(timeout(POLITE, turn_away(stream, held)));
            }
            continue;
        };
        let _ = stream.set_nodelay(true);
        let connection =
            Connection { shared: shared.clone(), router: router.clone(), closing: closing.clone() };
        tokio::spawn(async move {
            let _place = place;
            connection.serve(stream).await;
        });
    }
    drop(listener);
    // All places are free when all connections have ended.
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let _ = places.acquire_many(all).await;
}

async fn turn_away(mut stream: TcpStream, _held: OwnedSemaphorePermit) {
    if stream.write_all(TOO_MANY).await.is_ok() && stream.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut stream.take(POLITE_BYTES), &mut tokio::io::sink()).await;
    }
}

struct Connection {
    shared: Arc<Shared>,
    router: Router,
    closing: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let Some(web) = self.shared.web_now().await else {
            return self.speak(stream).await;
        };
        match web.tls.clone() {
            None => self.speak(stream).await,
            Some(config) => {
                // Who fails the handshake has been told why by it.
                if let Ok(Ok(stream)) =
                    timeout(POLITE, TlsAcceptor::from(config).accept(stream)).await
                {
                    self.speak(stream).await;
                }
            }
        }
    }

    async fn speak<T: AsyncRead + AsyncWrite + Unpin>(mut self, stream: T) {
        let limits = self.shared.limits;
        let pace = Pace::default();
        let paces =
            Paces { head: limits.header_time, idle: limits.idle_time, write: limits.write_time };
        let io = TokioIo::new(Paced::new(stream, pace.clone(), paces));
        let answer = Answer {
            router: TowerToHyperService::new(self.router.clone()),
            pace,
            left: AtomicU32::new(limits.requests_per_connection.max(1)),
        };
        let service = service_fn(|request| answer.to(request));
        let mut connection = std::pin::pin!(builder(limits).serve_connection(io, service));
        // An error is a client that went away, was too slow or spoke no HTTP.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = until_closing(&mut self.closing) => (),
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

fn builder(limits: Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // The limits of `Paced` are in its place; this one would let go of idle connections too.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(SMALLEST_BUFFER));
    builder
}

/// hyper takes no smaller one.
const SMALLEST_BUFFER: usize = 16 << 10;

/// Answers the requests of one connection.
struct Answer {
    router: TowerToHyperService<Router>,
    pace: Pace,
    /// Requests that it may still make.
    left: AtomicU32,
}

impl Answer {
    async fn to(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        self.pace.busy();
        let mut response = self.router.call(request).await?;
        let last = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // A stream has no end that could be waited for.
        if response.extensions().get::<Streaming>().is_none() {
            self.pace.idle();
        }
        Ok(response)
    }
}

/// Marks an answer that goes on by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streaming;
