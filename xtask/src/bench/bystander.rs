//! A client beside the others that asks for one key each millisecond and notes how long that took.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::measure::median;

const EVERY: Duration = Duration::from_millis(1);

/// One that asks until it is told to stop.
pub(super) struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Duration>>>,
}

/// What it felt, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Felt {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Bystander {
    /// Asks the server on this port for `key`.
    pub(super) fn start(port: u16, key: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect a bystander")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let request = format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len());
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            let mut due = Instant::now();
            let mut until = None;
            loop {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                // Who was due before the end is still heard: what they waited is the finding.
                if until.is_none() && theirs.load(Ordering::Relaxed) {
                    until = Some(Instant::now());
                }
                if until.is_some_and(|until| due >= until) {
                    return Ok(samples);
                }
                // A request that had to wait for the one before it has waited since it was due;
                // a thread that merely woke up late has not.
                let late = Instant::now().saturating_duration_since(due) > EVERY;
                let asked = if late { due } else { Instant::now() };
                stream.write_all(request.as_bytes())?;
                answer(&mut stream)?;
                samples.push(asked.elapsed());
                due += EVERY;
            }
        });
        Ok(Self { stop, thread })
    }

    /// Stops it: everything that it felt.
    pub(super) fn stop(self) -> Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(samples) => samples,
            Err(_) => bail!("the bystander broke off"),
        }
    }
}

/// Reads one bulk string or nil, whole.
fn answer(stream: &mut TcpStream) -> Result<()> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("the server closed the bystander's connection");
        }
        seen.extend_from_slice(&buffer[..read]);
        let Some(end) = seen.windows(2).position(|two| two == b"\r\n") else { continue };
        let head = String::from_utf8_lossy(&seen[..end]).into_owned();
        let Some(length) = head.strip_prefix('$') else { bail!("the bystander got {head:?}") };
        let length: i64 = length.parse().context("a length")?;
        let whole = usize::try_from(length).map_or(end + 2, |length| end + length + 4);
        if seen.len() >= whole {
            return Ok(());
        }
    }
}

impl Felt {
    /// The percentiles' middle among the rounds: a machine that stood still in one of them is not the
    /// doing of who was measured. The longest wait is that of all rounds.
    pub(super) fn of_rounds(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        let max = rounds.iter().map(|felt| felt.max).fold(0.0, f64::max);
        Self { p50: of(|felt| felt.p50), p99: of(|felt| felt.p99), max }
    }

    /// Of single requests.
    pub(super) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |share: usize| {
            let index = (samples.len() * share / 100).min(samples.len().saturating_sub(1));
            samples.get(index).map_or(0.0, Duration::as_secs_f64)
        };
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_what_was_felt() {
        let felt = Felt::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(felt, Felt { p50: 0.101, p99: 0.199, max: 0.2 });
        let still = Felt { p50: 0.1, p99: 9.0, max: 9.0 };
        assert_eq!(Felt::of_rounds(&[felt, still, felt]), Felt { max: 9.0, ..felt });
    }

    #[test]
    fn a_server_that_stands_still_is_felt_by_everybody_who_was_due() {
        let server = larder_testkit::RedisServer::start();
        let bystander = Bystander::start(server.port(), "nothing").unwrap();
        server.client().ask(&["DEBUG", "SLEEP", "0.2"]);
        let samples = bystander.stop().unwrap();
        let slow = samples.iter().filter(|took| took.as_millis() >= 50).count();
        assert!(slow > 100, "{slow} of {}", samples.len());
    }
}
