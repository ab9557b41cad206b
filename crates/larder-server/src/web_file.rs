//! The web settings file, in the form that Prometheus' own exporters read
//! (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>).
//!
//! Promises: what it does not know is refused with its line, never passed over, since a line that
//! has no effect here may be the one that somebody's safety rests on. Relative paths begin at the
//! file. Stricter than others: TLS 1.2 is the lowest version. Leaves out cipher suites and curves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::http::{HeaderName, HeaderValue};
use serde::Deserialize;

/// Bytes of the largest file that is read.
const LARGEST: usize = 256 << 10;
/// Headers that the file may set, as in the toolkit.
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
];
/// The highest cost of a hash: each step doubles the time, and 16 takes seconds.
const HIGHEST_COST: u32 = 16;

/// What is wrong with the file: `FILE:LINE:COLUMN: what`, where the place is known.
#[derive(Debug, thiserror::Error)]
#[error("{}{place}: {what}", path.display())]
pub struct WebFileError {
    /// The file.
    pub path: PathBuf,
    /// `:LINE:COLUMN`, or nothing.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl WebFileError {
    pub(crate) fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), place: String::new(), what: what.into() }
    }
}

/// The file as it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebFile {
    pub(crate) tls_server_config: Option<TlsSettings>,
    pub(crate) basic_auth_users: BTreeMap<String, String>,
    pub(crate) http_server_config: HttpSettings,
}

/// `tls_server_config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSettings {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    #[serde(default)]
    pub(crate) client_auth_type: ClientAuth,
    pub(crate) client_ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) min_version: TlsVersion,
    #[serde(default = "newest")]
    pub(crate) max_version: TlsVersion,
}

fn newest() -> TlsVersion {
    TlsVersion::Tls13
}

/// What a client has to prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum ClientAuth {
    #[default]
    #[serde(rename = "NoClientCert")]
    None,
    #[serde(rename = "RequestClientCert")]
    Request,
    #[serde(rename = "RequireAnyClientCert")]
    RequireAny,
    #[serde(rename = "VerifyClientCertIfGiven")]
    VerifyIfGiven,
    #[serde(rename = "RequireAndVerifyClientCert")]
    RequireAndVerify,
}

/// Versions of TLS that are spoken here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum TlsVersion {
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

/// `http_server_config`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpSettings {
    /// Taken and without effect: HTTP/2 is never offered here.
    #[serde(rename = "http2")]
    _http2: bool,
    headers: BTreeMap<String, String>,
}

impl WebFile {
    /// Reads the text of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self, WebFileError> {
        if text.len() > LARGEST {
            return Err(WebFileError::new(path, "is too large for a web settings file"));
        }
        let text =
            std::str::from_utf8(text).map_err(|_| WebFileError::new(path, "is not UTF-8"))?;
        let nothing = |line: &str| matches!(line.trim(), "" | "---") || line.starts_with('#');
        if text.lines().all(nothing) {
            return Ok(Self::default());
        }
        let mut file: Self = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column()));
            // Without the lines around it: they may hold hashes.
            let what = error.without_snippet().to_string();
            let place = place.unwrap_or_default();
            WebFileError { path: path.to_owned(), place, what }
        })?;
        file.check(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        if let Some(tls) = &mut file.tls_server_config {
            tls.cert_file = dir.join(&tls.cert_file);
            tls.key_file = dir.join(&tls.key_file);
            tls.client_ca_file = tls.client_ca_file.as_ref().map(|file| dir.join(file));
        }
        Ok(file)
    }

    fn check(&self, path: &Path) -> Result<(), WebFileError> {
        let wrong = |what: String| Err(WebFileError::new(path, what));
        for (user, hash) in &self.basic_auth_users {
            if user.is_empty() || user.contains(':') {
                return wrong(format!("basic_auth_users: {user:?} cannot be the name of a user"));
            }
            match hash.parse::<bcrypt::HashParts>() {
                Ok(parts) if parts.get_cost() <= HIGHEST_COST => (),
                Ok(_) => {
                    return wrong(format!(
                        "basic_auth_users: the hash of {user} costs more than {HIGHEST_COST}"
                    ));
                }
                Err(_) => return wrong(format!("basic_auth_users: {user} has no bcrypt hash")),
            }
        }
        self.headers().map_err(|what| WebFileError::new(path, what))?;
        let Some(tls) = &self.tls_server_config else { return Ok(()) };
        if tls.max_version < tls.min_version {
            return wrong("tls_server_config: max_version is below min_version".to_owned());
        }
        let verifies = matches!(
            tls.client_auth_type,
            ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify
        );
        match (&tls.client_ca_file, verifies) {
            (None, true) => {
                wrong("tls_server_config: this client_auth_type needs a client_ca_file".to_owned())
            }
            (Some(_), false) => wrong(
                "tls_server_config: a client_ca_file has no effect with this client_auth_type"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// The headers that every answer carries.
    pub(crate) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let mut headers = Vec::new();
        for (name, value) in &self.http_server_config.headers {
            let lower = name.to_ascii_lowercase();
            let Some(known) = HEADERS.into_iter().find(|known| *known == lower) else {
                return Err(format!(
                    "http_server_config: the header {name} cannot be set; these can: {}",
                    HEADERS.join(", ")
                ));
            };
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("http_server_config: the value of {name} is no header"))?;
            headers.push((HeaderName::from_static(known), value));
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$04$JZWnGmIdTTD1TUUWMJ5pk.6rmkKT2EuHYhNTJvNQAs0dsyAGUfgbq";

    fn parse(text: &str) -> Result<WebFile, String> {
        WebFile::parse(Path::new("/etc/larder/web.yml"), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_file() {
        let file = parse(&format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: /keys/server.key\n  \
             client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  \
             min_version: TLS13\n\
             basic_auth_users:\n  prometheus: {HASH}\n\
             http_server_config:\n  http2: false\n  headers:\n    \
             Strict-Transport-Security: max-age=600\n"
        ))
        .unwrap();
        let tls = file.tls_server_config.as_ref().unwrap();
        assert_eq!(tls.cert_file, Path::new("/etc/larder/server.crt"));
        assert_eq!(tls.key_file, Path::new("/keys/server.key"));
        assert_eq!(tls.client_auth_type, ClientAuth::RequireAndVerify);
        assert_eq!(tls.min_version, TlsVersion::Tls13);
        assert_eq!(file.basic_auth_users["prometheus"], HASH);
        assert_eq!(file.headers().unwrap()[0].0, "strict-transport-security");
    }

    #[test]
    fn an_empty_file_is_no_mistake() {
        for text in ["", "# nothing yet\n", "---\n"] {
            let file = parse(text).unwrap();
            assert!(file.tls_server_config.is_none() && file.basic_auth_users.is_empty());
        }
    }

    #[test]
    fn mistakes_with_their_lines() {
        let tls = "tls_server_config:\n  cert_file: a\n  key_file: b\n";
        let cases = [
            ("basic_auth_user: {}\n".to_owned(), "web.yml:1:1: unknown field"),
            (format!("{tls}  cipher_suites: []\n"), "web.yml:4:3: unknown field"),
            (format!("{tls}  min_version: TLS10\n"), "web.yml:4:16: unknown variant"),
            (format!("{tls}  client_auth_type: Any\n"), "web.yml:4:21: unknown variant"),
            ("tls_server_config:\n  cert_file: a\n".to_owned(), "key_file"),
            (format!("{tls}  client_ca_file: ca\n"), "has no effect"),
            (
                format!("{tls}  client_auth_type: VerifyClientCertIfGiven\n"),
                "needs a client_ca_file",
            ),
            (
                format!("{tls}  min_version: TLS13\n  max_version: TLS12\n"),
                "max_version is below min_version",
            ),
            ("basic_auth_users:\n  a: secret\n".to_owned(), "a has no bcrypt hash"),
            (
                format!("basic_auth_users:\n  a: {}\n", HASH.replace("$04$", "$20$")),
                "costs more than 16",
            ),
            (
                "http_server_config:\n  headers:\n    X-Other: a\n".to_owned(),
                "X-Other cannot be set",
            ),
            ("a: [\n".to_owned(), "web.yml:"),
        ];
        for (text, why) in cases {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(why), "{why:?} is not in {error:?}");
            assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
        }
    }
}
