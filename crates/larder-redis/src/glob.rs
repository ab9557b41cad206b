//! Redis's patterns on bytes, as `SCAN … MATCH` reads them
//! (<https://redis.io/docs/latest/commands/keys/>; `util.c`, `stringmatchlen`), in time that is
//! linear in the key but for stars.

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: Vec<u8>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `*`, however many of them.
    Star,
    /// `?`.
    One,
    /// A byte that stands for itself.
    Byte(u8),
    /// `[a-z]`, `[^a-z]`.
    Class { not: bool, ranges: Vec<(i8, i8)> },
}

impl Part {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Star => false,
            Self::One => true,
            Self::Byte(own) => *own == byte,
            Self::Class { not, ranges } => {
                let byte = byte.cast_signed();
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&byte)) != *not
            }
        }
    }
}

impl Glob {
    /// Reads a pattern; there is none that cannot be read.
    pub fn new(pattern: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            let part = match (first, after.first()) {
                (b'*', _) => Part::Star,
                (b'?', _) => Part::One,
                (b'[', _) => class(&mut rest),
                (b'\\', Some(&next)) => {
                    rest = &after[1..];
                    Part::Byte(next)
                }
                (byte, _) => Part::Byte(byte),
            };
            if part != Part::Star || parts.last() != Some(&Part::Star) {
                parts.push(part);
            }
        }
        Self { pattern: pattern.to_vec(), parts }
    }

    /// As it was typed.
    pub fn pattern(&self) -> &[u8] {
        &self.pattern
    }

    /// Whether every key matches.
    pub fn matches_everything(&self) -> bool {
        self.parts == [Part::Star]
    }

    /// Whether this key matches.
    pub fn matches(&self, key: &[u8]) -> bool {
        // The server never compares an empty key with a pattern of several stars.
        if key.is_empty() {
            return self.pattern.is_empty() || self.pattern == b"*";
        }
        let (mut part, mut at) = (0, 0);
        // Where to go on if the last star has to take one more byte.
        let mut star: Option<(usize, usize)> = None;
        while at < key.len() {
            match self.parts.get(part) {
                Some(Part::Star) => {
                    star = Some((part + 1, at));
                    part += 1;
                }
                Some(other) if other.fits(key[at]) => {
                    part += 1;
                    at += 1;
                }
                _ => {
                    let Some((after, taken)) = star else { return false };
                    star = Some((after, taken + 1));
                    part = after;
                    at = taken + 1;
                }
            }
        }
        self.parts[part.min(self.parts.len())..].iter().all(|part| *part == Part::Star)
    }
}

/// What follows `[`, up to its `]` or to the end.
fn class(rest: &mut &[u8]) -> Part {
    let not = rest.first() == Some(&b'^');
    if not {
        *rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        let (range, taken) = match **rest {
            [] => break,
            [b'\\', byte, ..] => ((byte.cast_signed(), byte.cast_signed()), 2),
            [b']', ..] => {
                *rest = &rest[1..];
                break;
            }
            // The server compares signed characters: bytes above 127 come before all others.
            [from, b'-', to, ..] => {
                let (from, to) = (from.cast_signed(), to.cast_signed());
                ((from.min(to), from.max(to)), 3)
            }
            [byte, ..] => ((byte.cast_signed(), byte.cast_signed()), 1),
        };
        ranges.push(range);
        *rest = &rest[taken..];
    }
    Part::Class { not, ranges }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_of_the_manual() {
        for (pattern, yes, no) in [
            ("h?llo", &["hello", "hallo"][..], &["hllo", "heello"][..]),
            ("h*llo", &["hllo", "heeeello"], &["hell"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo"]),
            ("h[^e]llo", &["hallo", "hbllo"], &["hello"]),
            ("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]),
            ("h[b-a]llo", &["hallo"], &["hcllo"]),
            ("a\\*b", &["a*b"], &["axb"]),
            ("a\\", &["a\\"], &["a"]),
            ("[ab", &["a", "b"], &["c", "ab"]),
            ("*a*b", &["ab", "xaxb", "aabb"], &["ba", "abx"]),
            ("", &[""], &["a"]),
        ] {
            let glob = Glob::new(pattern.as_bytes());
            for (keys, matches) in [(yes, true), (no, false)] {
                for key in keys {
                    assert_eq!(glob.matches(key.as_bytes()), matches, "{pattern} {key}");
                }
            }
        }
        assert!(Glob::new(b"**").matches_everything() && !Glob::new(b"*a").matches_everything());
    }

    #[test]
    fn many_stars_end_soon() {
        let glob = Glob::new(&b"a*".repeat(50));
        assert!(!glob.matches(&[b"a".repeat(49), b"b".repeat(100_000)].concat()));
    }
}
