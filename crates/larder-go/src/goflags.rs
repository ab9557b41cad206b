//! GOFLAGS: the flags that every go command gets (`cmd/go/internal/base/goflags.go`).
//!
//! Each is one word, `-name=value`; a word in quotes may hold spaces. Where a flag stands twice
//! the last one counts.

/// The words, without their quotes (`cmd/internal/quoted`, `Split`).
fn words(goflags: &str) -> impl Iterator<Item = &str> {
    let mut rest = goflags.trim_start();
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (word, after) = if matches!(first, '\'' | '"') {
            let inside = &rest[1..];
            // One without its end is refused by Go.
            inside.split_once(first).unwrap_or((inside, ""))
        } else {
            rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
        };
        rest = after.trim_start();
        Some(word)
    })
}

/// The value of `-name=value`.
pub fn value<'a>(goflags: &'a str, name: &str) -> Option<&'a str> {
    words(goflags).filter_map(|word| flag(word, name)?.strip_prefix('=')).last()
}

/// Whether `-name` is switched on.
pub fn is_set(goflags: &str, name: &str) -> bool {
    let on = |text: &str| match text.strip_prefix('=') {
        None => text.is_empty().then_some(true),
        // What `strconv.ParseBool` takes for yes and no.
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Some(true),
        Some(_) => Some(false),
    };
    words(goflags).filter_map(|word| on(flag(word, name)?)).last().unwrap_or(false)
}

/// What comes after the name, where a word begins with it.
fn flag<'a>(word: &'a str, name: &str) -> Option<&'a str> {
    word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?.strip_prefix(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts() {
        assert_eq!(value("-v -mod=mod '-mod=vendor' -x", "mod"), Some("vendor"));
        assert_eq!(value("--mod=readonly", "mod"), Some("readonly"));
        assert_eq!(value("-modcacherw -modfile=x.mod", "mod"), None);
        assert_eq!(value("-modcacherw  \"-modfile=a b.mod\" -x", "modfile"), Some("a b.mod"));
        assert_eq!(value("", "mod"), None);
    }

    #[test]
    fn switches_are_on_or_off() {
        assert!(is_set("-modcacherw", "modcacherw") && is_set("--modcacherw=true", "modcacherw"));
        assert!(is_set("-v -modcacherw=1", "modcacherw"));
        assert!(!is_set("-modcacherw -modcacherw=false", "modcacherw"));
        assert!(!is_set("-modcacherwx", "modcacherw") && !is_set("", "modcacherw"));
    }
}
