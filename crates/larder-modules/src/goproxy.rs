//! The GOPROXY list, and what module proxies serve (`cmd/go/internal/modfetch/proxy.go`,
//! `repo.go`).
//!
//! Promises: the list is walked as the go command walks it; what is answered has the size, and
//! an `.info` the version, that it may have. Content is proven by whoever puts it in place.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use larder_core::Meter;
use larder_go::{module_path, semver};
use serde_json::Value;
use url::Url;

use crate::patterns::matches_prefix;
use crate::settings::NetSettings;
use crate::transfer::{TransferError, download};
use crate::web::{Failure, NetOptions, Web, WebError, redacted};

/// Settings that nobody can be asked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No environment variable, no `go env -w` file and no Go installation names a proxy.
    #[error(
        "GOPROXY is not set: name a module proxy in the environment or with `go env -w \
         GOPROXY=URL`, or install Go, which brings a default"
    )]
    NoProxy,
    /// A setting that the go command would refuse too.
    #[error("{0}")]
    Invalid(String),
}

/// Why something was not fetched. `what` is `module` or `module@version`; no URL has a password.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Every proxy says that there is no such thing.
    #[error("{what}: not found: {url}: {why}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Where.
        url: String,
        /// The answer.
        why: String,
    },
    /// The list reached `off`.
    #[error("{what}: module lookup disabled by GOPROXY=off")]
    Off {
        /// What was asked for.
        what: String,
    },
    /// The list reached `direct`, or the module is private: the go command can fetch it.
    #[error("{what}: must be fetched from version control, {why}")]
    Direct {
        /// What was asked for.
        what: String,
        /// Which setting says so.
        why: String,
    },
    /// Nobody answered, not to the end, or with an error of the server.
    #[error("{what}: {url}: {why}")]
    Unreachable {
        /// What was asked for.
        what: String,
        /// Where.
        url: String,
        /// What happened.
        why: String,
    },
    /// The answer cannot be what was asked for.
    #[error("{what}: refused what {url} answered: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The module path or version is none.
    #[error("{what}: {why}")]
    Invalid {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Our own file could not be written.
    #[error("{what}: cannot write what was fetched")]
    Write {
        /// What was asked for.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The meter asked to stop.
    #[error("{what}: stopped")]
    Stopped {
        /// What was asked for.
        what: String,
    },
}

impl FetchError {
    /// Whether the list goes on to its next entry after this, whatever the separator.
    fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Off { .. })
    }

    /// Whether this is our own affair, which no other proxy would change.
    fn is_ours(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Stopped { .. } | Self::Invalid { .. })
    }
}

/// The longest `.info` that is read, in bytes.
pub const MAX_INFO: u64 = 1 << 20;
/// The longest list of versions that is read, in bytes.
pub const MAX_LIST: u64 = 16 << 20;
/// The longest go.mod, in bytes (`cmd/go/internal/modfetch/codehost`, `MaxGoMod`).
pub const MAX_GO_MOD: u64 = 16 << 20;
/// The largest zip, in bytes (`MaxZipFile` there).
pub const MAX_ZIP: u64 = 500 << 20;

/// The module proxies of GOPROXY, in their order. Cheap to clone; threads share it.
#[derive(Clone, Debug)]
pub struct Proxies {
    web: Arc<Web>,
    list: Arc<[Entry]>,
    private: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Off,
    Direct,
    Proxy {
        base: Url,
        /// After any error the next is asked, not only after "not found".
        on_any_error: bool,
    },
}

impl Proxies {
    /// Reads the list; nobody is spoken to yet.
    pub fn new(settings: &NetSettings, options: NetOptions) -> Result<Self, SettingsError> {
        let list = parse_list(&settings.goproxy)?;
        let web = Web::new(settings, options).map_err(SettingsError::Invalid)?;
        let private = settings.gonoproxy.as_str().into();
        Ok(Self { web: Arc::new(web), list: list.into(), private })
    }

    /// The versions that a proxy lists, sorted, without pseudo-versions.
    pub fn list(&self, module: &str) -> Result<Vec<String>, FetchError> {
        let what = module.to_owned();
        let path = format!("{}/@v/list", escaped(&what, module)?);
        let bytes = self.small(&what, module, (&path, MAX_LIST), &Meter::default(), |_| Ok(()))?;
        let mut versions: Vec<String> = String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|version| semver::is_valid(version) && !semver::is_pseudo(version))
            .map(str::to_owned)
            .collect();
        versions.sort_by(|a, b| semver::compare_total(a, b));
        Ok(versions)
    }

    /// The `.info` as it was served: a JSON object that names this version.
    pub fn info(&self, module: &str, version: &str, meter: &Meter) -> Result<Vec<u8>, FetchError> {
        let what = format!("{module}@{version}");
        let path = versioned(&what, module, version, ".info")?;
        self.small(&what, module, (&path, MAX_INFO), meter, |bytes| check_info(bytes, version))
    }

    /// The go.mod as it was served.
    pub fn go_mod(
        &self,
        module: &str,
        version: &str,
        meter: &Meter,
    ) -> Result<Vec<u8>, FetchError> {
        let what = format!("{module}@{version}");
        let path = versioned(&what, module, version, ".mod")?;
        self.small(&what, module, (&path, MAX_GO_MOD), meter, |_| Ok(()))
    }

    /// The zip, into a file open for reading and writing, over what is in it; answers its size.
    /// The meter counts bytes as they come in, so those of a try that failed too.
    pub fn zip(
        &self,
        module: &str,
        version: &str,
        into: &mut File,
        meter: &Meter,
    ) -> Result<u64, FetchError> {
        let what = format!("{module}@{version}");
        let path = versioned(&what, module, version, ".zip")?;
        self.walk(&what, module, |base| {
            let url = join(base, &path);
            let size = download(&self.web, &url, into, MAX_ZIP, meter).map_err(|error| {
                let what = what.clone();
                match error {
                    TransferError::Web(error) => fetch_error(what, error),
                    TransferError::Local(source) => FetchError::Write { what, source },
                    TransferError::Stopped => FetchError::Stopped { what },
                }
            })?;
            let head = head_of(into);
            let head = head.map_err(|source| FetchError::Write { what: what.clone(), source })?;
            if is_html(&head) {
                return Err(html(&what, redacted(&url)));
            }
            Ok(size)
        })
    }

    /// The client, for the checksum database.
    pub(crate) fn web(&self) -> &Web {
        &self.web
    }

    /// Where the list says that a checksum database is reached: through a proxy, or, for
    /// `None`, directly (`initBase` in `cmd/go/internal/modfetch/sumdb.go`).
    pub(crate) fn checksum_database(&self, name: &str) -> Result<Option<Url>, FetchError> {
        let found = self.try_each(name, |base| {
            let url = join(base, &format!("sumdb/{name}/supported"));
            let asked = self.web.small(&url, MAX_INFO, &Meter::default());
            asked
                .map(|_| join(base, &format!("sumdb/{name}")))
                .map_err(|error| fetch_error(name.to_owned(), error))
        });
        match found {
            Ok(base) => Ok(Some(base)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(FetchError::Direct { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn small(
        &self,
        what: &str,
        module: &str,
        (path, limit): (&str, u64),
        meter: &Meter,
        check: impl Fn(&[u8]) -> Result<(), String>,
    ) -> Result<Vec<u8>, FetchError> {
        self.walk(what, module, |base| {
            let url = join(base, path);
            let bytes = self.web.small(&url, limit, meter).map_err(|error| {
                // What broke off for that reason is no failure of anybody.
                if meter.stopped() {
                    return FetchError::Stopped { what: what.to_owned() };
                }
                fetch_error(what.to_owned(), error)
            })?;
            if is_html(&bytes) {
                return Err(html(what, redacted(&url)));
            }
            check(&bytes).map_err(|why| FetchError::Refused {
                what: what.to_owned(),
                url: redacted(&url),
                why,
            })?;
            Ok(bytes)
        })
    }

    /// Asks one proxy after the other for something of a module.
    fn walk<T>(
        &self,
        what: &str,
        module: &str,
        ask: impl FnMut(&Url) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        if matches_prefix(&self.private, module) {
            let why = "as GOPRIVATE or GONOPROXY says".to_owned();
            return Err(FetchError::Direct { what: what.to_owned(), why });
        }
        self.try_each(what, ask)
    }

    /// `TryProxies`, its ranking of errors included: one that says more than "not found" wins.
    fn try_each<T>(
        &self,
        what: &str,
        mut ask: impl FnMut(&Url) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let mut best: Option<FetchError> = None;
        for entry in self.list.iter() {
            let what = what.to_owned();
            let (error, on_any_error) = match entry {
                Entry::Off => (FetchError::Off { what }, false),
                Entry::Direct => {
                    let why = match &best {
                        Some(error) => format!("as GOPROXY says after: {error}"),
                        None => "as GOPROXY says".to_owned(),
                    };
                    return Err(FetchError::Direct { what, why });
                }
                Entry::Proxy { base, on_any_error } => match ask(base) {
                    Ok(found) => return Ok(found),
                    Err(error) if error.is_ours() => return Err(error),
                    Err(error) => (error, *on_any_error),
                },
            };
            let goes_on = on_any_error || error.is_not_found();
            if !error.is_not_found() || best.as_ref().is_none_or(FetchError::is_not_found) {
                best = Some(error);
            }
            if !goes_on {
                break;
            }
        }
        Err(best.unwrap_or(FetchError::Off { what: what.to_owned() }))
    }
}

/// `proxyList`.
fn parse_list(goproxy: &str) -> Result<Vec<Entry>, SettingsError> {
    if goproxy.is_empty() {
        return Err(SettingsError::NoProxy);
    }
    let mut list = Vec::new();
    for word in goproxy.split_inclusive([',', '|']) {
        let on_any_error = word.ends_with('|');
        match word.trim_end_matches([',', '|']).trim() {
            "" => {}
            "off" => {
                list.push(Entry::Off);
                return Ok(list);
            }
            "direct" => {
                list.push(Entry::Direct);
                return Ok(list);
            }
            text => list.push(Entry::Proxy { base: parse_proxy(text)?, on_any_error }),
        }
    }
    if list.is_empty() {
        let why = "GOPROXY list is not the empty string, but contains no entries";
        return Err(SettingsError::Invalid(why.to_owned()));
    }
    Ok(list)
}

/// A proxy's URL; `https` is put before what names a host and no scheme (`newProxyRepo`).
fn parse_proxy(text: &str) -> Result<Url, SettingsError> {
    let invalid = |why: &dyn fmt::Display| {
        SettingsError::Invalid(format!("GOPROXY: {}: {why}", without_password(text)))
    };
    let names_a_host = text.contains(['.', ':', '/']) && !text.contains(":/");
    let url = if names_a_host && !text.starts_with('/') {
        Url::parse(&format!("https://{text}"))
    } else {
        Url::parse(text)
    };
    let url = match url {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return Err(invalid(&"proxy URL without a scheme"));
        }
        Err(error) => return Err(invalid(&error)),
    };
    match url.scheme() {
        "http" | "https" => Ok(url),
        "file" => {
            let path_alone =
                url.query().is_none() && url.fragment().is_none() && url.host().is_none();
            if path_alone { Ok(url) } else { Err(invalid(&"file URL with more than a path")) }
        }
        _ => Err(invalid(&"the scheme of a proxy URL must be https, http or file")),
    }
}

/// For messages about URLs that cannot be taken apart.
fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://xxxxx@{rest}"),
        (None, Some((_, rest))) => format!("xxxxx@{rest}"),
        _ => text.to_owned(),
    }
}

/// A proxy's address with a path after it, which is escaped as Go escapes it (`pathEscape`).
pub(crate) fn join(base: &Url, path: &str) -> Url {
    let mut escaped = base.path().trim_end_matches('/').to_owned();
    escaped.push('/');
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+:=@/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    let mut url = base.clone();
    url.set_path(&escaped);
    url
}

fn escaped(what: &str, module: &str) -> Result<String, FetchError> {
    module_path::escape(module).ok_or_else(|| FetchError::Invalid {
        what: what.to_owned(),
        why: "not a valid module path".to_owned(),
    })
}

fn versioned(what: &str, module: &str, version: &str, suffix: &str) -> Result<String, FetchError> {
    let module = escaped(what, module)?;
    let version = module_path::escape_version(version).ok_or_else(|| FetchError::Invalid {
        what: what.to_owned(),
        why: "not a valid version".to_owned(),
    })?;
    Ok(format!("{module}/@v/{version}{suffix}"))
}

/// `Stat` in `proxy.go`: JSON, and for a canonical version nothing but that version.
fn check_info(bytes: &[u8], version: &str) -> Result<(), String> {
    let info: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(fields) = info else { return Err("not a JSON object".to_owned()) };
    // Go's decoder does not look at the case of names, and lets the last one win.
    let named = fields.iter().rfind(|(name, _)| name.eq_ignore_ascii_case("version"));
    match named.map(|(_, value)| value) {
        Some(Value::String(found)) if found == version => Ok(()),
        _ if !semver::is_canonical(version) => Ok(()),
        Some(Value::String(found)) => Err(format!("it is about {found:?}")),
        _ => Err("it names no version".to_owned()),
    }
}

/// Whether this is a web page, as a login wall or a wrong address answers.
fn is_html(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    start.first() == Some(&b'<')
}

fn html(what: &str, url: String) -> FetchError {
    let why = "it is a web page, so this is no module proxy or wants a login".to_owned();
    FetchError::Refused { what: what.to_owned(), url, why }
}

fn head_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&mut *file).take(64).read_to_end(&mut head)?;
    file.seek(SeekFrom::End(0))?;
    Ok(head)
}

pub(crate) fn fetch_error(what: String, error: WebError) -> FetchError {
    let WebError { failure, url, why, .. } = error;
    match failure {
        Failure::NotFound => FetchError::NotFound { what, url, why },
        Failure::Status | Failure::Unreachable => FetchError::Unreachable { what, url, why },
        Failure::Refused => FetchError::Refused { what, url, why },
    }
}
