//! One GET over HTTP or from a `file` URL: redirects, credentials, limits, time-outs, retries.
//!
//! Promises: a small answer is never larger in memory than its limit; a silent peer ends in an
//! error, while a transfer that goes on may take as long as it takes; at most so many
//! connections a host as asked for are used; no password is in any message.
//!
//! The rules are those of `cmd/go/internal/web/http.go` and of Go's HTTP client: at most ten
//! redirects, none from `https` to anything else, no credentials over `http`.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use larder_core::Meter;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};
use url::Url;

use crate::auth::Auth;
use crate::hosts::{Hosts, Slot, host_of};
use crate::http_proxy::HttpProxies;
use crate::names::Names;
use crate::pace::{Pace, wait_unless_stopped};
use crate::settings::NetSettings;
pub(crate) use crate::web_error::{Failure, WebError, redacted};
use crate::web_error::{broken, is_unconnected, refused, status_error};

/// How patient and how greedy we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetOptions {
    /// Connections to one host at a time, at least one.
    pub jobs: usize,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long a peer may say nothing.
    pub stall: Duration,
    /// How long a small answer may take as a whole.
    pub small: Duration,
    /// How often something is asked for before it counts as failed, at least once.
    pub tries: u32,
    /// The first pause between two tries; it doubles.
    pub back_off: Duration,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            jobs: 8,
            connect: Duration::from_secs(30),
            // A proxy that fetches a module for the first time lets us wait for its first byte.
            stall: Duration::from_mins(1),
            small: Duration::from_mins(5),
            tries: 4,
            back_off: Duration::from_millis(400),
        }
    }
}

/// The part of a file that is there already.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    /// How many bytes.
    pub(crate) from: u64,
    /// What told the server's version of it.
    pub(crate) etag: Option<String>,
}

/// An answer whose body is still to be read. It holds its connection until it is dropped.
pub(crate) struct Reply {
    /// The address that answered, without its password.
    pub(crate) url: String,
    /// The size of the whole thing, where it was told.
    pub(crate) size: Option<u64>,
    /// Where in the whole thing the body begins: what was asked for, or 0.
    pub(crate) from: u64,
    /// A strong validator.
    pub(crate) etag: Option<String>,
    pub(crate) body: Box<dyn Read + Send>,
    _slot: Option<Slot>,
}

/// The client that everything here speaks through; safe to share between threads.
#[derive(Debug)]
pub(crate) struct Web {
    agent: Agent,
    names: Names,
    proxies: HttpProxies,
    auth: Auth,
    hosts: Hosts,
    options: NetOptions,
}

const MAX_REDIRECTS: usize = 10;

impl Web {
    pub(crate) fn new(settings: &NetSettings, options: NetOptions) -> Result<Self, String> {
        let jobs = options.jobs.max(1);
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(tls)
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .timeout_connect(Some(options.connect))
            .timeout_recv_response(Some(options.stall))
            .timeout_per_read(Some(options.stall))
            .timeout_per_write(Some(options.stall))
            .max_idle_connections_per_host(jobs)
            .max_idle_connections(jobs.saturating_mul(4))
            .build();
        let names = Names::default();
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), names.clone()),
            names,
            proxies: HttpProxies::new(settings)?,
            auth: Auth::new(settings)?,
            hosts: Hosts::new(jobs),
            options,
        })
    }

    pub(crate) fn options(&self) -> &NetOptions {
        &self.options
    }

    /// A whole answer of at most `limit` bytes. It is asked for again, after a pause, while that
    /// is of use and nobody wishes to stop.
    pub(crate) fn small(&self, url: &Url, limit: u64, meter: &Meter) -> Result<Vec<u8>, WebError> {
        let mut tried = 1;
        loop {
            let answer = self
                .open(url, None, Some(self.options.small))
                .and_then(|reply| read_small(reply, limit, self.options.stall, meter));
            match answer {
                Err(WebError { again: Some(wait), .. })
                    if tried < self.options.tries
                        && wait_unless_stopped(self.pause(tried).max(wait), meter) =>
                {
                    tried += 1;
                }
                other => return other,
            }
        }
    }

    /// How long to wait after so many tries.
    pub(crate) fn pause(&self, tried: u32) -> Duration {
        self.options.back_off.saturating_mul(1 << tried.saturating_sub(1).min(6))
    }

    /// Asks once. `whole` limits the time for everything, body included.
    pub(crate) fn open(
        &self,
        url: &Url,
        resume: Option<&Resume>,
        whole: Option<Duration>,
    ) -> Result<Reply, WebError> {
        match url.scheme() {
            "file" => open_file(url),
            "http" if !url.username().is_empty() || url.password().is_some() => {
                Err(refused(url, "refusing to send a password over http"))
            }
            "http" | "https" => {
                let first = self.auth.first(url);
                let reply = self.follow(url, resume, whole, first.as_ref());
                match reply {
                    Err(error) if error.head.is_some() => {
                        self.ask_again(url, resume, whole, first.as_ref(), error)
                    }
                    reply => reply,
                }
            }
            other => Err(refused(url, &format!("{other} URLs are not supported"))),
        }
    }

    /// After a refusal: with other credentials, where there are any.
    fn ask_again(
        &self,
        url: &Url,
        resume: Option<&Resume>,
        whole: Option<Duration>,
        sent: Option<&HeaderMap>,
        mut error: WebError,
    ) -> Result<Reply, WebError> {
        let head = error.head.take().unwrap_or_default();
        match self.auth.second(url, sent, &head) {
            Some(second) => self.follow(url, resume, whole, Some(&second)),
            None => {
                if let (Failure::Status, Some(trouble)) = (error.failure, self.auth.trouble()) {
                    error.why = format!("{} ({trouble})", error.why);
                }
                Err(error)
            }
        }
    }

    fn follow(
        &self,
        start: &Url,
        resume: Option<&Resume>,
        whole: Option<Duration>,
        credentials: Option<&HeaderMap>,
    ) -> Result<Reply, WebError> {
        let mut url = start.clone();
        for _ in 0..=MAX_REDIRECTS {
            // Credentials go to the host they are for, and to hosts below it (`net/http`).
            let trusted = credentials.filter(|_| below(start, &url));
            let slot = self.hosts.take(&url);
            let response = self.ask(&url, resume, whole, trusted)?;
            let status = response.status();
            if !is_redirect(status) {
                return answer(&url, response, resume, slot);
            }
            let location = response.headers().get(header::LOCATION);
            let Some(next) = location.and_then(|next| url.join(next.to_str().ok()?).ok()) else {
                return Err(refused(&url, "redirected to nowhere"));
            };
            if start.scheme() == "https" && next.scheme() != "https" {
                let next = redacted(&next);
                return Err(refused(&url, &format!("redirected from https to insecure {next}")));
            }
            if !matches!(next.scheme(), "http" | "https") {
                return Err(refused(&url, &format!("redirected to a {} URL", next.scheme())));
            }
            url = next;
        }
        Err(refused(start, "stopped after 10 redirects"))
    }

    fn ask(
        &self,
        url: &Url,
        resume: Option<&Resume>,
        whole: Option<Duration>,
        credentials: Option<&HeaderMap>,
    ) -> Result<Response<Body>, WebError> {
        let mut bare = url.clone();
        bare.set_fragment(None);
        let user_info = basic_of(url);
        // Neither fails: these URLs have a host.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let mut request = self.agent.get(bare.as_str());
        if let Some(credentials) = credentials {
            for (name, value) in credentials {
                request = request.header(name, value);
            }
        }
        if let Some(basic) = user_info
            && !credentials.is_some_and(|all| all.contains_key(header::AUTHORIZATION))
        {
            request = request.header(header::AUTHORIZATION, basic);
        }
        if let Some(resume) = resume {
            request = request.header(header::RANGE, format!("bytes={}-", resume.from));
            if let Some(etag) = &resume.etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        if let Some(why) = self.hosts.given_up(url) {
            let why = format!("{why}; this host is not asked again");
            return Err(WebError::new(Failure::Unreachable, url, why));
        }
        let proxy = self.proxies.before(url).cloned();
        let request = request.config().proxy(proxy).timeout_global(whole).build();
        let answer = request.call();
        let broken = answer.map_err(|error| (is_unconnected(&error), broken(url, &error)));
        match &broken {
            Err((true, error)) => {
                self.names.forget(&host_of(url));
                self.hosts.not_reached(url, &error.why);
            }
            _ => self.hosts.reached(url),
        }
        broken.map_err(|(_, error)| error)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Whether `url` is on the host of `start` or on one below it.
fn below(start: &Url, url: &Url) -> bool {
    let (Some(from), Some(to)) = (start.host_str(), url.host_str()) else { return false };
    let same_port = start.port_or_known_default() == url.port_or_known_default();
    from == to && same_port || to.strip_suffix(from).is_some_and(|rest| rest.ends_with('.'))
}

/// Basic authentication from a URL's user and password.
fn basic_of(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_decoded(text);
    let password = url.password().map(plain).unwrap_or_default();
    Some(crate::auth::basic(&plain(url.username()), &password))
}

/// `%2F` and the like undone; what is malformed stays.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match digits {
            Some(byte) if bytes[at] == b'%' => {
                plain.push(byte);
                at += 3;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn answer(
    url: &Url,
    response: Response<Body>,
    resume: Option<&Resume>,
    slot: Slot,
) -> Result<Reply, WebError> {
    let status = response.status();
    let text = |name| response.headers().get(name)?.to_str().ok();
    let etag = text(header::ETAG).filter(|etag| etag.starts_with('"')).map(str::to_owned);
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let (from, size) = match (status, resume) {
        (StatusCode::OK, _) => (0, length),
        (StatusCode::PARTIAL_CONTENT, Some(resume)) => {
            let range = text(header::CONTENT_RANGE).and_then(content_range);
            match range {
                Some((from, size)) if from == resume.from => (from, size),
                _ => return Err(refused(url, "answered with another part than asked for")),
            }
        }
        _ => return Err(status_error(url, response)),
    };
    let body = Box::new(response.into_body().into_reader());
    Ok(Reply { url: redacted(url), size, from, etag, body, _slot: Some(slot) })
}

/// `bytes 100-199/200` as 100 and 200.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.parse().ok()?, size.parse().ok()))
}

/// Reads to the end. A peer that drips is not waited for longer than a silent one.
fn read_small(
    mut reply: Reply,
    limit: u64,
    stall: Duration,
    meter: &Meter,
) -> Result<Vec<u8>, WebError> {
    let too_large = |url: &str| WebError::refused(url, format!("larger than {limit} bytes"));
    if reply.size.is_some_and(|size| size > limit) {
        return Err(too_large(&reply.url));
    }
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let mut pace = Pace::new(stall);
    loop {
        match reply.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                bytes.extend_from_slice(&buffer[..read]);
                if bytes.len() as u64 > limit {
                    return Err(too_large(&reply.url));
                }
                if meter.stopped() || pace.is_crawling(read) {
                    return Err(WebError::stalled(&reply.url));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(WebError::of_body(&reply.url, error)),
        }
    }
    let got = bytes.len() as u64;
    match reply.size {
        Some(size) if got < size => Err(WebError::truncated(&reply.url, got, size)),
        _ => Ok(bytes),
    }
}

fn open_file(url: &Url) -> Result<Reply, WebError> {
    let Ok(path) = url.to_file_path() else {
        return Err(refused(url, "names no file of this machine"));
    };
    let opened = File::open(&path).and_then(|file| {
        let meta = file.metadata()?;
        if meta.is_file() {
            Ok((file, meta.len()))
        } else {
            Err(io::ErrorKind::IsADirectory.into())
        }
    });
    match opened {
        Ok((file, size)) => Ok(Reply {
            url: redacted(url),
            size: Some(size),
            from: 0,
            etag: None,
            body: Box::new(file),
            _slot: None,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(WebError::new(Failure::NotFound, url, "no such file"))
        }
        Err(error) => Err(WebError::new(Failure::Status, url, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn credentials_stay_with_their_host_and_those_below() {
        for (start, to, trusted) in [
            ("https://a.example/x", "https://a.example/y", true),
            ("https://a.example/x", "https://cdn.a.example/y", true),
            ("https://a.example/x", "https://a.example:8443/y", false),
            ("https://a.example/x", "https://evila.example/y", false),
            ("https://a.example/x", "https://example/y", false),
            ("https://a.example/x", "https://b.example/y", false),
        ] {
            assert_eq!(below(&url(start), &url(to)), trusted, "{start} {to}");
        }
    }

    #[test]
    fn users_and_passwords_of_urls() {
        let it = url("https://me%40x:p%2Fw@a.example/");
        assert_eq!(basic_of(&it), Some(crate::auth::basic("me@x", "p/w")));
        assert_eq!(basic_of(&url("https://a.example/")), None);
        assert_eq!(redacted(&it), "https://me%40x:xxxxx@a.example/");
        assert_eq!(percent_decoded("a%2"), "a%2");
        assert_eq!(percent_decoded("%zz%41"), "%zzA");
    }

    #[test]
    fn parts_of_files() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 100-199/*"), Some((100, None)));
        for bad in ["", "bytes */200", "bytes x-1/2", "lines 1-2/3"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
