//! Limits that are in force, each a file in the state folder, written before anything is changed:
//! what a larder that broke off leaves behind, the next one finds and undoes.
//!
//! Promises: a file is whole or not there, on the disk before the server is told, and readable by
//! its owner alone. No password and no hash of one is in it: what is limited is commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::FileLock;
use larder_redis::acl::{Rules, Selector};
use larder_redis::throttle::{NodeLimit, Subject, Throttle};
use serde::{Deserialize, Serialize};

use crate::exit::{CliError, Exit};
use crate::wire::WireTime;

const SCHEMA: &str = "larder/throttled/1";

/// How long one larder may be at it before another gives up waiting.
const WAIT: Duration = Duration::from_secs(30);

/// The folder of them.
#[derive(Clone, Debug)]
pub(crate) struct ThrottleStore {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct WireFile {
    schema: String,
    id: String,
    cache: String,
    url: String,
    began_at: WireTime,
    until: WireTime,
    #[serde(flatten)]
    subject: WireSubject,
    evidence: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum WireSubject {
    User { user: String, nodes: Vec<WireNode> },
    Client { node: String, client_id: u64 },
    Scripts { longer_than_seconds: f64 },
}

#[derive(Serialize, Deserialize)]
struct WireNode {
    address: String,
    saved: WireRules,
    limited: Option<WireRules>,
    denied: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct WireRules {
    commands: Vec<String>,
    selectors: Vec<WireSelector>,
}

#[derive(Serialize, Deserialize)]
struct WireSelector {
    keys: Vec<String>,
    channels: Vec<String>,
    commands: Vec<String>,
}

impl ThrottleStore {
    /// Below this state folder.
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join("throttles") }
    }

    /// All that are in force, by id, and the files that cannot be read.
    pub(crate) fn list(&self) -> (Vec<Throttle>, Vec<CliError>) {
        let (mut throttles, mut bad) = (Vec::new(), Vec::new());
        // Where there is no folder nothing was ever limited.
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != "json") || is_staged(&path) {
                continue;
            }
            match read(&path) {
                Ok(Some(throttle)) => throttles.push(throttle),
                Ok(None) => {}
                Err(error) => bad.push(error),
            }
        }
        throttles.sort_by(|one, other| one.id.cmp(&other.id));
        (throttles, bad)
    }

    /// The one of this id, while it is in force.
    pub(crate) fn get(&self, id: &str) -> Result<Option<Throttle>, CliError> {
        read(&self.path(id))
    }

    /// Writes it down.
    pub(crate) fn put(&self, throttle: &Throttle) -> Result<(), CliError> {
        let path = self.path(&throttle.id);
        let text = crate::wire_plan::file_text(&WireFile::from(throttle));
        larder_fs::write_private(&path, text.as_bytes())
            .map_err(|error| CliError::io("write", &path, &error))
    }

    /// It is no longer in force.
    pub(crate) fn forget(&self, id: &str) -> Result<(), CliError> {
        let path = self.path(id);
        larder_fs::forget_file(&path).map_err(|error| CliError::io("remove", &path, &error))
    }

    /// Only one larder at a time limits or gives back.
    pub(crate) fn lock(&self) -> Result<FileLock, CliError> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| CliError::io("make the folder", &self.folder, &error))?;
        let path = self.folder.join("lock");
        let file = std::fs::File::options().create(true).append(true).open(&path);
        let file = file.map_err(|error| CliError::io("open", &path, &error))?;
        // Giving back is not given up for a Ctrl-C.
        FileLock::exclusive(file, &path, WAIT, &Meter::default())
            .map_err(|error| CliError::because(Exit::Busy, &error))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// A file that a larder was just writing when it broke off.
fn is_staged(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn read(path: &Path) -> Result<Option<Throttle>, CliError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CliError::io("read", path, &error)),
    };
    let bad = |why: String| {
        CliError::new(Exit::Partly, format!("{}: {why}", path.display()))
            .hint("somebody may still be limited by it: see its rules, and remove it")
    };
    let file: WireFile = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if file.schema != SCHEMA {
        return Err(bad(format!("it is a {}, which this larder does not know", file.schema)));
    }
    Ok(Some(file.into()))
}

impl From<&Throttle> for WireFile {
    fn from(throttle: &Throttle) -> Self {
        let subject = match &throttle.subject {
            Subject::User { user, nodes } => WireSubject::User {
                user: user.clone(),
                nodes: nodes.iter().map(WireNode::from).collect(),
            },
            Subject::Client { node, id } => {
                WireSubject::Client { node: node.clone(), client_id: *id }
            }
            Subject::Scripts { longer_than } => {
                WireSubject::Scripts { longer_than_seconds: longer_than.as_secs_f64() }
            }
        };
        Self {
            schema: SCHEMA.to_owned(),
            id: throttle.id.clone(),
            cache: throttle.cache.clone(),
            url: throttle.url.clone(),
            began_at: WireTime(throttle.began),
            until: WireTime(throttle.until),
            subject,
            evidence: throttle.evidence.iter().cloned().collect(),
        }
    }
}

impl From<WireFile> for Throttle {
    fn from(file: WireFile) -> Self {
        let subject = match file.subject {
            WireSubject::User { user, nodes } => {
                Subject::User { user, nodes: nodes.into_iter().map(NodeLimit::from).collect() }
            }
            WireSubject::Client { node, client_id } => Subject::Client { node, id: client_id },
            WireSubject::Scripts { longer_than_seconds } => Subject::Scripts {
                longer_than: Duration::try_from_secs_f64(longer_than_seconds).unwrap_or_default(),
            },
        };
        Self {
            id: file.id,
            cache: file.cache,
            url: file.url,
            subject,
            began: file.began_at.0,
            until: file.until.0,
            evidence: file.evidence.into_iter().collect(),
        }
    }
}

impl From<&NodeLimit> for WireNode {
    fn from(node: &NodeLimit) -> Self {
        Self {
            address: node.address.clone(),
            saved: WireRules::from(&node.saved),
            limited: node.limited.as_ref().map(WireRules::from),
            denied: node.denied.clone(),
        }
    }
}

impl From<WireNode> for NodeLimit {
    fn from(node: WireNode) -> Self {
        Self {
            address: node.address,
            saved: node.saved.into(),
            limited: node.limited.map(Rules::from),
            denied: node.denied,
        }
    }
}

impl From<&Rules> for WireRules {
    fn from(rules: &Rules) -> Self {
        let selectors = rules.selectors.iter().map(|selector| WireSelector {
            keys: selector.keys.clone(),
            channels: selector.channels.clone(),
            commands: selector.commands.clone(),
        });
        Self { commands: rules.commands.clone(), selectors: selectors.collect() }
    }
}

impl From<WireRules> for Rules {
    fn from(rules: WireRules) -> Self {
        let selectors = rules.selectors.into_iter().map(|selector| Selector {
            keys: selector.keys,
            channels: selector.channels,
            commands: selector.commands,
        });
        Self { commands: rules.commands, selectors: selectors.collect() }
    }
}

#[cfg(test)]
mod tests {
    use larder_core::Time;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn throttle(id: &str, subject: Subject) -> Throttle {
        Throttle {
            id: id.to_owned(),
            cache: "redis:sessions".to_owned(),
            url: "redis://127.0.0.1:6379/0".to_owned(),
            subject,
            began: Time::from_unix_nanos(1_795_000_000_123_456_789),
            until: Time::from_unix(1_795_000_600),
            evidence: vec![("waited".to_owned(), "14.9 s".to_owned())],
        }
    }

    #[test]
    fn what_is_written_down_is_read_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = ThrottleStore::new(folder.path());
        assert!(store.list().0.is_empty());
        let _lock = store.lock().unwrap();
        let saved = Rules {
            commands: words("+@all -debug"),
            selectors: vec![Selector {
                keys: words("~a %R~b"),
                channels: words("&c"),
                commands: words("-@all +get"),
            }],
        };
        let node = NodeLimit {
            address: "127.0.0.1:6379".to_owned(),
            saved: saved.clone(),
            limited: Some(Rules { commands: words("+@all -debug -keys"), ..saved }),
            denied: words("keys"),
        };
        let unread = NodeLimit { limited: None, ..node.clone() };
        let user = Subject::User { user: "batch".to_owned(), nodes: vec![node, unread] };
        let all = [
            throttle("0a", user),
            throttle("0b", Subject::Client { node: "h:1".to_owned(), id: u64::MAX }),
            throttle("0c", Subject::Scripts { longer_than: Duration::from_millis(1500) }),
        ];
        for one in &all {
            store.put(one).unwrap();
        }
        std::fs::write(folder.path().join("throttles/.0d.json.1-2-3.tmp"), "{").unwrap();
        let (listed, bad) = store.list();
        assert_eq!((listed.as_slice(), bad.len()), (&all[..], 0));
        assert_eq!(store.get("0b").unwrap().as_ref(), Some(&all[1]));
        store.forget("0b").unwrap();
        store.forget("0b").unwrap();
        assert_eq!(store.get("0b").unwrap(), None);
        std::fs::write(folder.path().join("throttles/0e.json"), "{}").unwrap();
        let (listed, bad) = store.list();
        assert_eq!((listed.len(), bad.len()), (2, 1));
        assert!(bad[0].what.contains("0e.json"), "{bad:?}");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let store = ThrottleStore::new(folder.path());
        let _lock = store.lock().unwrap();
        store.put(&throttle("0a", Subject::Client { node: "h:1".to_owned(), id: 1 })).unwrap();
        let file = folder.path().join("throttles/0a.json");
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
