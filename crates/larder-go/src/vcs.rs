//! Copies of repositories in the module cache: which they are of, how big, when used last.
//!
//! A repository's folder is named by the hash of `type:url`, and its `.info` file holds that
//! text (`cmd/go/internal/modfetch/codehost/codehost.go`, `WorkDir`). The type carries a version
//! of its own, as in `git3:https://github.com/go-yaml/yaml`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use larder_core::{Size, Time};
use larder_fs::Dir;

use crate::leftovers;
use crate::mod_scan::ModScan;
use crate::mod_walk::{RepositoryFile, Sum};

/// One repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcsRepo {
    /// The name of its folder.
    pub hash: String,
    /// Which system, as in `git`; `None` where there is no `.info` file that tells.
    pub system: Option<String>,
    /// Where it was cloned from, without a password that may stand in it.
    pub url: Option<String>,
    /// Its folder and `.info` file.
    pub size: Size,
    /// Last use.
    pub last_used: Option<Time>,
    /// Whether its folder is there.
    pub has_folder: bool,
    /// Whether its `.info` file is there; without one Go starts again.
    pub has_info: bool,
    /// Whether somebody held its lock during the scan; known on Linux only.
    pub locked: bool,
}

impl VcsRepo {
    /// What a person would call it: the URL, else the hash.
    pub fn subject(&self) -> &str {
        self.url.as_deref().unwrap_or(&self.hash)
    }
}

/// The longest `.info` file that is read: a URL is shorter.
const MOST_INFO: usize = 16 << 10;

/// Puts folders and `.info` files together; a folder without one is a leftover.
pub(crate) fn repositories(
    root: &Dir,
    folders: Vec<(&str, Sum)>,
    files: &[RepositoryFile],
    scan: &mut ModScan,
) -> Vec<VcsRepo> {
    let mut found: HashMap<&str, VcsRepo> = HashMap::new();
    let blank = |hash: &str| VcsRepo {
        hash: hash.to_owned(),
        system: None,
        url: None,
        size: Size::default(),
        last_used: None,
        has_folder: false,
        has_info: false,
        locked: false,
    };
    for (hash, sum) in folders {
        let repo = found.entry(hash).or_insert_with(|| blank(hash));
        repo.size += sum.size;
        let read = sum.accessed.filter(|_| scan.uses_known);
        repo.last_used = sum.modified.max(read);
        repo.has_folder = true;
    }
    for file in files {
        let repo = found.entry(&file.hash).or_insert_with(|| blank(&file.hash));
        repo.locked |= file.locked;
        if file.info {
            repo.size += file.size;
            repo.has_info = true;
        }
    }
    let vcs = root.open_path(Path::new("cache/vcs"));
    let mut all: Vec<VcsRepo> =
        found.into_values().filter(|repo| repo.has_folder || repo.has_info).collect();
    for repo in &mut all {
        let name = format!("{}.info", repo.hash);
        let text = vcs.as_ref().ok().and_then(|dir| dir.read(OsStr::new(&name), MOST_INFO).ok());
        if let Some((system, url)) = text.as_deref().and_then(read_info) {
            (repo.system, repo.url) = (Some(system), Some(url));
        }
        if repo.has_folder && !repo.has_info {
            scan.leftovers.push(leftovers::unfinished_repository(repo));
        }
    }
    all.sort_by(|a, b| a.hash.cmp(&b.hash));
    all
}

/// The system without the version of its layout, and the URL without a password.
fn read_info(bytes: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\n');
    let (system, url) = text.split_once(':')?;
    let system = match system.strip_prefix("vcs1.") {
        Some(system) => system,
        None => system.trim_end_matches(|c: char| c.is_ascii_digit()),
    };
    Some((system.to_owned(), without_password(url)))
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_file_names_system_and_url() {
        let read = |text: &str| read_info(text.as_bytes());
        let is = |system: &str, url: &str| Some((system.to_owned(), url.to_owned()));
        assert_eq!(read("git3:https://a.com/b"), is("git", "https://a.com/b"));
        assert_eq!(read("vcs1.hg:https://a.com/b\n"), is("hg", "https://a.com/b"));
        assert_eq!(read("git3:https://me:secret@a.com/b"), is("git", "https://me@a.com/b"));
        assert_eq!(read("git3:ssh://git@a.com/b:c@d"), is("git", "ssh://git@a.com/b:c@d"));
        assert_eq!(read("nonsense"), None);
    }
}
