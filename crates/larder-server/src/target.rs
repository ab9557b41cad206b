//! Targets of `/probe`: what a client names, held against what may be asked.
//!
//! Promises: a name or password in a target is dropped before anything is done with it; only what
//! stands on the list is asked, in the words of the list. Otherwise whoever reaches this server
//! could make it connect anywhere.

/// The entry of `list` that `wanted` means.
pub(crate) fn allowed(wanted: &str, list: &[String]) -> Option<String> {
    let wanted = plain(wanted);
    list.iter().find(|entry| plain(entry) == wanted).cloned()
}

/// A target without credentials, in one form for all that means the same.
fn plain(target: &str) -> String {
    let target = target.trim();
    if let Some(path) = target.strip_prefix("unix:") {
        let path = path.trim_start_matches('/');
        let path = path.rsplit_once('@').map_or(path, |(_, path)| path.trim_start_matches('/'));
        return format!("unix:/{path}");
    }
    let (scheme, rest) = target.split_once("://").unwrap_or(("redis", target));
    let has_port = |text: &str| {
        let port = text.rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    if !target.contains("://") && !has_port(address) {
        // A name of the settings.
        return target.to_owned();
    }
    let port = if has_port(address) { "" } else { ":6379" };
    format!("{}://{}{port}", scheme.to_ascii_lowercase(), address.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_list_and_never_with_a_password() {
        let list =
            ["redis:sessions", "redis://10.0.0.7", "rediss://cache.lan:6380", "unix:///run/r"];
        let list = list.map(str::to_owned);
        let cases = [
            ("redis:sessions", Some(0)),
            ("redis:other", None),
            ("redis://10.0.0.7:6379", Some(1)),
            ("10.0.0.7:6379", Some(1)),
            ("redis://user:pw@10.0.0.7:6379/3", Some(1)),
            ("user:p@w@10.0.0.7:6379", Some(1)),
            ("REDIS://10.0.0.7", Some(1)),
            ("rediss://10.0.0.7", None),
            ("10.0.0.7:6380", None),
            ("rediss://:pw@Cache.lan:6380", Some(2)),
            ("rediss://cache.lan:6380@evil.example", None),
            ("redis://evil.example:6379/@10.0.0.7", None),
            ("redis://evil.example:6379#@10.0.0.7:6379", None),
            ("unix:///run/r", Some(3)),
            ("unix:/run/r", Some(3)),
            ("unix:///run/other", None),
            ("", None),
        ];
        for (wanted, entry) in cases {
            let found = allowed(wanted, &list);
            assert_eq!(found.as_ref(), entry.map(|at: usize| &list[at]), "{wanted:?}");
        }
    }
}
