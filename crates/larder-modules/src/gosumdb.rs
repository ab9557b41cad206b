//! What GOSUMDB says: which checksum database, by which key, and where it is
//! (`dbDial` in `cmd/go/internal/modfetch/sumdb.go`, `key.go`).

use url::Url;

use crate::note::VerifierKey;

/// A checksum database as GOSUMDB names it.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) key: VerifierKey,
    /// Where it is without anybody in between.
    pub(crate) direct: Url,
    /// The address that GOSUMDB gives, which nothing else is asked instead of.
    pub(crate) address: Option<Url>,
}

/// The one database whose key Go itself knows.
const KNOWN: (&str, &str) =
    ("sum.golang.org", "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8");
/// Another address of the same, by its name.
const ALIAS: &str = "sum.golang.google.cn";

/// Reads GOSUMDB; `None` for `off`.
pub(crate) fn parse(gosumdb: &str) -> Result<Option<Database>, String> {
    if gosumdb == "off" {
        return Ok(None);
    }
    let alias = format!("{} https://{ALIAS}", KNOWN.0);
    let text = if gosumdb == ALIAS { alias.as_str() } else { gosumdb };
    let mut words = text.split_whitespace();
    let Some(first) = words.next() else {
        return Err("GOSUMDB is not set: name a checksum database, or off, in the environment or \
                    with `go env -w GOSUMDB=NAME`"
            .to_owned());
    };
    let address = words.next();
    if words.next().is_some() {
        return Err("invalid GOSUMDB: too many fields".to_owned());
    }
    let key = if first == KNOWN.0 { KNOWN.1 } else { first };
    let key: VerifierKey = key.parse().map_err(|error| format!("invalid GOSUMDB: {error}"))?;
    let direct = direct_url(key.name()).ok_or_else(|| {
        format!("invalid GOSUMDB: the name must be a host, or host/path: {}", key.name())
    })?;
    let address = address
        .map(Url::parse)
        .transpose()
        .map_err(|error| format!("invalid GOSUMDB: the address is no URL: {error}"))?;
    Ok(Some(Database { key, direct, address }))
}

/// `https` before a name that is nothing but a host and a path.
fn direct_url(name: &str) -> Option<Url> {
    let url = Url::parse(&format!("https://{name}")).ok()?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !name.ends_with('/')
        && !name.contains('\\')
        && !url.path().contains('%');
    // Dots in the path would have vanished, and the name is a path of our own too.
    let written = url.as_str().strip_prefix("https://")?.trim_end_matches('/');
    (plain && written == name).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keys_and_addresses() {
        assert!(parse("off").unwrap().is_none());
        let known = parse(KNOWN.0).unwrap().unwrap();
        assert_eq!(known.key.to_string(), KNOWN.1);
        assert_eq!(known.direct.as_str(), format!("https://{}/", KNOWN.0));
        assert!(known.address.is_none());
        let alias = parse(ALIAS).unwrap().unwrap();
        assert_eq!(alias.address.unwrap().host_str(), Some(ALIAS));
        let own = parse(&format!("{}  http://127.0.0.1:80/db ", KNOWN.1)).unwrap().unwrap();
        assert_eq!(own.address.unwrap().as_str(), "http://127.0.0.1/db");
        for bad in ["", " ", "unknown.example", "a b c", &format!("{} ://", KNOWN.1)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_hosts_with_paths_and_nothing_funny() {
        for good in ["sum.example", "sum.example/db", "localhost/x/y", "sum.example:8080"] {
            assert!(direct_url(good).is_some(), "{good}");
        }
        for bad in [
            "sum.example/",
            "sum.example/../x",
            "u@sum.example",
            "sum.example?x",
            "sum.example#x",
            "/x",
            "",
            "sum.example/%2e%2e",
            "SUM.example",
            "sum.example\\..\\x",
        ] {
            assert!(direct_url(bad).is_none(), "{bad}");
        }
    }
}
