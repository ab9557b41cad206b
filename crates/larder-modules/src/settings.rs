//! The settings of the go command that decide whom we speak to, and with what credentials.
//!
//! Each comes from the first of the environment, the file of `go env -w` and `$GOROOT/go.env`
//! (`cmd/go/internal/cfg/cfg.go`); nothing has a default of our own but GOAUTH, which is `netrc`
//! there too. What is missing becomes an error only where it is needed.

use std::path::PathBuf;

use larder_go::locate::{Environment, Os, settings};

use crate::patterns::matches_prefix;

/// The module of Go's own toolchains, which no go.sum can list.
pub(crate) const TOOLCHAIN: &str = "golang.org/toolchain";

/// Settings of the network, as the go command reads them. An empty text counts as not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetSettings {
    /// The list of proxies.
    pub goproxy: String,
    /// The checksum database: name or key, and where it is.
    pub gosumdb: String,
    /// Patterns of paths that are private.
    pub goprivate: String,
    /// Patterns of paths that no proxy is asked for; GOPRIVATE where it is not set.
    pub gonoproxy: String,
    /// Patterns of paths that no checksum database is asked for; GOPRIVATE where it is not set.
    pub gonosumdb: String,
    /// Patterns of paths that may be fetched insecurely, which matters to `direct` alone.
    pub goinsecure: String,
    /// Where credentials come from; `netrc` where it is not set.
    pub goauth: String,
    /// Which version control may be used, which matters to `direct` alone.
    pub govcs: String,
    /// The file of credentials, whether or not it is there.
    pub netrc: Option<PathBuf>,
    /// The HTTP proxy for `http` URLs.
    pub http_proxy: String,
    /// The HTTP proxy for `https` URLs.
    pub https_proxy: String,
    /// Hosts that no HTTP proxy is used for.
    pub no_proxy: String,
}

impl NetSettings {
    /// Reads what the go command would read.
    pub fn from_env(env: &Environment) -> Self {
        let names = [
            "GOPROXY",
            "GOSUMDB",
            "GOPRIVATE",
            "GONOPROXY",
            "GONOSUMDB",
            "GOINSECURE",
            "GOAUTH",
            "GOVCS",
        ];
        let [goproxy, gosumdb, goprivate, gonoproxy, gonosumdb, goinsecure, goauth, govcs] =
            settings(env, names).map(|text| text.value);
        let or = |value: String, default: &str| {
            if value.is_empty() { default.to_owned() } else { value }
        };
        Self {
            gonoproxy: or(gonoproxy, &goprivate),
            gonosumdb: or(gonosumdb, &goprivate),
            goauth: or(goauth, "netrc"),
            goproxy,
            gosumdb,
            goprivate,
            goinsecure,
            govcs,
            netrc: find_netrc(env),
            http_proxy: either_case(env, "HTTP_PROXY"),
            https_proxy: either_case(env, "HTTPS_PROXY"),
            no_proxy: either_case(env, "NO_PROXY"),
        }
    }

    /// Whether this module's hashes must be in the checksum database
    /// (`cmd/go/internal/modfetch/sumdb.go`, `useSumDB`): toolchains always, unless they come from
    /// one local folder; others as GOSUMDB and GONOSUMDB say.
    pub fn needs_checksum_database(&self, module: &str) -> bool {
        if module == TOOLCHAIN {
            return !self.goproxy.starts_with("file://") || self.goproxy.contains([',', '|']);
        }
        self.gosumdb != "off" && !matches_prefix(&self.gonosumdb, module)
    }
}

/// `netrcPath` in `cmd/go/internal/auth/netrc.go`.
fn find_netrc(env: &Environment) -> Option<PathBuf> {
    if let Some(path) = env.var("NETRC") {
        return Some(path.into());
    }
    let home = env.home()?;
    let legacy = home.join("_netrc");
    if env.os() == Os::Windows && legacy.exists() {
        return Some(legacy);
    }
    Some(home.join(".netrc"))
}

/// `HTTP_PROXY`, or `http_proxy` where that is not set (`golang.org/x/net/http/httpproxy`).
fn either_case(env: &Environment, name: &str) -> String {
    let value = env.var(name).or_else(|| env.var(&name.to_ascii_lowercase()));
    value.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> NetSettings {
        let none = [("GOENV", "off"), ("GOROOT", "/nowhere"), ("HOME", "/home/me")];
        NetSettings::from_env(&Environment::new(Os::Unix, none.iter().chain(vars).copied()))
    }

    #[test]
    fn private_paths_are_the_default_of_both_lists() {
        let settings = read(&[("GOPRIVATE", "corp.example.com"), ("GONOSUMDB", "none")]);
        assert_eq!(settings.gonoproxy, "corp.example.com");
        assert_eq!(settings.gonosumdb, "none");
        assert_eq!(settings.goauth, "netrc");
        assert_eq!(settings.netrc.as_deref(), Some("/home/me/.netrc".as_ref()));
    }

    #[test]
    fn the_file_of_go_env_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(&file, "GOPROXY=https://p.example\nGOSUMDB=off\n").unwrap();
        let settings = read(&[("GOENV", file.to_str().unwrap()), ("GOSUMDB", "x")]);
        assert_eq!(settings.goproxy, "https://p.example");
        assert_eq!(settings.gosumdb, "x");
    }

    #[test]
    fn who_needs_the_checksum_database() {
        let settings = read(&[("GOPRIVATE", "corp.example.com"), ("GOPROXY", "https://p")]);
        assert!(settings.needs_checksum_database("example.com/a"));
        assert!(!settings.needs_checksum_database("corp.example.com/a"));
        let off = read(&[("GOSUMDB", "off"), ("GOPROXY", "https://p")]);
        assert!(!off.needs_checksum_database("example.com/a"));
        assert!(off.needs_checksum_database(TOOLCHAIN));
        let local = read(&[("GOPROXY", "file:///pack")]);
        assert!(!local.needs_checksum_database(TOOLCHAIN));
        assert!(read(&[("GOPROXY", "file:///a,off")]).needs_checksum_database(TOOLCHAIN));
    }
}
