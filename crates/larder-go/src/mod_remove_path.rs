//! Removing what is no version: temporary files and folders, repositories, the checksum
//! database's cached part; each under the lock that its writers take.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use larder_core::{Target, Time};
use larder_fs::{Dir, Everything, FileLock, Kind, Meta};

use crate::mod_layout::{classify, version_of_path};
use crate::mod_names::{VcsName, vcs_name};
use crate::mod_remove::{Done, NotRemoved, Removed, Remover, phrase};

const SUMDB: &str = "cache/download/sumdb";

impl Remover<'_> {
    /// Removes a [`Target::Path`], of which nothing is taken on trust.
    pub(crate) fn remove_path(
        &self,
        path: &Path,
        last_used: Option<Time>,
        threads: usize,
    ) -> Removed {
        let Some(Target::Path(path)) = classify(path) else {
            let why = format!("{} is not something that larder removes", path.display());
            return Err(NotRemoved::Skipped(why));
        };
        if path == Path::new(SUMDB) {
            return self.remove_sumdb(threads);
        }
        if let Ok(name) = path.strip_prefix("cache/vcs") {
            let Some(VcsName::Repository(hash) | VcsName::Info(hash)) = name.to_str().map(vcs_name)
            else {
                return Err(NotRemoved::skipped("a lock file stays: somebody may wait for it"));
            };
            return self.remove_repository(hash, last_used, threads);
        }
        self.remove_temporary(&path, last_used, threads)
    }

    /// A repository's `.info` first, for without it Go starts again whatever the folder holds
    /// (`cmd/go/internal/modfetch/codehost/codehost.go`, `WorkDir`); the lock stays.
    pub(crate) fn remove_repository(
        &self,
        hash: &str,
        last_used: Option<Time>,
        threads: usize,
    ) -> Removed {
        let above = Path::new("cache/vcs");
        let vcs = self.enter(above)?;
        let _lock = self.lock_in(&vcs, &format!("{hash}.lock"))?;
        let info = format!("{hash}.info");
        let mut done = Done::default();
        let mut found = false;
        let folder = look_at(&vcs, hash, Kind::Folder)?;
        if let (Some(meta), Some(planned)) = (&folder, last_used)
            && meta.modified.unix() > planned.unix()
        {
            return Err(NotRemoved::skipped("it has been used since it was planned"));
        }
        for (name, kind) in [(info.as_str(), Kind::File), (hash, Kind::Folder)] {
            if look_at(&vcs, name, kind)?.is_some() {
                found = true;
                let (name, rel) = (OsStr::new(name), above.join(name));
                let options = self.options(threads);
                done.add(self.how.dispose(&vcs, name, &rel, &Everything, (), &options));
            }
        }
        if found { Ok(done) } else { Err(NotRemoved::skipped("it is gone already")) }
    }

    /// The cached tiles and look-ups; what anchors their security lies elsewhere, in
    /// `GOPATH/pkg/sumdb`, and is out of reach from here.
    pub(crate) fn remove_sumdb(&self, threads: usize) -> Removed {
        let rel = Path::new(SUMDB);
        let (above, name) = (Path::new("cache/download"), OsStr::new("sumdb"));
        let download = self.enter(above)?;
        if look_at(&download, "sumdb", Kind::Folder)?.is_none() {
            return Err(NotRemoved::skipped("it is gone already"));
        }
        let mut done = Done::default();
        let options = self.options(threads);
        done.add(self.how.dispose(&download, name, rel, &Everything, (), &options));
        Ok(done)
    }

    fn remove_temporary(&self, path: &Path, planned: Option<Time>, threads: usize) -> Removed {
        let unnamed = || NotRemoved::skipped("not something that larder removes");
        let (module, version) = version_of_path(path).ok_or_else(unnamed)?;
        let (_, _lock) = self.lock_version(&module, &version)?;
        let name = path.file_name().and_then(OsStr::to_str).ok_or_else(unnamed)?;
        let above = self.enter(path.parent().unwrap_or(Path::new("")))?;
        let kind = if path.starts_with("cache") { Kind::File } else { Kind::Folder };
        let Some(meta) = look_at(&above, name, kind)? else {
            return Err(NotRemoved::skipped("it is gone already"));
        };
        if planned.is_some_and(|planned| meta.modified.unix() > planned.unix()) {
            return Err(NotRemoved::skipped("it has been written to since it was planned"));
        }
        let mut done = Done::default();
        let options = self.options(threads);
        done.add(self.how.dispose(&above, OsStr::new(name), path, &Everything, (), &options));
        if kind == Kind::Folder {
            self.remove_empty_parents(path);
        }
        Ok(done)
    }

    /// Opens a folder below the root; one that cannot be entered by its own name has changed.
    pub(crate) fn enter(&self, rel: &Path) -> Result<Dir, NotRemoved> {
        self.root.open_path(rel).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NotRemoved::skipped("it is gone already"),
            _ => NotRemoved::Skipped(format!("{} cannot be entered: {error}", rel.display())),
        })
    }

    fn lock_in(&self, folder: &Dir, name: &str) -> Result<FileLock, NotRemoved> {
        let full = folder.path().join(name);
        let file = folder.open_lock(OsStr::new(name)).map_err(NotRemoved::io(&full))?;
        Ok(FileLock::exclusive(file, &full, self.wait, self.meter)?)
    }
}

fn look_at(dir: &Dir, name: &str, kind: Kind) -> Result<Option<Meta>, NotRemoved> {
    let found = dir.look(OsStr::new(name)).map_err(NotRemoved::io(dir.path().join(name)))?;
    match found {
        Some(meta) if meta.kind != kind => {
            Err(NotRemoved::Skipped(format!("{name} is {} now", phrase(&meta))))
        }
        Some(meta) if meta.mount_point => {
            Err(NotRemoved::Skipped(format!("{name} is a mount point now")))
        }
        other => Ok(other),
    }
}
