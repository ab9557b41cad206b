//! Where a Redis server is, and who we are there.
//!
//! A URL names the place and never holds a password: passwords come from a file or the
//! environment and are handed in beside it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use redis::{
    ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    TlsCertificates,
};

/// A password, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The host, or the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// Certificates in PEM, for `rediss://`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities to trust in place of the system's.
    pub authorities: Option<Vec<u8>>,
    /// Our certificate and its key, where the server asks for one.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// What is wrong with it before anybody is asked: of a file without a certificate the library
    /// would say that nobody is trusted.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let has = |pem: &[u8], what: &str| String::from_utf8_lossy(pem).contains(what);
        let certificate = "-----BEGIN CERTIFICATE-----";
        match (&self.authorities, &self.client) {
            (Some(pem), _) if !has(pem, certificate) => Some("ca-file holds no certificate in PEM"),
            (_, Some((pem, _))) if !has(pem, certificate) => {
                Some("cert-file holds no certificate in PEM")
            }
            (_, Some((_, pem))) if !has(pem, "PRIVATE KEY-----") => {
                Some("key-file holds no private key in PEM")
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// How long to wait for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For an answer.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), answer: Duration::from_secs(5) }
    }
}

/// A server to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    place: Place,
    address: String,
    /// The database that commands are about.
    pub database: u32,
    /// An ACL user; `None` is `default`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Certificates, where the URL says `rediss`.
    pub tls: Tls,
    /// Time-outs.
    pub timeouts: Timeouts,
    /// Which of the masters that a Sentinel watches, where it watches several.
    pub sentinel_master: Option<String>,
}

/// Why a URL is none of a Redis server. The URL itself is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// A password would be seen by every process on the machine and kept in the shell's history.
    #[error("a password in a Redis URL is refused")]
    Password,
    /// Not `redis`, `rediss`, `unix`, `valkey` or `valkeys`.
    #[error("{0}:// is no Redis URL; redis://, rediss:// and unix:// are")]
    Scheme(String),
    /// Anything else.
    #[error("not a Redis URL: {0}")]
    Malformed(String),
}

impl Endpoint {
    /// Reads `redis://[user@]host[:port][/db]`, `rediss://…` and `unix:///path[?db=N]`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let malformed = |what: &str| EndpointError::Malformed(what.to_owned());
        let url = url::Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "pass") {
            return Err(EndpointError::Password);
        }
        let place = match url.scheme() {
            scheme @ ("redis" | "rediss" | "valkey" | "valkeys") => Place::Tcp {
                host: match url.host_str() {
                    None | Some("") => "127.0.0.1".to_owned(),
                    Some(host) => host.trim_matches(['[', ']']).to_owned(),
                },
                port: url.port().unwrap_or(6379),
                tls: matches!(scheme, "rediss" | "valkeys"),
            },
            "unix" | "redis+unix" if url.path().len() > 1 => Place::Unix(url.path().into()),
            "unix" | "redis+unix" => return Err(malformed("unix:// needs the path of a socket")),
            scheme => return Err(EndpointError::Scheme(scheme.to_owned())),
        };
        let database = match &place {
            Place::Tcp { .. } => url.path().trim_matches('/').to_owned(),
            Place::Unix(_) => url
                .query_pairs()
                .find(|(key, _)| key == "db")
                .map_or_else(String::new, |(_, value)| value.into_owned()),
        };
        let database = match database.as_str() {
            "" => 0,
            digits => digits
                .parse()
                .map_err(|_| malformed(&format!("the database {digits:?} is no number")))?,
        };
        let user = match url.username() {
            "" => None,
            user => {
                Some(percent_decoded(user).ok_or_else(|| malformed("the user name is not UTF-8"))?)
            }
        };
        Ok(Self {
            address: address(&place),
            place,
            database,
            user,
            password: None,
            tls: Tls::default(),
            timeouts: Timeouts::default(),
            sentinel_master: None,
        })
    }

    /// `host:port` or the socket's path.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL, which holds no password.
    pub fn url(&self) -> String {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        match &self.place {
            Place::Tcp { tls, .. } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                format!("{scheme}://{user}{}/{}", self.address, self.database)
            }
            Place::Unix(path) => format!("unix://{}?db={}", path.display(), self.database),
        }
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: u32) -> Self {
        Self { database, ..self.clone() }
    }

    /// Another server of the same deployment: same user, password and certificates.
    #[must_use]
    pub fn sibling(&self, host: &str, port: u16) -> Self {
        let tls = self.has_tls();
        let place = Place::Tcp { host: host.to_owned(), port, tls };
        Self { address: address(&place), place, ..self.clone() }
    }

    /// The host, where it is not a socket.
    pub fn host(&self) -> Option<&str> {
        match &self.place {
            Place::Tcp { host, .. } => Some(host),
            Place::Unix(_) => None,
        }
    }

    /// Whether the way there is encrypted.
    pub fn has_tls(&self) -> bool {
        matches!(self.place, Place::Tcp { tls: true, .. })
    }

    /// What the client library needs to connect.
    pub(crate) fn client(&self) -> redis::RedisResult<redis::Client> {
        let address = match &self.place {
            Place::Tcp { host, port, tls: false } => ConnectionAddr::Tcp(host.clone(), *port),
            Place::Tcp { host, port, tls: true } => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
            Place::Unix(path) => ConnectionAddr::Unix(path.clone()),
        };
        let mut login = RedisConnectionInfo::default().set_db(i64::from(self.database));
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(Secret(password)) = &self.password {
            login = login.set_password(password);
        }
        let login = login.set_lib_name("larder", env!("CARGO_PKG_VERSION"));
        let info: ConnectionInfo = address.into_connection_info()?.set_redis_settings(login);
        if !self.has_tls() {
            return redis::Client::open(info);
        }
        let client_tls = self
            .tls
            .client
            .clone()
            .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        let certificates = TlsCertificates { client_tls, root_cert: self.tls.authorities.clone() };
        redis::Client::build_with_tls(info, certificates)
    }
}

fn address(place: &Place) -> String {
    match place {
        Place::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
        Place::Tcp { host, port, .. } => format!("{host}:{port}"),
        Place::Unix(path) => path.display().to_string(),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    // A query value is decoded by the URL crate; a plus sign would become a space there.
    let query = format!("x={}", text.replace('+', "%2B"));
    let (_, value) = url::form_urlencoded::parse(query.as_bytes()).next()?;
    (!value.contains('\u{fffd}')).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_urls() {
        for (text, address, database) in [
            ("redis://127.0.0.1", "127.0.0.1:6379", 0),
            ("redis://cache.example.test:7000/3", "cache.example.test:7000", 3),
            ("rediss://[::1]:6380/", "[::1]:6380", 0),
            ("unix:///run/redis.sock?db=2", "/run/redis.sock", 2),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.address(), endpoint.database), (address, database), "{text}");
            assert_eq!(Endpoint::parse(&endpoint.url()).unwrap(), endpoint, "{text}");
        }
        assert_eq!(Endpoint::parse("redis://a%40b@h").unwrap().user.as_deref(), Some("a@b"));
    }

    #[test]
    fn a_password_is_refused_and_never_repeated() {
        for text in ["redis://:hunter2@h", "redis://u:hunter2@h/0", "unix:///s?pass=hunter2"] {
            let error = Endpoint::parse(text).unwrap_err();
            assert_eq!(error, EndpointError::Password);
        }
        for text in ["http://hunter2@h", "redis://hunter2@h/x y", "redis://hunter2@:x", "hunter2"] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let mut endpoint = Endpoint::parse("redis://h").unwrap();
        endpoint.password = Some(Secret::new("hunter2"));
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }
}
