//! Removing one module version, or the bad parts of one, under its lock.
//!
//! The order is what makes it safe: marked as partial before the first file of the folder goes,
//! the folder, then zip and hash, then the mark.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use larder_core::{Target, Time};
use larder_fs::{Dir, Everything, Kind, Meta};

use crate::mod_layout::classify;
use crate::mod_names::{FIPS_MODULE, Part, extracted_path, part_name};
use crate::mod_remove::{Done, NotRemoved, Removed, Remover, phrase};
use crate::mod_scan::part_path;
use crate::mod_times::access_times_kept;

/// One version on its way out.
pub(crate) struct VersionRemoval<'a> {
    remover: &'a Remover<'a>,
    module: &'a str,
    version: &'a str,
    threads: usize,
    /// Whether the plan names its folder.
    extracted: bool,
    /// Which of its files the plan names, by [`Part::bit`].
    parts: u8,
    /// Whether these parts are known to be bad, and the others to be good.
    damaged: bool,
}

/// What of a version is there at the moment.
struct Present {
    /// The folder above the extracted one, that one's name, and what it is.
    extracted: Option<(Dir, Meta)>,
    zip: Option<Meta>,
    ziphash: Option<Meta>,
    partial: Option<Meta>,
}

impl<'a> VersionRemoval<'a> {
    pub(crate) fn new(
        remover: &'a Remover<'a>,
        module: &'a str,
        version: &'a str,
        threads: usize,
    ) -> Self {
        Self { remover, module, version, threads, extracted: false, parts: 0, damaged: false }
    }

    /// The removal of a version as a plan names it.
    pub(crate) fn of(mut self, paths: &[PathBuf]) -> Result<Self, NotRemoved> {
        for path in paths {
            let of_this = matches!(
                classify(path),
                Some(Target::Version { module, version, .. })
                    if module == self.module && version == self.version
            );
            if !of_this {
                return Err(self.not_a_part(path));
            }
            match self.part_at(path, &[Part::Zip, Part::Ziphash, Part::Partial]) {
                Some(part) => self.parts |= part.bit(),
                None => self.extracted = true,
            }
        }
        Ok(self)
    }

    /// The removal of bad parts, `.info` and `.mod` among them, which can be fetched again.
    pub(crate) fn damaged(mut self, paths: &[PathBuf]) -> Result<Self, NotRemoved> {
        self.damaged = true;
        for path in paths {
            let files = [Part::Zip, Part::Ziphash, Part::Partial, Part::Info, Part::Mod];
            match self.part_at(path, &files) {
                Some(part) => self.parts |= part.bit(),
                None if extracted_path(self.module, self.version).as_ref() == Some(path) => {
                    self.extracted = true;
                }
                None => return Err(self.not_a_part(path)),
            }
        }
        Ok(self)
    }

    fn part_at(&self, path: &PathBuf, of: &[Part]) -> Option<Part> {
        let at = |part: &Part| part_path(self.module, self.version, *part).as_ref() == Some(path);
        of.iter().copied().find(at)
    }

    fn not_a_part(&self, path: &Path) -> NotRemoved {
        let (path, module, version) = (path.display(), self.module, self.version);
        NotRemoved::Skipped(format!("{path} is not a part of {module}@{version}"))
    }

    pub(crate) fn run(&self, last_used: Option<Time>) -> Removed {
        let (folder, lock) = self.remover.lock_version(self.module, self.version)?;
        let present = self.look(&folder)?;
        self.check(&present, last_used)?;
        let mut done = Done::default();
        let partial = self.part(Part::Partial)?;
        let mut marked = present.partial.is_some();
        let mut gone = present.extracted.is_none();
        if let Some((above, _)) = present.extracted.as_ref().filter(|_| self.extracted) {
            if !marked {
                drop(folder.create(OsStr::new(&partial)).map_err(failed(&folder, &partial))?);
                marked = true;
            }
            gone = self.dispose_extracted(above, &mut done)?;
        }
        if gone || !self.extracted {
            for part in [Part::Zip, Part::Ziphash, Part::Info, Part::Mod] {
                if self.names(part) {
                    self.dispose_part(&folder, part, &mut done)?;
                }
            }
        }
        // Marked for as long as anything is left that could be taken for whole.
        if gone && marked {
            folder.unlink(OsStr::new(&partial)).map_err(failed(&folder, &partial))?;
        }
        drop(lock);
        if gone && let Some(path) = extracted_path(self.module, self.version) {
            self.remover.remove_empty_parents(&path);
        }
        Ok(done)
    }

    /// Whether the plan names this file.
    fn names(&self, part: Part) -> bool {
        self.parts & part.bit() != 0
    }

    fn part(&self, part: Part) -> Result<String, NotRemoved> {
        part_name(self.version, part)
            .ok_or_else(|| NotRemoved::skipped("not the name of a module version"))
    }

    /// What is there now; what is not of the kind that Go makes is a reason to stop.
    fn look(&self, folder: &Dir) -> Result<Present, NotRemoved> {
        let file = |part| {
            let name = self.part(part)?;
            let meta = folder.look(OsStr::new(&name)).map_err(failed(folder, &name))?;
            match meta {
                Some(meta) if meta.kind != Kind::File => {
                    Err(NotRemoved::Skipped(format!("its {} is {}", part.suffix(), phrase(&meta))))
                }
                other => Ok(other),
            }
        };
        Ok(Present {
            extracted: self.look_extracted()?,
            zip: file(Part::Zip)?,
            ziphash: file(Part::Ziphash)?,
            partial: file(Part::Partial)?,
        })
    }

    fn look_extracted(&self) -> Result<Option<(Dir, Meta)>, NotRemoved> {
        let unnamed = || NotRemoved::skipped("not the name of a module version");
        let path = extracted_path(self.module, self.version).ok_or_else(unnamed)?;
        let (above, name) = (path.parent().ok_or_else(unnamed)?, path.file_name());
        let name = name.ok_or_else(unnamed)?;
        let above = match self.remover.root.open_path(above) {
            Ok(above) => above,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                // A symlink on the way is refused; that is a change, not a failure.
                let why = format!("a folder above it cannot be entered: {source}");
                return Err(NotRemoved::Skipped(why));
            }
        };
        let meta = above.look(name).map_err(NotRemoved::io(above.path().join(name)))?;
        match meta {
            None => Ok(None),
            Some(meta) if meta.kind != Kind::Folder => {
                Err(NotRemoved::Skipped(format!("its folder is {} now", phrase(&meta))))
            }
            Some(meta) if meta.mount_point => {
                Err(NotRemoved::skipped("its folder is a mount point now"))
            }
            Some(meta) => Ok(Some((above, meta))),
        }
    }

    /// Holds what is there against what was planned.
    fn check(&self, present: &Present, last_used: Option<Time>) -> Result<(), NotRemoved> {
        if self.damaged {
            return Ok(());
        }
        let content = [&present.zip, &present.ziphash];
        let any = present.extracted.is_some()
            || present.partial.is_some()
            || content.iter().any(|meta| meta.is_some());
        if !any {
            return Err(NotRemoved::skipped("it is gone already"));
        }
        let of_no_use = self.extracted && !self.names(Part::Ziphash) && self.module != FIPS_MODULE;
        if of_no_use && !self.is_unusable(present) {
            return Err(NotRemoved::skipped("it is whole by now"));
        }
        // A go command may have written the rest while we waited for its lock; a part left behind
        // would be half a version.
        if self.leaves_half(present) {
            return Err(NotRemoved::skipped("it has been written to since it was planned"));
        }
        // To the second, for plans may be written in seconds.
        let Some(planned) = last_used.map(Time::unix) else { return Ok(()) };
        let reads = access_times_kept(self.remover.root.path());
        let written = present.extracted.iter().map(|(_, meta)| meta.modified);
        let read = content.into_iter().flatten().flat_map(|meta| {
            let read = reads && (self.names(Part::Zip) || self.names(Part::Ziphash));
            [Some(meta.modified), read.then_some(meta.accessed)].into_iter().flatten()
        });
        if written.chain(read).any(|time| time.unix() > planned) {
            return Err(NotRemoved::skipped("it has been used since it was planned"));
        }
        Ok(())
    }

    /// Whether something of a version stands there that the plan for its content does not name.
    fn leaves_half(&self, present: &Present) -> bool {
        let (zip, ziphash) = (self.names(Part::Zip), self.names(Part::Ziphash));
        let whole = present.extracted.is_some() && present.partial.is_none();
        let unnamed = (whole && !self.extracted)
            || (present.zip.is_some() && !zip)
            || (present.ziphash.is_some() && !ziphash);
        (zip || ziphash) && unnamed
    }

    fn is_unusable(&self, present: &Present) -> bool {
        let Some((above, _)) = &present.extracted else { return present.partial.is_some() };
        let empty = || {
            let path = extracted_path(self.module, self.version);
            let name = path.as_deref().and_then(Path::file_name);
            name.and_then(|name| above.open_dir(name).ok())
                .and_then(|dir| dir.entries().ok())
                .is_some_and(|entries| entries.is_empty())
        };
        present.partial.is_some() || present.ziphash.is_none() || empty()
    }

    /// Whether the folder is gone altogether.
    fn dispose_extracted(&self, above: &Dir, done: &mut Done) -> Result<bool, NotRemoved> {
        let unnamed = || NotRemoved::skipped("not the name of a module version");
        let path = extracted_path(self.module, self.version).ok_or_else(unnamed)?;
        let name = path.file_name().ok_or_else(unnamed)?;
        let options = self.remover.options(self.threads);
        let removal = self.remover.how.dispose(above, name, &path, &Everything, (), &options);
        done.add(removal);
        Ok(above.look(name).is_ok_and(|meta| meta.is_none()))
    }

    fn dispose_part(&self, folder: &Dir, part: Part, done: &mut Done) -> Result<(), NotRemoved> {
        let name = self.part(part)?;
        let unnamed = || NotRemoved::skipped("not the name of a module version");
        let path = part_path(self.module, self.version, part).ok_or_else(unnamed)?;
        let options = self.remover.options(1);
        let how = self.remover.how;
        done.add(how.dispose(folder, OsStr::new(&name), &path, &Everything, (), &options));
        Ok(())
    }
}

fn failed(folder: &Dir, name: &str) -> impl FnOnce(io::Error) -> NotRemoved + use<> {
    NotRemoved::io(folder.path().join(name))
}
