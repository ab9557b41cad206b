//! Whether a project builds from its vendor folder (`modload.setDefaultBuildMod`).

use std::path::Path;

use crate::semver;

/// For a main module: a vendor folder that was not made for a workspace, and go 1.14 or later.
pub(crate) fn is_vendored_module(dir: &Path, go: Option<&str>, flag: Option<&str>) -> bool {
    is_vendored(dir, go, flag, false)
}

/// For a workspace: a vendor folder beside go.work that was made for it.
pub(crate) fn is_vendored_workspace(dir: &Path, go: Option<&str>, flag: Option<&str>) -> bool {
    is_vendored(dir, go, flag, true)
}

fn is_vendored(dir: &Path, go: Option<&str>, flag: Option<&str>, workspace: bool) -> bool {
    // The list of what is vendored is asked for even where Go would do without: a folder of that
    // name alone proves too little to let go of the modules.
    let Ok(list) = std::fs::read(dir.join("vendor").join("modules.txt")) else { return false };
    let first = list.split(|b| *b == b'\n').next().unwrap_or_default();
    let marked = String::from_utf8_lossy(first)
        .strip_prefix("## ")
        .is_some_and(|notes| notes.split(';').any(|note| note.trim() == "workspace"));
    let new_enough = go.is_some_and(|go| semver::compare_go(go, "1.14").is_ge());
    match flag {
        Some(flag) => flag == "vendor" && marked == workspace,
        None => new_enough && marked == workspace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_folder_counts_only_where_go_would_use_it() {
        let dir = tempfile::tempdir().unwrap();
        let vendored = |go, flag| is_vendored_module(dir.path(), go, flag);
        assert!(!vendored(Some("1.21"), None));
        std::fs::create_dir(dir.path().join("vendor")).unwrap();
        assert!(!vendored(Some("1.21"), None));
        std::fs::write(dir.path().join("vendor/modules.txt"), "# a.b v1.0.0\n").unwrap();
        assert!(vendored(Some("1.14"), None));
        assert!(!vendored(Some("1.13"), None) && !vendored(None, None));
        assert!(!vendored(Some("1.21"), Some("mod")) && vendored(None, Some("vendor")));
        assert!(!is_vendored_workspace(dir.path(), Some("1.22"), None));
        std::fs::write(dir.path().join("vendor/modules.txt"), "## explicit; workspace\n").unwrap();
        assert!(!vendored(Some("1.21"), None));
        assert!(is_vendored_workspace(dir.path(), Some("1.22"), None));
    }
}
