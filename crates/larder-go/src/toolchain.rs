//! Which Go toolchains projects and settings select (`cmd/go/internal/toolchain/select.go`).

use crate::locate::{GoEnv, Source};
use crate::needs::ToolchainNeed;
use crate::semver::{compare_go, go_of_toolchain, is_go_language};

/// The module that toolchains are versions of.
pub const MODULE: &str = "golang.org/toolchain";

/// The toolchain `go1.22.3` out of the version `v0.0.1-go1.22.3.linux-amd64`.
pub fn name_of_version(version: &str) -> Option<&str> {
    let rest = version.strip_prefix("v0.0.1-")?;
    // The platform begins after the last dot that stands before its hyphen.
    let platform = rest.rfind('.').filter(|at| rest[*at..].contains('-'))?;
    Some(&rest[..platform]).filter(|name| go_of_toolchain(name).is_some())
}

/// Whether this version of [`MODULE`] is the toolchain of this name, on whatever platform.
pub(crate) fn provides(version: &str, name: &str) -> bool {
    name_of_version(version) == Some(name)
}

/// Selects toolchains as the go command does at its start.
///
/// A setting of `local` or `path` in this shell does not keep another shell from switching, so
/// the lines of go.mod count all the same.
pub(crate) struct Selector<'a> {
    /// The version that must be exceeded before another toolchain is taken, where it is known.
    least: Option<&'a str>,
    /// What the setting asks for at least.
    set: Option<&'a str>,
    source: String,
}

impl<'a> Selector<'a> {
    pub(crate) fn new(env: &'a GoEnv) -> Self {
        let setting = env.gotoolchain.value.as_str();
        let minimum = setting.split('+').next().unwrap_or_default();
        let set = Some(minimum).filter(|name| go_of_toolchain(name).is_some());
        let source = match &env.gotoolchain.source {
            Source::Environment => format!("GOTOOLCHAIN={setting} in the environment"),
            source => format!("GOTOOLCHAIN={setting} in {source}"),
        };
        let least = set.and_then(go_of_toolchain).or(env.local_go_version.as_deref());
        Self { least, set, source }
    }

    /// The toolchain that the setting itself names.
    pub(crate) fn by_setting(&self) -> Option<ToolchainNeed> {
        self.set.map(|name| ToolchainNeed { name: name.to_owned(), by: self.source.clone() })
    }

    /// What the lines of a go.mod or go.work select besides the installed one. The go command
    /// takes the newer of the two lines; the older one is not looked for.
    pub(crate) fn select(&self, go: Option<&str>, toolchain: Option<&str>) -> Vec<String> {
        if toolchain == Some("default") {
            return Vec::new();
        }
        let exceeds =
            |version: &str| self.least.is_none_or(|least| compare_go(version, least).is_gt());
        let named = toolchain
            .and_then(|name| Some((name.to_owned(), go_of_toolchain(name)?)))
            .filter(|(_, version)| exceeds(version));
        let lined = go.filter(|go| compare_go(go, "1.21").is_ge() && exceeds(go)).map(|go| {
            // The first release of a language version ends in .0.
            let release = if is_go_language(go) { ".0" } else { "" };
            (format!("go{go}{release}"), go)
        });
        match (named, lined) {
            (Some((name, version)), Some((_, go))) if compare_go(go, version).is_le() => vec![name],
            (_, Some((name, _))) | (Some((name, _)), None) => vec![name],
            (None, None) => Vec::new(),
        }
    }
}

/// One entry a toolchain out of a sorted list: the first who selects it, and how many more.
pub(crate) fn merge(sorted: Vec<ToolchainNeed>) -> Vec<ToolchainNeed> {
    let mut merged: Vec<(ToolchainNeed, usize)> = Vec::new();
    for need in sorted {
        match merged.last_mut() {
            Some((last, more)) if last.name == need.name => {
                *more += usize::from(last.by != need.by);
            }
            _ => merged.push((need, 0)),
        }
    }
    let phrase = |(need, more): (ToolchainNeed, usize)| match more {
        0 => need,
        1 => ToolchainNeed { by: format!("{} and 1 more project", need.by), ..need },
        more => ToolchainNeed { by: format!("{} and {more} more projects", need.by), ..need },
    };
    merged.into_iter().map(phrase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_versions() {
        for (version, want) in [
            ("v0.0.1-go1.22.3.linux-amd64", Some("go1.22.3")),
            ("v0.0.1-go1.21rc2.windows-arm64", Some("go1.21rc2")),
            ("v0.0.1-go1.21.1-custom.linux-amd64", Some("go1.21.1-custom")),
            ("v0.0.1-go1.22.3", None),
            ("v1.0.0", None),
        ] {
            assert_eq!(name_of_version(version), want, "{version}");
        }
    }

    #[test]
    fn the_newer_line_is_selected() {
        let selector = |least| Selector { least, set: None, source: String::new() };
        for (least, go, toolchain, want) in [
            (Some("1.22.0"), Some("1.21"), Some("go1.21.5"), None),
            (Some("1.22.0"), Some("1.21"), Some("go1.23.1"), Some("go1.23.1")),
            (Some("1.22.0"), Some("1.24"), Some("go1.23.1"), Some("go1.24.0")),
            (Some("1.22.0"), Some("1.24.0"), Some("go1.24.0-corp"), Some("go1.24.0-corp")),
            (Some("1.22.0"), Some("1.24rc1"), None, Some("go1.24rc1")),
            (Some("1.22.0"), Some("1.24"), Some("default"), None),
            (None, Some("1.20"), None, None),
            (None, Some("1.21"), None, Some("go1.21.0")),
        ] {
            let got = selector(least).select(go, toolchain);
            assert_eq!(got.first().map(String::as_str), want, "{go:?} {toolchain:?}");
        }
    }
}
