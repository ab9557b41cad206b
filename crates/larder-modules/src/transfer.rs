//! The download of a file of any size, gone on with where it broke off.
//!
//! What is fetched here never changes at its address, so a broken transfer goes on with a range,
//! where the server allows that, and begins again where it does not. Content is for the caller to
//! prove.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use larder_core::Meter;
use url::Url;

use crate::pace::{Pace, wait_unless_stopped};
use crate::web::{Reply, Resume, Web, WebError};

/// Why a file was not fetched.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// The other side.
    Web(WebError),
    /// Our own file.
    Local(io::Error),
    /// The meter asked to stop.
    Stopped,
}

/// Progress of this many bytes makes up for a broken connection.
const PROGRESS: u64 = 1 << 20;

/// Fetches into `into`, from its beginning, at most `limit` bytes; answers how many.
pub(crate) fn download(
    web: &Web,
    url: &Url,
    into: &mut File,
    limit: u64,
    meter: &Meter,
) -> Result<u64, TransferError> {
    let mut have = restart(into)?;
    let mut validator = None;
    let mut tried = 1;
    loop {
        if meter.stopped() {
            return Err(TransferError::Stopped);
        }
        let before = have;
        let resume = (have > 0).then(|| Resume { from: have, etag: validator.clone() });
        let outcome = attempt(web, url, resume.as_ref(), into, limit, meter, &mut have);
        let error = match outcome {
            Ok(Done::All) => return Ok(have),
            Ok(Done::Part { etag, error }) => {
                validator = etag;
                error
            }
            Err(TransferError::Web(error)) => error,
            Err(other) => return Err(other),
        };
        if have >= before + PROGRESS {
            tried = 1;
        }
        let mut wait = error.again;
        if wait.is_none() && have > 0 && before == have {
            // A server that will not go on is asked for the whole again.
            have = restart(into)?;
            wait = Some(Duration::ZERO);
        }
        let Some(wait) = wait.filter(|_| tried < web.options().tries) else {
            return Err(TransferError::Web(error));
        };
        if !wait_unless_stopped(web.pause(tried).max(wait), meter) {
            return Err(TransferError::Stopped);
        }
        tried += 1;
    }
}

/// How far one try came.
enum Done {
    All,
    Part { etag: Option<String>, error: WebError },
}

fn attempt(
    web: &Web,
    url: &Url,
    resume: Option<&Resume>,
    into: &mut File,
    limit: u64,
    meter: &Meter,
    have: &mut u64,
) -> Result<Done, TransferError> {
    let mut reply = web.open(url, resume, None).map_err(TransferError::Web)?;
    if reply.from != *have {
        *have = restart(into)?;
    }
    let too_large = |url: &str| {
        TransferError::Web(WebError::refused(url, format!("larger than {limit} bytes")))
    };
    if reply.size.is_some_and(|size| size > limit) {
        return Err(too_large(&reply.url));
    }
    match copy(&mut reply, into, limit, web.options().stall, meter, have)? {
        None if *have > limit => Err(too_large(&reply.url)),
        None => match reply.size {
            Some(size) if *have < size => {
                let error = WebError::truncated(&reply.url, *have, size);
                Ok(Done::Part { etag: reply.etag, error })
            }
            _ => Ok(Done::All),
        },
        Some(error) => Ok(Done::Part { etag: reply.etag, error }),
    }
}

/// Copies until the end, the limit or an error of the other side, which is answered.
fn copy(
    reply: &mut Reply,
    into: &mut File,
    limit: u64,
    stall: Duration,
    meter: &Meter,
    have: &mut u64,
) -> Result<Option<WebError>, TransferError> {
    let mut buffer = vec![0; 64 << 10];
    let mut pace = Pace::new(stall);
    while *have <= limit {
        if meter.stopped() {
            return Err(TransferError::Stopped);
        }
        let read = match reply.body.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Some(WebError::of_body(&reply.url, error))),
        };
        into.write_all(&buffer[..read]).map_err(TransferError::Local)?;
        *have += read as u64;
        meter.add(0, read as u64);
        if pace.is_crawling(read) {
            return Ok(Some(WebError::stalled(&reply.url)));
        }
    }
    Ok(None)
}

fn restart(into: &mut File) -> Result<u64, TransferError> {
    let emptied = into.set_len(0).and_then(|()| into.seek(SeekFrom::Start(0)));
    emptied.map_err(TransferError::Local)
}
