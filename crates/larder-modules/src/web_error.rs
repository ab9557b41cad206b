//! Why a GET failed, in words that name the address without its password.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::time::Duration;

use ureq::Body;
use ureq::http::{Response, header};
use url::Url;

/// As much of a plain error message as the go command shows is plenty, in bytes.
const MAX_DETAIL: u64 = 2 << 10;
/// A server that asks for a longer pause is not worth waiting for.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// What a failed GET tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// 404 or 410, or no such file.
    NotFound,
    /// Any other answer that is not the one asked for.
    Status,
    /// Nobody answered, or not to the end.
    Unreachable,
    /// The answer itself is refused: too large, too many redirects, an insecure one.
    Refused,
}

/// A failed GET: the address without its password, and a sentence.
#[derive(Clone, Debug)]
pub(crate) struct WebError {
    pub(crate) failure: Failure,
    pub(crate) url: String,
    pub(crate) why: String,
    /// How long to wait at least before asking again; `None` where that is of no use.
    pub(crate) again: Option<Duration>,
    /// The head of an answer that credentials could change (4xx).
    pub(crate) head: Option<String>,
}

impl WebError {
    pub(crate) fn new(failure: Failure, url: &Url, why: impl Into<String>) -> Self {
        Self { failure, url: redacted(url), why: why.into(), again: None, head: None }
    }

    /// Nobody answered, or nobody who could.
    pub(crate) fn is_silence(&self) -> bool {
        self.failure == Failure::Unreachable || self.again.is_some()
    }

    /// A body that broke off.
    pub(crate) fn of_body(url: &str, error: io::Error) -> Self {
        let error = ureq::Error::from(error);
        let (why, again) = explain(&error);
        Self { failure: Failure::Unreachable, url: url.to_owned(), why, again, head: None }
    }

    /// A body that ended too early.
    pub(crate) fn truncated(url: &str, got: u64, size: u64) -> Self {
        let why = format!("the answer ended after {got} of {size} bytes");
        let again = Some(Duration::ZERO);
        Self { failure: Failure::Unreachable, url: url.to_owned(), why, again, head: None }
    }

    /// A body that says next to nothing for a long time.
    pub(crate) fn stalled(url: &str) -> Self {
        let why = "the answer all but stopped".to_owned();
        let again = Some(Duration::ZERO);
        Self { failure: Failure::Unreachable, url: url.to_owned(), why, again, head: None }
    }

    /// A body that is not what it should be.
    pub(crate) fn refused(url: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { failure: Failure::Refused, url: url.to_owned(), why, again: None, head: None }
    }
}

/// A URL as it may be shown: `xxxxx` for the password (`url.URL.Redacted`).
pub(crate) fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        let _ = shown.set_password(Some("xxxxx"));
    }
    shown.into()
}

pub(crate) fn refused(url: &Url, why: &str) -> WebError {
    WebError::new(Failure::Refused, url, why)
}

pub(crate) fn broken(url: &Url, error: &ureq::Error) -> WebError {
    let (why, again) = explain(error);
    WebError { again, ..WebError::new(Failure::Unreachable, url, why) }
}

/// Whether nobody could even be spoken to.
pub(crate) fn is_unconnected(error: &ureq::Error) -> bool {
    use io::ErrorKind;
    match error {
        ureq::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::NotFound
                | ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::AddrNotAvailable
        ),
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => true,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}

/// What went wrong on the way, and whether asking again may help. A host that cannot be reached
/// at all is not asked again: the list may have another.
fn explain(error: &ureq::Error) -> (String, Option<Duration>) {
    use io::ErrorKind;
    let at_once = Some(Duration::ZERO);
    match error {
        ureq::Error::Io(error) => {
            let again = matches!(
                error.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
                    | ErrorKind::TimedOut
                    | ErrorKind::WouldBlock
            );
            (error.to_string(), if again { at_once } else { None })
        }
        ureq::Error::Timeout(what @ (ureq::Timeout::Resolve | ureq::Timeout::Connect)) => {
            (format!("timed out ({what})"), None)
        }
        ureq::Error::Timeout(ureq::Timeout::Global) => ("took too long".to_owned(), None),
        ureq::Error::Timeout(what) => (format!("timed out ({what})"), at_once),
        ureq::Error::HostNotFound => ("no such host".to_owned(), None),
        other => (other.to_string(), None),
    }
}

pub(crate) fn status_error(url: &Url, response: Response<Body>) -> WebError {
    let status = response.status();
    let failure = match status.as_u16() {
        404 | 410 => Failure::NotFound,
        _ => Failure::Status,
    };
    let again = matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504).then(|| {
        let wait = response.headers().get(header::RETRY_AFTER);
        let seconds = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()).unwrap_or(0);
        Duration::from_secs(seconds).min(MAX_PAUSE)
    });
    let plain = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| kind.to_ascii_lowercase().starts_with("text/plain"))
    });
    let head = status.is_client_error().then(|| head_of(&response));
    let mut why = status.to_string();
    if plain {
        let mut detail = Vec::new();
        // A detail that breaks off is still one.
        let _ = response.into_body().into_reader().take(MAX_DETAIL).read_to_end(&mut detail);
        let detail = one_line(&String::from_utf8_lossy(&detail));
        if !detail.is_empty() {
            why = format!("{why}: {detail}");
        }
    }
    WebError { again, head, ..WebError::new(failure, url, why) }
}

/// Status line and headers, as a GOAUTH command gets them on its standard input.
fn head_of(response: &Response<Body>) -> String {
    let mut head = format!("{:?} {}\n", response.version(), response.status());
    for (name, value) in response.headers() {
        // Writing to a string does not fail.
        let _ = writeln!(head, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    head.push('\n');
    head
}

/// A server's words, made safe for a terminal.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(500).collect()
}
