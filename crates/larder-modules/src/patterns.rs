//! Lists of module path patterns, as in GOPRIVATE, GONOPROXY, GONOSUMDB and GOINSECURE.
//!
//! A list has globs between commas; a glob of so many elements is held against as many first
//! elements of the path (`golang.org/x/mod/module`, `MatchPrefixPatterns`). A malformed glob
//! matches nothing.

/// Whether one of the globs matches a prefix of the path.
pub fn matches_prefix(globs: &str, path: &str) -> bool {
    globs.split(',').map(|glob| glob.strip_suffix('/').unwrap_or(glob)).any(|glob| {
        !glob.is_empty()
            && first_elements(path, glob.matches('/').count() + 1)
                .is_some_and(|prefix| glob_matches(glob, prefix).unwrap_or(false))
    })
}

/// The path's first `count` elements; `None` where it has fewer.
fn first_elements(path: &str, count: usize) -> Option<&str> {
    match path.match_indices('/').nth(count - 1) {
        Some((end, _)) => Some(&path[..end]),
        None => (path.matches('/').count() + 1 == count).then_some(path),
    }
}

/// Go's `path.Match`: `*`, `?`, `[a-z]`, `[^a-z]` and `\` before a character, none of them
/// matching a slash; `None` for a malformed pattern, as far as it is looked at.
fn glob_matches(pattern: &str, name: &str) -> Option<bool> {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where to go back to: after the last star, and the character that it then swallows.
    let mut star: Option<(usize, usize)> = None;
    let (mut at, mut seen) = (0, 0);
    loop {
        if let Some('*') = pattern.get(at) {
            at += 1;
            star = Some((at, seen));
            continue;
        }
        if at == pattern.len() && seen == name.len() {
            return Some(true);
        }
        if at < pattern.len() && seen < name.len() {
            let (next, matched) = match_one(&pattern, at, name[seen])?;
            if matched {
                (at, seen) = (next, seen + 1);
                continue;
            }
        } else if at < pattern.len() {
            // What is left must be well formed even where it has nothing to match.
            match_one(&pattern, at, '\0')?;
        }
        match star {
            Some((after, from)) if from < name.len() && name[from] != '/' => {
                star = Some((after, from + 1));
                (at, seen) = (after, from + 1);
            }
            _ => return Some(false),
        }
    }
}

/// One element of a pattern other than a star: where the next begins, and whether it matches.
fn match_one(pattern: &[char], at: usize, c: char) -> Option<(usize, bool)> {
    match pattern[at] {
        '?' => Some((at + 1, c != '/')),
        '[' => match_class(pattern, at + 1, c),
        '\\' => Some((at + 2, *pattern.get(at + 1)? == c)),
        plain => Some((at + 1, plain == c)),
    }
}

/// A class, from after its opening bracket.
fn match_class(pattern: &[char], mut at: usize, c: char) -> Option<(usize, bool)> {
    let negated = pattern.get(at) == Some(&'^');
    at += usize::from(negated);
    let (mut matched, mut ranges) = (false, 0);
    loop {
        if pattern.get(at) == Some(&']') && ranges > 0 {
            return Some((at + 1, matched != negated));
        }
        let (low, next) = class_char(pattern, at)?;
        at = next;
        let mut high = low;
        if pattern.get(at) == Some(&'-') {
            (high, at) = class_char(pattern, at + 1)?;
        }
        matched |= low <= c && c <= high;
        ranges += 1;
    }
}

fn class_char(pattern: &[char], at: usize) -> Option<(char, usize)> {
    match pattern.get(at)? {
        '-' | ']' => None,
        '\\' => Some((*pattern.get(at + 1)?, at + 2)),
        plain => Some((*plain, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `module_test.go` (`TestMatchPrefixPatterns`) in our own words, and more.
    #[test]
    fn globs_match_prefixes_of_paths() {
        for (globs, path, matched) in [
            ("*/quote", "rsc.io/quote", true),
            ("*/quote", "rsc.io/quote/v3", true),
            ("*/quote", "rsc.io/other", false),
            ("rsc.io", "rsc.io/quote", true),
            ("rsc.io/quote", "rsc.io", false),
            ("rsc.io/", "rsc.io/quote", true),
            ("*.corp.example.com", "git.corp.example.com/a/b", true),
            ("*.corp.example.com", "corp.example.com/a", false),
            ("a,b,*.c", "x.c/y", true),
            ("", "x.c", false),
            (",,", "x.c", false),
            ("*", "anything.at/all", true),
            ("*/*", "one", false),
            ("v?.x", "v1.x/y", true),
            ("v[0-3].x", "v2.x", true),
            ("v[^0-3].x", "v2.x", false),
            ("v[^0-3].x", "v5.x", true),
            (r"v\*.x", "v*.x", true),
            (r"v\*.x", "v1.x", false),
            ("none", "example.com/a", false),
            ("[", "[", false),
            ("[a", "a", false),
            ("[]a]", "a", false),
            ("a[", "a", false),
            ("*b*c", "aXbYc", true),
            ("*b*c", "aXbY", false),
        ] {
            assert_eq!(matches_prefix(globs, path), matched, "{globs:?} {path:?}");
        }
    }

    #[test]
    fn a_star_does_not_cross_a_slash_and_does_not_explode() {
        assert!(!matches_prefix("a*b", "a/b"));
        let stars = "*a".repeat(200);
        assert!(!matches_prefix(&stars, &"a".repeat(150)));
    }
}
