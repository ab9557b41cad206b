//! One POST, for every target that speaks HTTP.
//!
//! Promises: the time limit is for the whole, a body that drips included; of an answer at most
//! 64 KiB are read; no redirect is followed, since what is sent is meant for one place alone; no
//! error shows more of the URL than its host. Each POST has a connection of its own: alerts are
//! rare, and an old connection that has died would fail the one alert that matters.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::fmt::rfc2822::DateTimeParser;
use larder_core::Time;
use ureq::http::{HeaderMap, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};
use url::{Host, Url};

use crate::secret::{Scrub, host_of};
use crate::trouble::{Again, Trouble};

/// What is read of an answer, bytes.
const MOST: u64 = 64 * 1024;
/// The longest pause that a receiver may ask for.
const LONGEST: Duration = Duration::from_hours(1);

/// What is sent.
pub(crate) struct Post<'a> {
    pub(crate) url: &'a Url,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Duration,
    /// For a `Retry-After` that is a date.
    pub(crate) now: Time,
    /// Secrets besides those of the URL.
    pub(crate) scrub: Scrub,
}

/// What came back.
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// What to wait, where it was said.
    pub(crate) wait: Option<Duration>,
    /// The first 64 KiB.
    pub(crate) body: Vec<u8>,
    /// Whether it came to its end, in time and within the 64 KiB.
    whole: bool,
    host: String,
    scrub: Scrub,
}

/// The client; each target has its own.
pub(crate) struct Poster {
    agent: Agent,
}

impl Poster {
    pub(crate) fn new() -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .tls_config(tls)
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .build();
        Self { agent: config.into() }
    }

    /// Sends it, and reads the answer.
    pub(crate) fn post(&self, post: Post<'_>) -> Result<Answer, Trouble> {
        let host = host_of(post.url);
        let scrub = post.scrub.url(post.url);
        let mut bare = post.url.clone();
        bare.set_fragment(None);
        // Neither fails: these URLs have a host.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let mut request = self.agent.post(bare.as_str());
        request = request.header(header::CONTENT_TYPE, post.content_type);
        if let Some(basic) = basic_of(post.url) {
            request = request.header(header::AUTHORIZATION, basic);
        }
        for (name, value) in &post.headers {
            request = request.header(*name, value);
        }
        let mut config = request.config().timeout_global(Some(post.timeout));
        if is_local(post.url) {
            config = config.proxy(None);
        }
        let sent = config.build().send(&post.body[..]);
        let response = sent.map_err(|error| broken(&host, &error, &scrub))?;
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let wait = wait_of(&parts.headers, post.now);
        let (body, whole) = read(body);
        Ok(Answer { status, wait, body, whole, host, scrub })
    }
}

/// At most 64 KiB, and whether that was all.
fn read(mut body: Body) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let read = body.as_reader().take(MOST + 1).read_to_end(&mut bytes);
    let whole = read.is_ok() && bytes.len() as u64 <= MOST;
    bytes.truncate(usize::try_from(MOST).unwrap_or(usize::MAX));
    (bytes, whole)
}

impl Answer {
    /// A 2xx is a success whatever the body says.
    pub(crate) fn accepted(&self) -> Result<(), Trouble> {
        match self.status {
            200..=299 => Ok(()),
            300..=399 => {
                Err(self.never(&format!("redirects ({}), which is not followed", self.status)))
            }
            408 | 429 | 500..=599 => Err(Trouble::after(self.wait, self.say("answered"))),
            _ => Err(Trouble::never(self.say("answered"))),
        }
    }

    /// The body as JSON, where the status is good and all of it is there. What breaks off tells
    /// nothing about success, so it is asked again.
    pub(crate) fn json(&self) -> Result<serde_json::Value, Trouble> {
        self.accepted()?;
        self.complete()?;
        serde_json::from_slice(&self.body)
            .map_err(|_| Trouble::never(self.say("answered no JSON:")))
    }

    /// The body as text, where the status is good and all of it is there.
    pub(crate) fn text(&self) -> Result<String, Trouble> {
        self.accepted()?;
        self.complete()?;
        Ok(String::from_utf8_lossy(&self.body).trim().to_owned())
    }

    fn complete(&self) -> Result<(), Trouble> {
        if self.whole {
            return Ok(());
        }
        Err(Trouble::after(self.wait, format!("{}: the answer did not come to its end", self.host)))
    }

    /// A refusal that stays.
    pub(crate) fn never(&self, why: &str) -> Trouble {
        Trouble::never(format!("{}: {}", self.host, self.scrub.clean(why)))
    }

    /// A refusal that passes, not before `wait`.
    pub(crate) fn later(&self, wait: Option<Duration>, why: &str) -> Trouble {
        let why = format!("{}: {}", self.host, self.scrub.clean(why));
        Trouble::after(self.wait.or(wait), why)
    }

    fn say(&self, verb: &str) -> String {
        let body = self.scrub.clean(&String::from_utf8_lossy(&self.body));
        let text = format!("{}: {verb} {}: {body}", self.host, self.status);
        text.trim_end_matches([':', ' ']).to_owned()
    }
}

/// What went wrong on the way; everything there may pass but a certificate that is not trusted
/// or a URL that is none.
fn broken(host: &str, error: &ureq::Error, scrub: &Scrub) -> Trouble {
    let (why, again) = match error {
        ureq::Error::Timeout(_) => ("no answer in time".to_owned(), Again::Later),
        ureq::Error::HostNotFound => ("no such host".to_owned(), Again::Later),
        // TLS that failed comes as this: a certificate that nobody trusts, or no TLS at all.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            (error.to_string(), Again::Never)
        }
        ureq::Error::Io(error) => (error.to_string(), Again::Later),
        ureq::Error::ConnectionFailed => ("cannot be reached".to_owned(), Again::Later),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            ("the URL is bad".to_owned(), Again::Never)
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => (error.to_string(), Again::Never),
        other => (other.to_string(), Again::Later),
    };
    Trouble { why: format!("{host}: {}", scrub.clean(&why)), again }
}

/// `Retry-After`, in seconds or as a date, at most an hour.
fn wait_of(headers: &HeaderMap, now: Time) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    retry_after(text, now)
}

fn retry_after(text: &str, now: Time) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.ceil()).ok().map(|wait| wait.min(LONGEST));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Time::from_unix(date.as_second()).since(now).min(LONGEST))
}

/// Basic authentication out of the URL.
fn basic_of(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// A part of a URL with `%21` and the like undone.
pub(crate) fn decoded(text: &str) -> String {
    // A plus means itself here, other than in a form.
    let form = text.replace('+', "%2B");
    let pair = format!("x={form}").replace('&', "%26");
    let value = url::form_urlencoded::parse(pair.as_bytes()).next();
    value.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Whether it is this machine, which no proxy leads to.
pub(crate) fn is_local(url: &Url) -> bool {
    match url.host() {
        // The parser knows addresses only in the URLs of the web, not in those of mail.
        Some(Host::Domain(name)) => {
            let ip = name.parse::<IpAddr>();
            name == "localhost"
                || name.ends_with(".localhost")
                || ip.is_ok_and(|ip| ip.is_loopback())
        }
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_in_seconds_or_as_a_date() {
        let now = Time::from_unix(784_111_777);
        let of = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(of("7"), Some(7));
        assert_eq!(of("0.3"), Some(1));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0), "it has passed");
        assert_eq!(of("99999999"), Some(3600));
        assert_eq!(of("-1"), None);
        assert_eq!(of("soon"), None);
    }

    #[test]
    fn user_and_password_leave_the_url() {
        let url = Url::parse("http://a%40b:p%2Bq%25+@h/").unwrap();
        assert_eq!(basic_of(&url), Some(format!("Basic {}", STANDARD.encode("a@b:p+q%+"))));
        assert_eq!(basic_of(&Url::parse("http://h/").unwrap()), None);
    }

    #[test]
    fn only_loopback_is_local() {
        let local = |text| is_local(&Url::parse(text).unwrap());
        assert!(
            local("http://127.0.0.1:1/") && local("http://[::1]/") && local("http://localhost/")
        );
        assert!(local("smtp://127.0.0.1:25") && local("smtp://[::1]") && !local("smtp://10.0.0.1"));
        assert!(!local("http://10.0.0.1/") && !local("http://localhost.example/"));
    }
}
