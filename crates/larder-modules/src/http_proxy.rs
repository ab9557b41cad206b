//! Which HTTP proxy stands before a host: `HTTP_PROXY`, `HTTPS_PROXY` and
//! `NO_PROXY` as Go reads them
//! (`golang.org/x/net/http/httpproxy`).
//!
//! Leaves out SOCKS. An `http` URL goes through its proxy by CONNECT, where Go would send it the
//! whole URL; a proxy that allows CONNECT to no port but 443 refuses that, and says so.

use std::net::IpAddr;

use ureq::Proxy;
use url::{Host, Url};

use crate::settings::NetSettings;

/// The HTTP proxies of the environment.
#[derive(Debug)]
pub(crate) struct HttpProxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// A word of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
enum Exception {
    /// `*`.
    Every,
    /// An address, with or without a port.
    Address(IpAddr, Option<u16>),
    /// An address and how many of its bits count.
    Network(IpAddr, u8),
    /// A domain, which stands for its subdomains; with a leading dot for them alone.
    Domain {
        /// Without the dot.
        name: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl HttpProxies {
    /// An unreadable proxy URL is an error that names its variable.
    pub(crate) fn new(settings: &NetSettings) -> Result<Self, String> {
        let proxy = |name: &str, text: &str| {
            if text.is_empty() {
                return Ok(None);
            }
            let read = Proxy::new(text).map_err(|error| format!("{name} is not a URL: {error}"))?;
            Ok::<_, String>(Some(read))
        };
        Ok(Self {
            http: proxy("HTTP_PROXY", &settings.http_proxy)?,
            https: proxy("HTTPS_PROXY", &settings.https_proxy)?,
            exceptions: exceptions(&settings.no_proxy),
        })
    }

    /// The proxy for this URL. The machine itself is always spoken to directly.
    pub(crate) fn before(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.direct(url))
    }

    fn direct(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return true };
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        let name = host.to_string().to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        let port = url.port_or_known_default();
        let fits = |wanted: Option<u16>| wanted.is_none() || wanted == port;
        self.exceptions.iter().any(|exception| match exception {
            Exception::Every => true,
            Exception::Address(wanted, port) => address == Some(*wanted) && fits(*port),
            Exception::Network(network, bits) => {
                address.is_some_and(|address| in_network(address, *network, *bits))
            }
            Exception::Domain { name: domain, itself, port } => {
                let below = name.strip_suffix(domain.as_str());
                let below = below.is_some_and(|rest| match rest {
                    "" => *itself,
                    rest => rest.ends_with('.'),
                });
                below && fits(*port)
            }
        })
    }
}

fn exceptions(list: &str) -> Vec<Exception> {
    list.split(',').filter_map(|word| exception(word.trim())).collect()
}

fn exception(word: &str) -> Option<Exception> {
    let word = word.to_ascii_lowercase();
    if word.is_empty() {
        return None;
    }
    if word == "*" {
        return Some(Exception::Every);
    }
    if let Some((address, bits)) = word.split_once('/') {
        return Some(Exception::Network(address.parse().ok()?, bits.parse().ok()?));
    }
    let (host, port) = match word.rsplit_once(':') {
        Some((host, port)) if word.parse::<IpAddr>().is_err() => (host, Some(port.parse().ok()?)),
        _ => (word.as_str(), None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Some(Exception::Address(address, port));
    }
    // `*.example.com` and `.example.com` are the same: subdomains alone.
    let dotted = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
    let name = dotted.trim_start_matches('.').to_owned();
    (!name.is_empty()).then(|| Exception::Domain { itself: !dotted.starts_with('.'), name, port })
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (a, n, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    let ignored = width - u32::from(bits).min(width);
    a.checked_shr(ignored) == n.checked_shr(ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(no_proxy: &str, url: &str) -> bool {
        let settings = NetSettings {
            http_proxy: "http://proxy.example:3128".to_owned(),
            https_proxy: "http://secure.example:3128".to_owned(),
            no_proxy: no_proxy.to_owned(),
            ..NetSettings::default()
        };
        HttpProxies::new(&settings).unwrap().before(&Url::parse(url).unwrap()).is_none()
    }

    #[test]
    fn exceptions_are_those_of_go() {
        for (no_proxy, url, expected) in [
            ("", "https://example.com", false),
            ("", "http://localhost:8080", true),
            ("", "http://127.0.0.1:8080", true),
            ("", "http://[::1]/", true),
            ("*", "https://example.com", true),
            ("example.com", "https://example.com", true),
            ("example.com", "https://a.example.com", true),
            ("example.com", "https://badexample.com", false),
            (".example.com", "https://example.com", false),
            (".example.com", "https://a.example.com", true),
            ("*.example.com", "https://a.example.com", true),
            ("example.com:8443", "https://example.com", false),
            ("example.com:443", "https://example.com", true),
            ("10.0.0.0/8", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("0.0.0.0/0", "http://11.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.3:99", true),
            ("10.1.2.3:98", "http://10.1.2.3:99", false),
            ("a.example, EXAMPLE.com ", "https://example.com", true),
        ] {
            assert_eq!(direct(no_proxy, url), expected, "{no_proxy:?} {url}");
        }
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let settings = NetSettings {
            https_proxy: "http://secure.example:3128".to_owned(),
            ..NetSettings::default()
        };
        let proxies = HttpProxies::new(&settings).unwrap();
        assert!(proxies.before(&Url::parse("http://example.com").unwrap()).is_none());
        let url = Url::parse("https://example.com").unwrap();
        assert_eq!(proxies.before(&url).unwrap().host(), "secure.example");
        let broken = NetSettings { http_proxy: "http://".to_owned(), ..NetSettings::default() };
        assert!(HttpProxies::new(&broken).is_err());
    }
}
