//! A command: the program and its arguments as they stand, no shell; the document
//! `larder/notice/1` on its standard input; success is exit status 0.
//!
//! Promises: when its time is over, it is killed with its children, and what it leaves running
//! when it ends by itself is ended too (on Windows only in the first case). A process that made
//! itself a session of its own escapes. Of what it prints, the beginning is kept for the record.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::document::NoticeDoc;
use crate::secret::Scrub;
use crate::target::{Base, Letter, Target};
use crate::trouble::Trouble;

/// What is kept of the output, bytes.
const KEPT: usize = 4096;
/// How long the last of the output may take after the end.
const DRAIN: Duration = Duration::from_millis(200);
/// Exit statuses that say that the command line or the settings are wrong (`sysexits.h`).
const HOPELESS: [i32; 2] = [64, 78];

pub(crate) struct Run {
    base: Base,
}

impl Run {
    pub(crate) fn new(base: Base) -> Self {
        Self { base }
    }
}

impl Target for Run {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        let style = self.base.style();
        for notice in letter.content.notices {
            let document = NoticeDoc::new(notice, style.language, style.links);
            let input =
                serde_json::to_vec(&document).map_err(|error| Trouble::never(error.to_string()))?;
            run(&self.base.receiver.argv, input, letter.timeout)?;
        }
        Ok(())
    }

    fn groups(&self) -> bool {
        false
    }
}

fn run(argv: &[String], input: Vec<u8>, timeout: Duration) -> Result<(), Trouble> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| Trouble::never("there is no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(|error| {
        let why = format!("{program}: {error}");
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Trouble::never(why),
            _ => Trouble::later(why),
        }
    })?;
    let output = Output::default();
    let mut streams = Vec::new();
    if let Some(mut stdin) = child.stdin.take() {
        // A command need not read it.
        streams.push(std::thread::spawn(move || drop(stdin.write_all(&input))));
    }
    streams.extend(child.stdout.take().map(|stream| output.keep(stream)));
    streams.extend(child.stderr.take().map(|stream| output.keep(stream)));
    let status = finish(&mut child, timeout)
        .map_err(|error| Trouble::later(format!("{program}: {error}")))?;
    let end = Instant::now() + DRAIN;
    while streams.iter().any(|stream| !stream.is_finished()) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    judge(program, status, &output.text(), timeout)
}

fn judge(
    program: &str,
    status: Option<ExitStatus>,
    output: &str,
    timeout: Duration,
) -> Result<(), Trouble> {
    let Some(status) = status else {
        let why = format!("{program}: killed after {timeout:?}: {output}");
        return Err(Trouble::later(why.trim_end_matches([':', ' '])));
    };
    if status.success() {
        return Ok(());
    }
    let how = match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    };
    let why = format!("{program}: {how}: {output}");
    let why = why.trim_end_matches([':', ' ']);
    match status.code() {
        Some(code) if HOPELESS.contains(&code) => Err(Trouble::never(why)),
        _ => Err(Trouble::later(why)),
    }
}

/// Waits for its end, at most so long; then `None`, and it is gone.
fn finish(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + timeout;
    let mut pause = Duration::from_millis(1);
    loop {
        match has_ended(child) {
            Ok(false) if Instant::now() < until => {}
            ended => {
                // Before it is waited for, so that its number belongs to nobody else.
                kill_all(child, matches!(ended, Ok(true)));
                let status = child.wait()?;
                return Ok(ended?.then_some(status));
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Whether it has ended, without taking its status away.
#[cfg(unix)]
fn has_ended(child: &mut Child) -> io::Result<bool> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(Pid::from_child(child)), options) {
        Ok(status) => Ok(status.is_some()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn has_ended(child: &mut Child) -> io::Result<bool> {
    child.try_wait().map(|status| status.is_some())
}

/// Ends the process and all that it started, also where it has ended itself.
#[cfg(unix)]
fn kill_all(child: &mut Child, _ended: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    // It fails where nobody is left.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

#[cfg(not(unix))]
fn kill_all(child: &mut Child, ended: bool) {
    if !ended {
        let id = child.id().to_string();
        let all = Command::new("taskkill").args(["/T", "/F", "/PID", &id]).output();
        if !all.is_ok_and(|done| done.status.success()) {
            let _ = child.kill();
        }
    }
}

/// The beginning of what it printed.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Reads all of a stream, so that the command is not held up, and keeps its beginning.
    fn keep(&self, mut stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let kept = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count) = stream.read(&mut piece) {
                if count == 0 {
                    break;
                }
                if let Ok(mut kept) = kept.lock() {
                    let room = KEPT.saturating_sub(kept.len()).min(count);
                    kept.extend_from_slice(&piece[..room]);
                }
            }
        })
    }

    fn text(&self) -> String {
        let kept = self.0.lock().map(|kept| kept.clone()).unwrap_or_default();
        Scrub::default().clean(&String::from_utf8_lossy(&kept))
    }
}
