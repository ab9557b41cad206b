//! A connection with time limits for what its client does.
//!
//! Promises: a request has to begin and its head to arrive in time, a connection is not idle for
//! ever, and a client that takes nothing of an answer is let go. How long the server itself takes
//! is limited elsewhere.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Time limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paces {
    /// From the first byte of a request, and from the connection, to the end of its head.
    pub(crate) head: Duration,
    /// From the end of an answer to the next request.
    pub(crate) idle: Duration,
    /// Without a byte of an answer taken.
    pub(crate) write: Duration,
}

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Head = 0,
    Idle = 1,
    Busy = 2,
}

/// Where the server says what it does, for the limits to follow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Arc<AtomicU8>);

impl Pace {
    /// A request has arrived and is being answered.
    pub(crate) fn busy(&self) {
        self.set(Phase::Busy);
    }

    /// The answer is on its way.
    pub(crate) fn idle(&self) {
        self.set(Phase::Idle);
    }

    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Head,
            1 => Phase::Idle,
            _ => Phase::Busy,
        }
    }
}

/// The connection.
pub(crate) struct Paced<T> {
    inner: T,
    pace: Pace,
    paces: Paces,
    /// The limit on reading that runs, and the phase that it is of.
    reading: Option<(Phase, Pin<Box<Sleep>>)>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    pub(crate) fn new(inner: T, pace: Pace, paces: Paces) -> Self {
        Self { inner, pace, paces, reading: None, writing: None }
    }

    /// Nothing arrived: whether that lasts too long.
    fn waited_for_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.pace.get();
        let limit = match phase {
            Phase::Head => self.paces.head,
            Phase::Idle => self.paces.idle,
            Phase::Busy => {
                self.reading = None;
                return Poll::Pending;
            }
        };
        let running = match &mut self.reading {
            Some((of, sleep)) if *of == phase => sleep,
            _ => {
                let sleep = Box::pin(sleep_until(Instant::now() + limit));
                &mut self.reading.insert((phase, sleep)).1
            }
        };
        ready!(running.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")))
    }

    /// Nothing was taken: whether that lasts too long.
    fn waited_for_write<R>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let limit = self.paces.write;
        let running =
            self.writing.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(running.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    fn written<R>(
        &mut self,
        polled: Poll<io::Result<R>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if polled.is_pending() {
            return self.waited_for_write(cx);
        }
        self.writing = None;
        polled
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if polled.is_pending() {
            return this.waited_for_read(cx);
        }
        if buf.filled().len() > before && this.pace.get() == Phase::Idle {
            this.pace.set(Phase::Head);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.written(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(polled, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const PACES: Paces = Paces {
        head: Duration::from_secs(5),
        idle: Duration::from_mins(1),
        write: Duration::from_secs(30),
    };

    fn pair() -> (tokio::io::DuplexStream, Paced<tokio::io::DuplexStream>, Pace) {
        let (client, server) = duplex(16);
        let pace = Pace::default();
        (client, Paced::new(server, pace.clone(), PACES), pace)
    }

    async fn read(server: &mut Paced<tokio::io::DuplexStream>) -> (io::Result<u8>, u64) {
        let start = Instant::now();
        let byte = server.read_u8().await;
        (byte, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_and_an_idle_connection_have_their_limits() {
        let (mut client, mut server, _) = pair();
        let drip = tokio::spawn(async move {
            for _ in 0..100 {
                if client.write_u8(b'x').await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        while server.read_u8().await.is_ok() {}
        assert_eq!(start.elapsed().as_secs(), 5);
        drip.abort();

        let (mut client, mut server, pace) = pair();
        pace.idle();
        let (byte, seconds) = read(&mut server).await;
        assert_eq!((byte.unwrap_err().kind(), seconds), (io::ErrorKind::TimedOut, 60));
        pace.idle();
        client.write_u8(b'x').await.unwrap();
        assert_eq!(read(&mut server).await.0.unwrap(), b'x');
        // The next request has begun, and its head must come.
        assert_eq!(read(&mut server).await.1, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_server_works_nothing_is_expected() {
        let (mut client, mut server, pace) = pair();
        pace.busy();
        let late = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(10)).await;
            client.write_u8(b'x').await.unwrap();
        });
        assert_eq!(read(&mut server).await.1, 600);
        late.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go() {
        let (_client, mut server, _) = pair();
        let start = Instant::now();
        let error = server.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
        // One that takes a little every 20 seconds is not.
        let (mut slow, mut server, _) = pair();
        let reader = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                slow.read_exact(&mut [0; 10]).await.unwrap();
            }
        });
        server.write_all(&[0; 100]).await.unwrap();
        reader.await.unwrap();
    }
}
