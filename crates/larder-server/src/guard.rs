//! Who may ask: the names that this server answers to, where a page must come from, and the token.
//!
//! Promises: a browser that was led here by another site can neither read nor change anything; a
//! request that changes something has the token, or comes from this machine where none is set.
//! Leaves out the users of the web settings file, which `users.rs` knows.

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Request, StatusCode, Version};

use crate::secret::Token;

/// The rules of one server.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Names besides addresses and `localhost`; `*` is every name.
    pub(crate) hosts: Vec<String>,
    /// What changing requests must carry.
    pub(crate) token: Option<Token>,
    /// Whether the server listens on a loopback address only.
    pub(crate) loopback: bool,
}

/// Why a request is refused, for everybody to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

const fn refusal(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why }
}

const NO_HOST: Refusal = refusal(StatusCode::BAD_REQUEST, "the request names no host");
const TWO_HOSTS: Refusal = refusal(StatusCode::BAD_REQUEST, "the request names two hosts");
const WRONG_HOST: Refusal = refusal(
    StatusCode::MISDIRECTED_REQUEST,
    "this server does not answer to that host name; use its address, or allow the name",
);
const WRONG_SITE: Refusal =
    refusal(StatusCode::FORBIDDEN, "the request comes from a page of another site");
const NO_TOKEN: Refusal = refusal(
    StatusCode::FORBIDDEN,
    "no token is set, so that only a server on a loopback address takes changes",
);
const NEEDS_TOKEN: Refusal =
    refusal(StatusCode::UNAUTHORIZED, "this needs the header 'Authorization: Bearer TOKEN'");
const WRONG_TOKEN: Refusal = refusal(StatusCode::UNAUTHORIZED, "the token is not the right one");

impl Gate {
    /// Whether the request may be looked at.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let path = request.uri().path();
        // Says nothing about anything, and is asked for by all kinds of names.
        if matches!(path, "/healthz" | "/readyz") {
            return Ok(());
        }
        // What one of two hosts allows, the other one could be taken for.
        if request.headers().get_all(HOST).iter().count() > 1 {
            return Err(TWO_HOSTS);
        }
        let host = host_of(request);
        match host {
            Some(host) if !self.answers_to(host) => return Err(WRONG_HOST),
            None if request.version() >= Version::HTTP_11 => return Err(NO_HOST),
            _ => (),
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let costs = path.starts_with("/api/") || path == "/probe";
        if (!reads || costs) && !same_site(request.headers(), host) {
            return Err(WRONG_SITE);
        }
        Ok(())
    }

    /// Whether the request may change something.
    pub(crate) fn may_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match (&self.token, bearer(headers)) {
            (None, _) if self.loopback => Ok(()),
            (None, _) => Err(NO_TOKEN),
            (Some(_), None) => Err(NEEDS_TOKEN),
            (Some(token), Some(given)) if token.is(given) => Ok(()),
            (Some(_), Some(_)) => Err(WRONG_TOKEN),
        }
    }

    /// Whether the request carries the token, where there is one.
    pub(crate) fn has_token(&self, headers: &HeaderMap) -> bool {
        matches!((&self.token, bearer(headers)), (Some(token), Some(given)) if token.is(given))
    }

    /// A name that somebody else controls can be made to lead here (DNS rebinding); an address
    /// cannot.
    fn answers_to(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|host| host == "*" || host.eq_ignore_ascii_case(name))
    }
}

/// The host that a request is meant for: of its URL, else of its header.
fn host_of<B>(request: &Request<B>) -> Option<&str> {
    let header = || request.headers().get(HOST).and_then(|value| value.to_str().ok());
    request.uri().authority().map_or_else(header, |authority| Some(authority.as_str()))
}

fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, "0"),
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let bracketed = name.starts_with('[') && name.ends_with(']');
    (digits && (bracketed || !name.contains([':', '[', ']', '@']))).then_some(name)
}

/// Whether no page of another site sent this: browsers say where a request comes from, and other
/// clients say nothing.
fn same_site(headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or("?").to_owned();
    let site = headers.get("sec-fetch-site").map(text);
    if site.is_some_and(|site| !matches!(&site[..], "same-origin" | "none")) {
        return false;
    }
    headers.get(ORIGIN).map(text).is_none_or(|origin| {
        let authority = origin.split_once("://").map(|(_, authority)| authority.to_owned());
        authority.is_some_and(|authority| host.is_some_and(|h| h.eq_ignore_ascii_case(&authority)))
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn hosts_that_can_be_rebound_are_refused() {
        let gate = Gate { hosts: vec!["builder.lan".to_owned()], ..Gate::default() };
        let cases = [
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("[::1]", true),
            ("10.0.0.7", true),
            ("localhost:8000", true),
            ("LOCALHOST", true),
            ("Builder.LAN:8000", true),
            ("evil.example", false),
            ("evil.example:8000", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1@evil.example", false),
            ("::1", false),
            ("", false),
        ];
        for (host, good) in cases {
            let answer = gate.admit(&request("GET", "/metrics", &[("host", host)]));
            assert_eq!(answer.is_ok(), good, "{host:?}");
        }
        assert_eq!(gate.admit(&request("GET", "/metrics", &[])), Err(NO_HOST));
        assert_eq!(gate.admit(&request("GET", "/healthz", &[("host", "pod")])), Ok(()));
        let absolute = request("GET", "http://evil.example/", &[("host", "localhost")]);
        assert_eq!(gate.admit(&absolute), Err(WRONG_HOST));
        let any = Gate { hosts: vec!["*".to_owned()], ..Gate::default() };
        assert_eq!(any.admit(&request("GET", "/", &[("host", "evil.example")])), Ok(()));
    }

    #[test]
    fn other_sites_may_show_pages_but_not_read_or_change() {
        let gate = Gate::default();
        let host = ("host", "localhost:8000");
        let cases = [
            ("GET", "/", vec![("sec-fetch-site", "cross-site")], true),
            ("GET", "/api/v1/status", vec![("sec-fetch-site", "cross-site")], false),
            ("GET", "/probe", vec![("sec-fetch-site", "same-site")], false),
            ("GET", "/api/v1/status", vec![("sec-fetch-site", "same-origin")], true),
            ("GET", "/api/v1/status", vec![("sec-fetch-site", "none")], true),
            ("POST", "/api/v1/plans", vec![], true),
            ("POST", "/api/v1/plans", vec![("origin", "http://localhost:8000")], true),
            ("POST", "/api/v1/plans", vec![("origin", "http://localhost:9000")], false),
            ("POST", "/api/v1/plans", vec![("origin", "http://evil.example")], false),
            ("POST", "/api/v1/plans", vec![("origin", "null")], false),
            ("DELETE", "/x", vec![("sec-fetch-site", "cross-site")], false),
        ];
        for (method, path, mut headers, good) in cases {
            headers.push(host);
            let answer = gate.admit(&request(method, path, &headers));
            assert_eq!(answer.is_ok(), good, "{method} {path} {headers:?}");
        }
    }

    #[test]
    fn changes_need_the_token_or_this_machine() {
        let headers = |value: Option<&str>| {
            let given: Vec<_> = value.map(|value| ("authorization", value)).into_iter().collect();
            request("POST", "/", &given).headers().clone()
        };
        let token = Some(Token::new("0123456789abcdef").unwrap());
        let open = Gate { loopback: true, ..Gate::default() };
        assert_eq!(open.may_change(&headers(None)), Ok(()));
        assert_eq!(Gate::default().may_change(&headers(None)), Err(NO_TOKEN));
        for loopback in [true, false] {
            let gate = Gate { token: token.clone(), loopback, ..Gate::default() };
            assert_eq!(gate.may_change(&headers(None)), Err(NEEDS_TOKEN));
            let basic = headers(Some("Basic MDEyMzQ1Njc4OWFiY2RlZg=="));
            assert_eq!(gate.may_change(&basic), Err(NEEDS_TOKEN));
            let wrong = headers(Some("Bearer 0123456789abcdee"));
            assert_eq!(gate.may_change(&wrong), Err(WRONG_TOKEN));
            assert!(!gate.has_token(&wrong));
            let right = headers(Some("bearer 0123456789abcdef"));
            assert_eq!(gate.may_change(&right), Ok(()));
            assert!(gate.has_token(&right));
        }
    }
}
