//! Names of caches as they are typed: `build`, `mod`, …, and `go` for all of Go's but `sumdb`.

use larder_core::CacheKind;

use crate::exit::CliError;
use crate::redis_target::is_redis;
use crate::settings_keys::nearest;

/// The caches of these names, each once, in the order of the screens.
pub fn parse(names: &[String]) -> Result<Vec<CacheKind>, CliError> {
    let mut caches = Vec::new();
    for name in names {
        if name == "go" {
            caches.extend(CacheKind::GO);
        } else {
            caches.push(name.parse().map_err(|_| unknown(name))?);
        }
    }
    caches.sort_unstable();
    caches.dedup();
    Ok(caches)
}

/// What `prune` looks at: those of these names, or every cache of `go` that can be pruned.
pub fn parse_for_prune(names: &[String]) -> Result<Vec<CacheKind>, CliError> {
    for (kind, why) in [
        (CacheKind::Test, "Go keeps test results in the build cache and expires them by a stamp"),
        (CacheKind::Sumdb, "the checksum database's tiles never go out of use"),
    ] {
        if names.iter().any(|name| name == kind.name()) {
            let what = format!("{kind} cannot be pruned: {why}");
            return Err(
                CliError::usage(what).hint(format!("to remove all of it: larder clean {kind}"))
            );
        }
    }
    let all = ["go".to_owned()];
    let mut caches = parse(if names.is_empty() { &all } else { names })?;
    caches.retain(|kind| *kind != CacheKind::Test);
    Ok(caches)
}

fn unknown(name: &str) -> CliError {
    // A URL may carry a password, so it is never repeated.
    if is_redis(name) {
        let shown = if name.contains("://") { "a Redis URL" } else { name };
        let what = format!("this looks at Go's caches only, and {shown} is none");
        return CliError::usage(what).hint(
            "of a Redis there are larder status, du, clean, expire, prune, audit and slowlog",
        );
    }
    let names = CacheKind::ALL.iter().map(|kind| kind.name()).chain(["go"]);
    let guess = nearest(name, names).or_else(|| synonym(name));
    let guess = guess.map_or_else(String::new, |guess| format!("; did you mean {guess}?"));
    CliError::usage(format!("no cache is named {name:?}{guess}")).hint(list())
}

/// What people call them elsewhere.
fn synonym(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "gocache" | "cache" | "go-build" => Some("build"),
        "gomodcache" | "modcache" | "module" | "modules" | "pkg" => Some("mod"),
        "testcache" => Some("test"),
        "fuzzcache" => Some("fuzz"),
        "git" | "repository" | "repositories" => Some("vcs"),
        "all" => Some("go"),
        _ => None,
    }
}

fn list() -> String {
    let names: Vec<&str> = CacheKind::ALL.iter().map(|kind| kind.name()).collect();
    format!("caches are {}; go means all of them but sumdb", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn go_is_every_cache_but_sumdb_and_each_comes_once() {
        assert_eq!(parse(&names("mod go build")).unwrap(), CacheKind::GO);
        assert_eq!(parse(&names("sumdb mod")).unwrap(), [CacheKind::Mod, CacheKind::Sumdb]);
        assert!(!parse_for_prune(&[]).unwrap().contains(&CacheKind::Test));
    }

    #[test]
    fn a_wrong_name_gets_the_right_one_and_the_list() {
        let error = parse(&names("biuld")).unwrap_err();
        assert_eq!(error.what, "no cache is named \"biuld\"; did you mean build?");
        assert!(error.hint.unwrap().contains("toolchain"));
        assert!(parse(&names("modcache")).unwrap_err().what.ends_with("did you mean mod?"));
        assert!(parse(&names("xyzzy")).unwrap_err().what.ends_with("\"xyzzy\""));
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = parse(&names("redis://:secret@host/0")).unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}
