//! Runs a command with its output passed through as it comes, and keeps the end of it.
//!
//! Promises: stdin is the command's own, its stdout and stderr come out where larder's are, byte
//! for byte and without waiting for a line's end; what is kept is bounded. A reader of larder's
//! stdout that goes away is one that went away from the command. The order of the two streams
//! against each other is as near as two pipes allow.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use larder_core::Meter;
use larder_engine::heal::Ran;

/// Bytes of output that are kept.
const TAIL: usize = 256 << 10;
/// Between two looks at whether the command has ended.
const PAUSE: Duration = Duration::from_millis(10);
/// A command that was told to stop by the terminal has so long before it is told again.
const GRACE: Duration = Duration::from_millis(500);
/// What the command left running may hold its output open; it is not waited for longer.
const DRAIN: Duration = Duration::from_millis(300);

/// Runs it to its end.
pub(crate) fn run(command: &mut Command, meter: &Meter) -> io::Result<Ran> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let kept = Kept::default();
    let out = child.stdout.take().map(|from| pass(from, io::stdout(), &kept));
    let err = child.stderr.take().map(|from| pass(from, io::stderr(), &kept));
    let status = wait(&mut child, meter)?;
    let end = Instant::now() + DRAIN;
    let streams: Vec<JoinHandle<()>> = out.into_iter().chain(err).collect();
    while streams.iter().any(|stream| !stream.is_finished())
        && (Instant::now() < end || kept.moved())
    {
        thread::sleep(PAUSE);
    }
    Ok(Ran {
        code: code(status),
        tail: kept.text(),
        took: started.elapsed(),
        interrupted: meter.stopped() || is_interrupt(status),
    })
}

/// The command, with the caches that larder was told to use.
pub(crate) fn command(words: &[OsString]) -> Option<Command> {
    let (program, rest) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(rest);
    Some(command)
}

fn wait(child: &mut Child, meter: &Meter) -> io::Result<ExitStatus> {
    let mut stopped_at = None;
    let mut told = false;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if meter.stopped() && !told {
            let since = *stopped_at.get_or_insert_with(Instant::now);
            if since.elapsed() > GRACE {
                terminate(child);
                told = true;
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE);
    }
}

#[cfg(unix)]
fn terminate(child: &mut Child) {
    let pid = rustix::process::Pid::from_child(child);
    // It has ended already where this fails.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    let _ = child.kill();
}

#[cfg(unix)]
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(unix)]
fn is_interrupt(status: ExitStatus) -> bool {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().is_some_and(|signal| [SIGHUP, SIGINT, SIGTERM].contains(&signal))
}

#[cfg(not(unix))]
fn is_interrupt(_: ExitStatus) -> bool {
    false
}

/// The end of what both streams said.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Tail>>);

#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    moved: bool,
}

impl Kept {
    fn add(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.bytes.extend(bytes);
        let over = tail.bytes.len().saturating_sub(TAIL);
        tail.bytes.drain(..over);
        tail.moved = true;
    }

    /// Whether something came since this was last asked.
    fn moved(&self) -> bool {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut tail.moved)
    }

    fn text(&self) -> String {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(tail.bytes.make_contiguous()).into_owned()
    }
}

fn pass(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    kept: &Kept,
) -> JoinHandle<()> {
    let kept = kept.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            kept.add(&buffer[..read]);
            // Dropping the pipe tells the command that nobody reads any more.
            if to.write_all(&buffer[..read]).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_end_and_bounded() {
        let kept = Kept::default();
        for _ in 0..5 {
            kept.add(&vec![b'x'; TAIL / 2]);
        }
        kept.add(b"end");
        let text = kept.text();
        assert_eq!(text.len(), TAIL);
        assert!(text.ends_with("xend"));
    }
}
