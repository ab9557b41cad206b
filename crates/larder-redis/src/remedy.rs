//! Commands that a person can copy into a shell, whatever bytes a key is made of.

use crate::endpoint::Endpoint;

/// A prefix as a pattern in quotes: placeholders are stars.
pub(crate) fn pattern(prefix: &[u8]) -> String {
    let mut pattern = Vec::new();
    let mut rest = prefix;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let marks: [&[u8]; 4] = [b"n}", b"hex}", b"uuid}", b"id}"];
        let mark = marks.iter().find(|mark| byte == b'{' && rest.starts_with(mark));
        match mark {
            Some(mark) => {
                rest = &rest[mark.len()..];
                pattern.push(b'*');
            }
            None if byte == b'*' => pattern.push(byte),
            None => pattern.extend(escaped(&[byte])),
        }
    }
    quoted(&pattern)
}

/// A pattern in quotes that only this key matches.
pub(crate) fn literal(key: &[u8]) -> String {
    quoted(&escaped(key))
}

/// Bytes that stand for themselves in a pattern.
fn escaped(key: &[u8]) -> Vec<u8> {
    let special = |byte: u8| matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^');
    key.iter()
        .flat_map(|byte| {
            let escape = special(*byte).then_some(b'\\');
            escape.into_iter().chain(std::iter::once(*byte))
        })
        .collect()
}

/// As a shell takes it.
pub(crate) fn quoted(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => format!("$'{}'", text.escape_ascii()),
    }
}

/// `redis-cli` with the options that lead to this server; the password is taken from
/// `$REDISCLI_AUTH`.
pub(crate) fn redis_cli(endpoint: &Endpoint) -> String {
    let word = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".:/_-".contains(c);
        if text.chars().all(plain) { text.to_owned() } else { quoted(text.as_bytes()) }
    };
    let mut command = match endpoint.host() {
        Some(host) => {
            let port = endpoint.address().rsplit(':').next().unwrap_or_default();
            format!("redis-cli -h {} -p {port}", word(host))
        }
        None => format!("redis-cli -s {}", word(endpoint.address())),
    };
    if endpoint.has_tls() {
        command.push_str(" --tls");
    }
    if let Some(user) = &endpoint.user {
        command = format!("{command} --user {}", word(user));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_can_be_typed() {
        assert_eq!(pattern(b"user:{n}:cart"), "'user:*:cart'");
        assert_eq!(pattern(b"it's[{hex}"), r"'it'\''s\[*'");
        assert_eq!(pattern(b"a\x00*"), r"$'a\x00*'");
        assert_eq!(pattern(b"{tag}:x"), "'{tag}:x'");
        assert_eq!(literal(b"a*b"), r"'a\*b'");
    }

    #[test]
    fn redis_cli_finds_the_server() {
        let of = |url: &str| redis_cli(&Endpoint::parse(url).unwrap());
        assert_eq!(of("redis://db.test:7000/2"), "redis-cli -h db.test -p 7000");
        assert_eq!(of("rediss://it's@[::1]/0"), r"redis-cli -h ::1 -p 6379 --tls --user 'it'\''s'");
        assert_eq!(of("unix:///run/redis.sock"), "redis-cli -s /run/redis.sock");
    }
}
