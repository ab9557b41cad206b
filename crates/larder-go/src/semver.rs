//! Versions of modules (semantic versions as Go orders them) and of Go itself.
//!
//! Module versions follow `golang.org/x/mod/semver` and `module`: the `v` is required, `v1` and
//! `v1.2` are short forms, build metadata does not count in comparisons. Go's own versions
//! (`1.21rc2`, `1.21.0`) follow `internal/gover`, which is not semantic versioning. Nothing here
//! allocates but what returns a `String`.

use std::cmp::Ordering;

/// A semantic version in its parts, borrowed from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Semver<'a> {
    major: &'a str,
    minor: &'a str,
    patch: &'a str,
    /// Parts that a short form leaves out.
    short: &'static str,
    pre: &'a str,
    build: &'a str,
}

impl<'a> Semver<'a> {
    /// Reads `vMAJOR[.MINOR[.PATCH[-PRERELEASE][+BUILD]]]`; anything else is `None`.
    pub fn parse(version: &'a str) -> Option<Self> {
        let (major, rest) = number(version.strip_prefix('v')?)?;
        let blank = Self { major, minor: "0", patch: "0", short: "", pre: "", build: "" };
        if rest.is_empty() {
            return Some(Self { short: ".0.0", ..blank });
        }
        let (minor, rest) = number(rest.strip_prefix('.')?)?;
        if rest.is_empty() {
            return Some(Self { minor, short: ".0", ..blank });
        }
        let (patch, rest) = number(rest.strip_prefix('.')?)?;
        let (pre, build) = match rest.find('+') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let identifiers_ok = |text: &str, numeric_strict: bool| {
            text.is_empty()
                || text[1..].split('.').all(|id| {
                    !id.is_empty()
                        && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                        && !(numeric_strict && id.len() > 1 && id.starts_with('0') && is_number(id))
                })
        };
        let ok = (pre.is_empty() || pre.starts_with('-'))
            && identifiers_ok(pre, true)
            && identifiers_ok(build, false);
        ok.then_some(Self { minor, patch, pre, build, ..blank })
    }

    /// With its `v`, as in `v2`.
    pub fn major(&self) -> String {
        format!("v{}", self.major)
    }

    /// With its hyphen, as in `-rc.1`; empty where it is a release.
    pub fn prerelease(&self) -> &'a str {
        self.pre
    }

    /// With its plus sign, as in `+incompatible`.
    pub fn build(&self) -> &'a str {
        self.build
    }
}

impl Ord for Semver<'_> {
    /// Precedence; build metadata is left out, so equal here does not mean the same text.
    fn cmp(&self, other: &Self) -> Ordering {
        compare_numbers(self.major, other.major)
            .then_with(|| compare_numbers(self.minor, other.minor))
            .then_with(|| compare_numbers(self.patch, other.patch))
            .then_with(|| compare_prereleases(self.pre, other.pre))
    }
}

impl PartialOrd for Semver<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Orders two versions; what is no version comes before all that are
/// (`golang.org/x/mod/semver`, `Compare`).
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (Semver::parse(a), Semver::parse(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// As [`compare`], with ties broken by the text, so that sorting is total.
pub fn compare_total(a: &str, b: &str) -> Ordering {
    compare(a, b).then_with(|| a.cmp(b))
}

/// Whether this is a semantic version, short forms too.
pub fn is_valid(version: &str) -> bool {
    Semver::parse(version).is_some()
}

/// The form in which a version stands in go.mod files and in the cache: all three numbers, no
/// build metadata but `+incompatible` (`module.CanonicalVersion`).
pub fn canonical(version: &str) -> Option<String> {
    let parsed = Semver::parse(version)?;
    let bare = &version[..version.len() - parsed.build.len()];
    let build = if parsed.build == "+incompatible" { parsed.build } else { "" };
    Some(format!("{bare}{}{build}", parsed.short))
}

/// Whether the version already is in its canonical form.
pub fn is_canonical(version: &str) -> bool {
    Semver::parse(version)
        .is_some_and(|v| v.short.is_empty() && matches!(v.build, "" | "+incompatible"))
}

/// Whether the version names a commit: `v0.0.0-20191109021931-daa7c04131f5` and its kin
/// (`module.IsPseudoVersion`).
pub fn is_pseudo(version: &str) -> bool {
    if version.matches('-').count() < 2 {
        return false;
    }
    let Some(parsed) = Semver::parse(version) else { return false };
    // The last two parts: 14 digits of time, and the commit. The time follows a hyphen (vX.0.0-)
    // or a dot after a zero (vX.Y.Z-0. and vX.Y.Z-pre.0.).
    let Some((before, commit)) = parsed.pre.rsplit_once('-') else { return false };
    if commit.is_empty() || !commit.bytes().all(|c| c.is_ascii_alphanumeric()) || before.len() < 14
    {
        return false;
    }
    let Some((head, time)) = before.split_at_checked(before.len() - 14) else { return false };
    let lead_ok = head == "-" && parsed.minor == "0" && parsed.patch == "0"
        || head == "-0."
        || head.ends_with(".0.");
    is_number(time) && lead_ok
}

/// Orders two versions of Go, without the word `go` (`internal/gover`, `Compare`):
/// `1.21 < 1.21rc1 < 1.21.0`, while before 1.21 `1.20` is `1.20.0`. Malformed ones come first.
pub fn compare_go(a: &str, b: &str) -> Ordering {
    GoVersion::parse(a).unwrap_or_default().cmp(&GoVersion::parse(b).unwrap_or_default())
}

/// Whether this names a version of Go, as `1.21`, `1.21rc2` or `1.21.0`.
pub fn is_go(version: &str) -> bool {
    GoVersion::parse(version).is_some()
}

/// Whether this names a language version (`1.21`) and no release (`gover.IsLang`). Before 1.21
/// the two were the same, and that counts as a release.
pub fn is_go_language(version: &str) -> bool {
    GoVersion::parse(version).is_some_and(|v| v.patch.is_empty() && v.kind.is_empty())
}

/// `1.21.3` out of the toolchain's name `go1.21.3` or `go1.21.3-suffix`
/// (`gover.FromToolchain`).
pub fn go_of_toolchain(name: &str) -> Option<&str> {
    if name.contains(['/', '\\']) {
        return None;
    }
    let version = name.strip_prefix("go")?;
    let version = version.split([' ', '\t', '-']).next().unwrap_or_default();
    is_go(version).then_some(version)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct GoVersion<'a> {
    major: &'a str,
    minor: &'a str,
    patch: &'a str,
    kind: &'a str,
    pre: &'a str,
}

impl<'a> GoVersion<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (major, rest) = number(text)?;
        if rest.is_empty() {
            return Some(Self { major, minor: "0", patch: "0", ..Self::default() });
        }
        let (minor, rest) = number(rest.strip_prefix('.')?)?;
        let version = Self { major, minor, ..Self::default() };
        if rest.is_empty() {
            // From 1.21 on, a missing patch is the language version and not the first release.
            let patch = if compare_numbers(minor, "21").is_lt() { "0" } else { "" };
            return Some(Self { patch, ..version });
        }
        if let Some(rest) = rest.strip_prefix('.') {
            let (patch, rest) = number(rest)?;
            return rest.is_empty().then_some(Self { patch, ..version });
        }
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let (kind, pre) = rest.split_at(letters);
        if kind.is_empty() {
            return None;
        }
        if pre.is_empty() {
            return Some(Self { kind, ..version });
        }
        let (pre, rest) = number(pre)?;
        rest.is_empty().then_some(Self { kind, pre, ..version })
    }
}

impl Ord for GoVersion<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_numbers(self.major, other.major)
            .then_with(|| compare_numbers(self.minor, other.minor))
            .then_with(|| compare_numbers(self.patch, other.patch))
            .then_with(|| self.kind.cmp(other.kind))
            .then_with(|| compare_numbers(self.pre, other.pre))
    }
}

impl PartialOrd for GoVersion<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A decimal number without needless zeros, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    (digits > 0 && (digits == 1 || !number.starts_with('0'))).then_some((number, rest))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit())
}

/// Numbers of any length: the longer is larger, as there are no leading zeros.
fn compare_numbers(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.is_empty().cmp(&b.is_empty()); // a release comes after its pre-releases
    }
    let (mut left, mut right) = (a[1..].split('.'), b[1..].split('.'));
    loop {
        let (x, y) = match (left.next(), right.next()) {
            (Some(x), Some(y)) => (x, y),
            (x, y) => return x.is_some().cmp(&y.is_some()),
        };
        let order = match (is_number(x), is_number(y)) {
            (true, true) => compare_numbers(x, y),
            (x_number, y_number) => y_number.cmp(&x_number).then_with(|| x.cmp(y)),
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_in_gos_order() {
        let ordered = [
            "bad",
            "v0.0.0-20191109021931-daa7c04131f5",
            "v0.0.1",
            "v1.0.0-alpha",
            "v1.0.0-alpha.1",
            "v1.0.0-alpha.beta",
            "v1.0.0-beta",
            "v1.0.0-beta.2",
            "v1.0.0-beta.11",
            "v1.0.0-rc.1",
            "v1.0.0",
            "v1.0.1-0.20200101000000-abcdefabcdef",
            "v1.0.1",
            "v1.9.0",
            "v1.10.0",
            "v2.0.0+incompatible",
            "v10.0.0",
            "v18446744073709551616.0.0",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
        assert_eq!(compare("v1", "v1.0.0"), Ordering::Equal);
        assert_eq!(compare("v1.2.3+a", "v1.2.3+b"), Ordering::Equal);
        assert_eq!(compare_total("v1.2.3+a", "v1.2.3+b"), Ordering::Less);
    }

    #[test]
    fn canonical_forms() {
        for (version, want) in [
            ("v1", Some("v1.0.0")),
            ("v1.2", Some("v1.2.0")),
            ("v1.2.3+meta", Some("v1.2.3")),
            ("v2.0.0+incompatible", Some("v2.0.0+incompatible")),
            ("v1.2.3-pre", Some("v1.2.3-pre")),
            ("1.2.3", None),
            ("v1.02.3", None),
            ("v1.2.3-01", None),
            ("v1.2.3-", None),
            ("v1.2-pre", None),
            ("v1.2.3+", None),
            ("master", None),
        ] {
            assert_eq!(canonical(version).as_deref(), want, "{version}");
            assert_eq!(is_canonical(version), want == Some(version), "{version}");
        }
    }

    #[test]
    fn pseudo_versions_are_told() {
        for yes in [
            "v0.0.0-20191109021931-daa7c04131f5",
            "v1.2.4-0.20191109021931-daa7c04131f5",
            "v1.2.3-pre.0.20191109021931-daa7c04131f5",
            "v2.0.0-20191109021931-daa7c04131f5+incompatible",
        ] {
            assert!(is_pseudo(yes), "{yes}");
        }
        for no in
            ["v1.2.3", "v1.2.3-pre-x", "v1.2.3-20191109021931-daa7c04131f5", "v0.0.0-2019-daa7"]
        {
            assert!(!is_pseudo(no), "{no}");
        }
    }

    #[test]
    fn go_versions_stand_in_order() {
        let ordered = [
            "x",
            "1",
            "1.5",
            "1.6",
            "1.6.1",
            "1.10",
            "1.19alpha3",
            "1.19beta2",
            "1.19rc1",
            "1.19rc2",
            "1.19",
            "1.19.1",
            "1.21",
            "1.21rc1",
            "1.21rc2",
            "1.21.0",
            "1.21.10",
            "1.22",
            "1.99999999999999998",
            "1.99999999999999999",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare_go(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
        assert_eq!(compare_go("1.20", "1.20.0"), Ordering::Equal);
        assert!(is_go_language("1.22") && !is_go_language("1.20") && !is_go_language("1.22.0"));
        assert_eq!(go_of_toolchain("go1.2.3-bigcorp more"), Some("1.2.3"));
        assert_eq!(go_of_toolchain("gccgo-go1.23rc4"), None);
        assert_eq!(go_of_toolchain("go1.2.3+bigcorp"), None);
    }
}
