//! Heal in one page: run → it failed: is a cache to blame? → back up and remove what is bad → run
//! again → keep the repair or put everything back.
//!
//! Promises: a command that passes is run once and nothing is looked at; nothing is touched unless
//! a verification found it bad; what is removed is in the trash until the command has passed, and
//! is put back byte for byte where it does not. Every removal goes through the one door.
//!
//! What the output says only orders the work: the module versions that it names are looked at
//! first. Whether a cache is to blame is decided by its bytes, since a changed archive may show
//! in any message, that of a missing function too.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use larder_core::check::Approval;
use larder_core::{CacheKind, Meter, Outcome};

use crate::config::Config;
use crate::cycle::Options;
use crate::error::{EngineError, chain};
use crate::heal_clues::{Clues, clues};
use crate::trash;
use crate::verify::{self, Verified, Wanted};
use crate::world::World;

/// One run of the command.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Its exit status; 128 and the signal's number where one ended it.
    pub code: u8,
    /// The end of what it wrote.
    pub tail: String,
    /// How long it ran.
    pub took: Duration,
    /// Whether a person stopped it.
    pub interrupted: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The command passed at once.
    Passed,
    /// No cache is to blame; nothing was touched.
    NotACache,
    /// The repair was kept: the command passes now.
    Mended,
    /// What the build needed went away while it ran; it passed when it was run again.
    PassedAgain,
    /// The command fails with the repair too; everything was put back.
    DidNotHelp,
    /// As before, but not all could be put back; it is in the trash.
    NotAllBack,
    /// Something is bad and could not be removed, and why.
    NotMended(String),
    /// A person stopped it; what was removed was put back.
    Interrupted,
}

/// What was found, done, and how long each step took.
#[derive(Debug)]
pub struct Healed {
    /// How it ended.
    pub verdict: Verdict,
    /// Each run of the command.
    pub runs: Vec<Ran>,
    /// What the output of the first run points at.
    pub clues: Clues,
    /// What was verified, in that order.
    pub verified: Vec<Verified>,
    /// What was removed, into the trash.
    pub outcomes: Vec<Outcome>,
    /// Trash entries with what stood in the way of putting back.
    pub aside: Vec<String>,
    /// Each step and how long it took.
    pub steps: Vec<(&'static str, Duration)>,
}

/// What healing needs.
pub struct Healer<'a> {
    /// Looks at the machine afresh: the command may have made the caches.
    pub discover: &'a dyn Fn() -> World,
    /// The settings.
    pub config: &'a Config,
    /// The folder in which the command runs, to find its go.sum.
    pub folder: PathBuf,
    /// The arguments, for the plan.
    pub arguments: &'a [String],
    /// How long to wait for locks.
    pub wait: Duration,
    /// Stopped by a signal.
    pub meter: &'a Meter,
}

impl Healer<'_> {
    /// Runs the command, and heals where that is called for. An error is one of running it at
    /// all. `say` is told what happens as it does, one line each.
    pub fn heal(
        &self,
        run: &mut dyn FnMut() -> io::Result<Ran>,
        say: &mut dyn FnMut(&str),
    ) -> io::Result<Healed> {
        let mut healed = Healed {
            verdict: Verdict::Passed,
            runs: Vec::new(),
            clues: Clues::default(),
            verified: Vec::new(),
            outcomes: Vec::new(),
            aside: Vec::new(),
            steps: Vec::new(),
        };
        healed.run("run", run)?;
        if healed.last().code == 0 {
            return Ok(healed);
        }
        if healed.last().interrupted || self.meter.stopped() {
            healed.verdict = Verdict::Interrupted;
            return Ok(healed);
        }
        let world = (self.discover)();
        healed.clues = clues(&healed.last().tail, &world.gocache.path, &world.gomodcache.path);
        healed.verdict = Verdict::NotACache;
        for wanted in self.stages(&healed.clues) {
            if self.stage(&world, &wanted, run, say, &mut healed)? {
                return Ok(healed);
            }
        }
        if !healed.outcomes.is_empty() {
            self.put_back(&world, &mut healed);
        } else if healed.clues.vanished && healed.verdict == Verdict::NotACache {
            say("a file of the build cache went away while the build ran; running it again");
            healed.run("run again", run)?;
            if healed.last().code == 0 {
                healed.verdict = Verdict::PassedAgain;
            }
        }
        Ok(healed)
    }

    /// What is looked at, in this order: the versions that the output names, then everything.
    fn stages(&self, clues: &Clues) -> Vec<Wanted> {
        let projects: Vec<PathBuf> = project_of(&self.folder).into_iter().collect();
        let whole = Wanted { projects: projects.clone(), ..Wanted::default() };
        if clues.versions.is_empty() {
            return vec![whole];
        }
        let named = Wanted {
            caches: vec![CacheKind::Mod],
            only: Some(clues.versions.clone()),
            projects,
            ..Wanted::default()
        };
        vec![named, whole]
    }

    /// Verifies, mends and runs again. Whether that was the end of it.
    fn stage(
        &self,
        world: &World,
        wanted: &Wanted,
        run: &mut dyn FnMut() -> io::Result<Ran>,
        say: &mut dyn FnMut(&str),
        healed: &mut Healed,
    ) -> io::Result<bool> {
        let found =
            healed.step("verify", || verify::verify(world, self.config, wanted, self.meter));
        let mut verified = match found {
            Ok(verified) => verified,
            Err(error) => {
                healed.verdict = Verdict::NotMended(format!("cannot verify: {error}"));
                return Ok(false);
            }
        };
        if self.meter.stopped() {
            self.put_back(world, healed);
            healed.verdict = Verdict::Interrupted;
            return Ok(true);
        }
        let bad: usize = verified.iter().map(|one| one.found.bad.len()).sum();
        if bad == 0 {
            healed.verified.extend(verified);
            return Ok(false);
        }
        say(&format!("the command failed, and {} bad in the caches; mending it", are(bad)));
        let mended = healed.step("mend", || self.mend(world, wanted, &mut verified));
        let left = verified.iter().any(|one| one.found.is_bad());
        healed.verified.extend(verified);
        match mended {
            Ok(Some(outcome)) => {
                let failed = outcome.failed.first().map(|f| format!("{}: {}", f.subject, f.error));
                let skipped =
                    || outcome.skipped.first().map(|s| format!("{}: {}", s.subject, s.reason));
                if let Some(why) = failed.or_else(skipped).filter(|_| left) {
                    healed.verdict = Verdict::NotMended(why);
                }
                healed.outcomes.push(outcome);
            }
            Ok(None) => {
                let why = "what is bad is nothing that larder may remove".to_owned();
                healed.verdict = Verdict::NotMended(why);
                return Ok(false);
            }
            Err(error) => {
                healed.verdict = Verdict::NotMended(chain(&error));
                return Ok(false);
            }
        }
        say("running the command again");
        healed.run("run again", run)?;
        if healed.last().code == 0 {
            healed.verdict = Verdict::Mended;
            return Ok(true);
        }
        if healed.last().interrupted || self.meter.stopped() {
            self.put_back(world, healed);
            healed.verdict = Verdict::Interrupted;
            return Ok(true);
        }
        Ok(false)
    }

    fn mend(
        &self,
        world: &World,
        wanted: &Wanted,
        verified: &mut [Verified],
    ) -> Result<Option<Outcome>, EngineError> {
        let options =
            Options { trash: true, force: false, wait: self.wait, approval: Approval::NotAsked };
        verify::mend(world, self.config, wanted, verified, &options, self.arguments, self.meter)
    }

    /// Restores what was removed, the latest first. What the command made meanwhile in its place
    /// goes aside.
    fn put_back(&self, world: &World, healed: &mut Healed) {
        let ids: Vec<String> =
            healed.outcomes.iter().rev().filter_map(|outcome| outcome.trash_id.clone()).collect();
        let mut whole = true;
        for id in ids {
            let restored = healed.step("put back", || {
                trash::restore(world, self.config, &id, true, &Meter::default())
            });
            match restored {
                Ok(restored) => {
                    whole &= restored.complete;
                    healed.aside.extend(restored.replaced);
                }
                Err(_) => whole = false,
            }
        }
        for bad in healed.verified.iter_mut().flat_map(|one| &mut one.found.bad) {
            bad.fixed = false;
        }
        healed.verdict = if whole { Verdict::DidNotHelp } else { Verdict::NotAllBack };
    }
}

impl Healed {
    /// The last run.
    pub fn last(&self) -> &Ran {
        static NONE: Ran =
            Ran { code: 0, tail: String::new(), took: Duration::ZERO, interrupted: false };
        self.runs.last().unwrap_or(&NONE)
    }

    fn run(
        &mut self,
        name: &'static str,
        run: &mut dyn FnMut() -> io::Result<Ran>,
    ) -> io::Result<()> {
        let ran = self.step(name, run)?;
        self.runs.push(ran);
        Ok(())
    }

    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.steps.push((name, started.elapsed()));
        done
    }
}

fn are(bad: usize) -> String {
    if bad == 1 { "1 thing is".to_owned() } else { format!("{bad} things are") }
}

/// The folder at or above `folder` that has a go.mod.
fn project_of(folder: &std::path::Path) -> Option<PathBuf> {
    folder.ancestors().find(|dir| dir.join("go.mod").is_file()).map(PathBuf::from)
}
