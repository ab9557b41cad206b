//! Credentials for `https` URLs, from where GOAUTH says (`cmd/go/internal/auth`).
//!
//! Promises: nothing is sent over `http`; credentials go to the URLs below the prefix that they
//! were given for, and to nothing else; no password is in any message.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use crate::netrc;
use crate::settings::NetSettings;

/// Where credentials come from, and those that are known.
#[derive(Debug)]
pub(crate) struct Auth {
    methods: Vec<Method>,
    netrc: Option<PathBuf>,
    once: Once,
    /// By prefix, without scheme and last slash.
    known: Mutex<HashMap<String, HeaderMap>>,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Method {
    Netrc,
    Git(PathBuf),
    Command(Vec<String>),
}

impl Auth {
    /// What GOAUTH says, or why that is no way to say it.
    pub(crate) fn new(settings: &NetSettings) -> Result<Self, String> {
        Ok(Self {
            methods: methods(&settings.goauth)?,
            netrc: settings.netrc.clone(),
            once: Once::new(),
            known: Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// Credentials to begin with.
    pub(crate) fn first(&self, url: &Url) -> Option<HeaderMap> {
        if url.scheme() != "https" || self.methods.is_empty() {
            return None;
        }
        self.once.call_once(|| self.gather(None, ""));
        self.load(url)
    }

    /// Credentials after a refusal, where they are others than before. `answer` is the head of
    /// the refusal, for the command.
    pub(crate) fn second(
        &self,
        url: &Url,
        sent: Option<&HeaderMap>,
        answer: &str,
    ) -> Option<HeaderMap> {
        let can_ask = self.methods.iter().any(|method| *method != Method::Netrc);
        if url.scheme() != "https" || !can_ask {
            return None;
        }
        self.gather(Some(url), answer);
        self.load(url).filter(|found| Some(found) != sent)
    }

    /// What kept a method from answering, for the message of a refusal.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs every method; the first one named wins, so it is run last.
    fn gather(&self, url: Option<&Url>, answer: &str) {
        for method in self.methods.iter().rev() {
            let found = match (method, url) {
                (Method::Netrc, _) => self.read_netrc(),
                (Method::Git(_), None) => continue,
                (Method::Git(dir), Some(url)) => ask_git(dir, url).map(|one| vec![one]),
                (Method::Command(words), _) => ask_command(words, url, answer),
            };
            match found {
                Ok(all) => all.into_iter().for_each(|(prefix, headers)| {
                    self.store(&prefix, headers);
                }),
                Err(why) => {
                    *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                }
            }
        }
    }

    fn read_netrc(&self) -> Result<Vec<(String, HeaderMap)>, String> {
        let Some(path) = &self.netrc else { return Ok(Vec::new()) };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let logins = netrc::parse(&String::from_utf8_lossy(&bytes));
        // Of two for one machine the earlier counts.
        Ok(logins
            .into_iter()
            .rev()
            .filter_map(|login| Some((login.machine, authorization(&login.user, &login.password)?)))
            .collect())
    }

    fn store(&self, prefix: &str, headers: HeaderMap) {
        let prefix = prefix.strip_prefix("https://").unwrap_or(prefix);
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if headers.is_empty() {
            known.remove(&prefix);
        } else {
            known.insert(prefix, headers);
        }
    }

    /// The credentials of the longest known prefix.
    fn load(&self, url: &Url) -> Option<HeaderMap> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut prefix = url.as_str().strip_prefix("https://")?.trim_end_matches('/');
        loop {
            if let Some(headers) = known.get(prefix) {
                return Some(headers.clone());
            }
            prefix = &prefix[..prefix.rfind('/')?];
        }
    }
}

/// The value of an `Authorization` header.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn authorization(user: &str, password: &str) -> Option<HeaderMap> {
    let mut value = HeaderValue::try_from(basic(user, password)).ok()?;
    value.set_sensitive(true);
    Some(HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
}

/// The methods between semicolons (`runGoAuth`).
fn methods(goauth: &str) -> Result<Vec<Method>, String> {
    if goauth.is_empty() {
        return Ok(vec![Method::Netrc]);
    }
    let commands: Vec<&str> = goauth.split(';').map(str::trim).collect();
    let mut methods = Vec::new();
    for command in &commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            [] => return Err(format!("GOAUTH={goauth} has an empty command")),
            ["off", ..] if commands.len() == 1 => return Ok(Vec::new()),
            ["off", ..] => {
                return Err(format!("GOAUTH={goauth}: off cannot stand beside other commands"));
            }
            ["netrc", ..] => methods.push(Method::Netrc),
            ["git", dir] if Path::new(dir).is_absolute() && Path::new(dir).is_dir() => {
                methods.push(Method::Git(PathBuf::from(dir)));
            }
            ["git", ..] => {
                return Err(format!("GOAUTH={command}: git needs the absolute path of a folder"));
            }
            _ => methods.push(Method::Command(split_quoted(command)?)),
        }
    }
    Ok(methods)
}

/// Words between spaces; a word that begins with a quote goes on to the next one
/// (`cmd/internal/quoted`).
fn split_quoted(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = command.trim_start();
    while let Some(first) = rest.chars().next() {
        if let '"' | '\'' = first {
            let Some((word, after)) = rest[1..].split_once(first) else {
                return Err(format!("GOAUTH={command} has an unterminated {first}"));
            };
            words.push(word.to_owned());
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

/// Runs a command of GOAUTH (`cmd/go/internal/auth/userauth.go`).
fn ask_command(
    words: &[String],
    url: Option<&Url>,
    answer: &str,
) -> Result<Vec<(String, HeaderMap)>, String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(Vec::new()) };
    let mut command = Command::new(program);
    command.args(arguments).args(url.map(Url::as_str));
    let output = run(&mut command, answer).map_err(|why| format!("GOAUTH {program}: {why}"))?;
    parse_user_auth(&output).map_err(|why| format!("GOAUTH {program}: {why}"))
}

/// `git credential fill` for one URL (`cmd/go/internal/auth/gitauth.go`). Leaves out telling git
/// whether the credentials were any good: nothing is stored, nothing is forgotten.
fn ask_git(dir: &Path, url: &Url) -> Result<(String, HeaderMap), String> {
    let mut command = Command::new("git");
    command.args(["credential", "fill"]).current_dir(dir);
    let asked = format!("url={url}\n");
    let output = run(&mut command, &asked).map_err(|why| format!("git credential fill: {why}"))?;
    let (prefix, user, password) = parse_git_auth(&output);
    if prefix.is_empty() {
        return Err("git credential fill named no URL".to_owned());
    }
    if !url.as_str().starts_with(&prefix) {
        return Err(format!("git credential fill answered for {prefix}"));
    }
    let headers = authorization(&user, &password).ok_or("git answered no usable credentials")?;
    Ok((prefix, headers))
}

fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot be run: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read is no error; the input is small enough for the pipe.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().next().unwrap_or_default();
        return Err(format!("{}: {line}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| "answered what is not text".to_owned())
}

/// URLs, an empty line, headers for them, an empty line, and so on (`parseUserAuth`).
fn parse_user_auth(text: &str) -> Result<Vec<(String, HeaderMap)>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut urls = Vec::new();
        loop {
            let line = next_line(&mut rest).ok_or("missing empty line after URLs")?;
            if line.is_empty() {
                break;
            }
            let url = Url::parse(line).map_err(|error| format!("{line:?} is no URL: {error}"))?;
            urls.push(String::from(url));
        }
        let mut headers = HeaderMap::new();
        loop {
            let line = next_line(&mut rest).ok_or("missing empty line after headers")?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").ok_or("invalid header line")?;
            let name = HeaderName::try_from(name).map_err(|_| "invalid header line")?;
            let mut value =
                HeaderValue::try_from(value.trim()).map_err(|_| "invalid header line")?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        found.extend(urls.into_iter().map(|url| (url, headers.clone())));
    }
    Ok(found)
}

fn next_line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (line, after) = rest.split_once('\n')?;
    *rest = after;
    Some(line)
}

/// The URL, user and password in what git answers (`parseGitAuth`).
fn parse_git_auth(text: &str) -> (String, String, String) {
    let (mut scheme, mut host, mut path) = ("", "", "");
    let (mut whole, mut user, mut password) = (None, "", "");
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        match key {
            "protocol" => scheme = value,
            "host" => host = value,
            "path" => path = value,
            "username" => user = value,
            "password" => password = value,
            "url" if Url::parse(value).is_ok() => whole = Some(value.to_owned()),
            _ => {}
        }
    }
    let prefix = whole.unwrap_or_else(|| match (scheme.is_empty(), host.is_empty()) {
        (true, _) | (_, true) => String::new(),
        _ if path.is_empty() => format!("{scheme}://{host}"),
        _ => format!("{scheme}://{host}/{}", path.trim_start_matches('/')),
    });
    (prefix, user.to_owned(), password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(goauth: &str, netrc: &str) -> (Auth, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netrc");
        std::fs::write(&path, netrc).unwrap();
        let settings =
            NetSettings { goauth: goauth.to_owned(), netrc: Some(path), ..NetSettings::default() };
        (Auth::new(&settings).unwrap(), folder)
    }

    fn sent(auth: &Auth, url: &str) -> Option<String> {
        let headers = auth.first(&Url::parse(url).unwrap())?;
        Some(headers.get(header::AUTHORIZATION)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn netrc_is_for_its_machine_over_https_alone() {
        let (auth, _folder) = auth(
            "netrc",
            "machine a.example login u password p\nmachine a.example login x password y\n",
        );
        assert_eq!(sent(&auth, "https://a.example/m/@v/list"), Some(basic("u", "p")));
        assert_eq!(sent(&auth, "http://a.example/m/@v/list"), None);
        assert_eq!(sent(&auth, "https://b.a.example/m"), None);
        assert_eq!(sent(&auth, "https://a.example:8443/m"), None);
    }

    #[test]
    fn off_sends_nothing() {
        let (auth, _folder) = auth("off", "machine a.example login u password p\n");
        assert_eq!(sent(&auth, "https://a.example/"), None);
    }

    #[test]
    fn what_is_no_method_is_refused() {
        for goauth in ["netrc;", "off;netrc", "git relative", "git", "cmd 'open"] {
            let settings = NetSettings { goauth: goauth.to_owned(), ..NetSettings::default() };
            assert!(Auth::new(&settings).is_err(), "{goauth}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_is_asked_first_without_and_then_with_the_url() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ask.sh");
        let text = "if [ -n \"$1\" ]; then cat > \"$0.stdin\"; token=second; else token=first; fi\n\
                    printf 'https://a.example/x\\n\\nAuthorization: Bearer %s\\nX-More: 1\\n\\n' $token\n";
        std::fs::write(&script, text).unwrap();
        let (auth, _folder) = auth(&format!("netrc; sh '{}'", script.display()), "");
        let url = Url::parse("https://a.example/x/y").unwrap();
        let first = auth.first(&url).unwrap();
        assert_eq!(first.get("authorization").unwrap(), "Bearer first");
        assert_eq!(first.get("x-more").unwrap(), "1");
        assert!(auth.first(&Url::parse("https://a.example/z").unwrap()).is_none());
        let second = auth.second(&url, Some(&first), "HTTP/1.1 401 no\n\n").unwrap();
        assert_eq!(second.get("authorization").unwrap(), "Bearer second");
        assert!(auth.second(&url, Some(&second), "").is_none(), "nothing new");
        assert!(folder.path().join("ask.sh.stdin").exists());
    }

    #[test]
    fn answers_of_commands_are_read_strictly() {
        assert_eq!(parse_user_auth("").unwrap(), []);
        for bad in [
            "https://a.example\n",
            "https://a.example\n\nAuthorization: x\n",
            "a.example\n\nAuthorization: x\n\n",
            "https://a.example\n\nno header\n\n",
            "https://a.example\n\nbad name: x\n\n",
        ] {
            assert!(parse_user_auth(bad).is_err(), "{bad:?}");
        }
        let two =
            "https://a.example\nhttps://b.example\n\nA: 1\nA: 2\n\nhttps://c.example\n\nB: 3\n\n";
        let found = parse_user_auth(two).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].1.get_all("a").iter().count(), 2);
    }

    /// The cases of `gitauth_test.go` (`TestParseGitAuth`), in our own words.
    #[test]
    fn answers_of_git_are_read() {
        let base = "protocol=https\nhost=a.example\nusername=bob\npassword=pw\n";
        let expect = |prefix: &str| (prefix.to_owned(), "bob".to_owned(), "pw".to_owned());
        assert_eq!(parse_git_auth(base), expect("https://a.example"));
        assert_eq!(parse_git_auth(&format!("{base}url=invalid\n")), expect("https://a.example"));
        let other = format!("{base}url=https://go.example\n");
        assert_eq!(parse_git_auth(&other), expect("https://go.example"));
        assert_eq!(parse_git_auth("\n").0, "");
        assert_eq!(parse_git_auth("protocol:https\nhost:a\n").0, "");
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(split_quoted(" a 'b c' \"d e\" f").unwrap(), ["a", "b c", "d e", "f"]);
        assert!(split_quoted("a 'b").is_err());
    }
}
