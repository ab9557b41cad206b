//! Apply: the only stage that removes, and only what a checked plan names.
//!
//! Each item is handed to the code that knows its cache, which looks at it again just before it
//! goes. What fails or is left is listed; bytes count after they went.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::{
    CacheKind, CheckedPlan, Failed, Meter, Outcome, PlanItem, RootKind, Size, Skipped, Target, Time,
};
use larder_fs::trash::{Entry, Manifest, Trash, TrashError};
use larder_fs::{Dir, Disposal, Removal, RemoveOptions, clock};
use larder_go::build_layout::BuildLayout;
use larder_go::build_remove::{self, Fate};
use larder_go::mod_clean::Cleaned;
use larder_go::mod_layout::ModLayout;
use larder_go::mod_remove::{self, NotRemoved};
use larder_go::{build_clean, trim};

use crate::config::Config;
use crate::error::{EngineError, chain};
use crate::plan::live_since;
use crate::scan::held_toolchains;
use crate::world::{Root, World};

/// What applying needs.
#[derive(Clone, Copy, Debug)]
pub struct Hands<'a> {
    /// The roots, held open.
    pub world: &'a World,
    /// The settings.
    pub config: &'a Config,
    /// Into the trash instead of away.
    pub trash: bool,
    /// How long to wait for the go command's locks.
    pub wait: Duration,
    /// Progress, and the wish to stop.
    pub meter: &'a Meter,
    /// What goes is bad, so that its having been used does not keep it.
    pub mends: bool,
}

/// Removes what a checked plan names.
pub fn apply(plan: &CheckedPlan, hands: &Hands<'_>) -> Result<Outcome, EngineError> {
    let mut outcome = Outcome { plan_id: plan.plan().id.clone(), ..Outcome::default() };
    for root in [&hands.world.gocache, &hands.world.gomodcache] {
        let items: Vec<&PlanItem> =
            plan.plan().items.iter().filter(|item| item.cache.root() == root.kind).collect();
        if items.is_empty() || root.dir().is_none() {
            continue;
        }
        let entry = hands.trash_entry(root, plan, &items)?;
        let how = entry.as_ref().map_or(Disposal::Delete, Disposal::Trash);
        let mut work =
            Work { hands, how: &how, protect: plan.plan().protect, outcome: &mut outcome };
        if let Some((dir, layout)) = root.build() {
            work.build(dir, layout, &items);
        } else if let Some((dir, layout)) = root.modules() {
            work.modules(dir, *layout, &items);
        }
        if let Some(entry) = entry {
            finish(entry, root, &mut outcome)?;
        }
    }
    outcome.interrupted = hands.meter.stopped();
    Ok(outcome)
}

impl Hands<'_> {
    /// The trash entry for one root; `None` where things go for good.
    fn trash_entry(
        &self,
        root: &Root,
        plan: &CheckedPlan,
        items: &[&PlanItem],
    ) -> Result<Option<Entry>, EngineError> {
        let moves = items.iter().any(|item| item.target != Target::TestResults);
        if !self.trash || !moves {
            return Ok(None);
        }
        let now = clock::now();
        let mut caches: Vec<CacheKind> = items.iter().map(|item| item.cache).collect();
        caches.sort_unstable();
        caches.dedup();
        let manifest = Manifest {
            created_at: now,
            expires_at: Some(now.plus(self.config.trash_keep)),
            plan_id: plan.plan().id.clone(),
            caches,
            paths: items.iter().flat_map(|item| announced(item)).collect(),
        };
        let trash = Trash::beside(&root.path, &self.config.state).waiting(self.wait);
        let create = trash.create(&plan.plan().id, &root.path, &manifest);
        create.map(Some).map_err(|source| trash_error(root, source))
    }

    /// What was used at this time or later stays.
    fn cutoff(&self, protect: Duration) -> Time {
        if self.mends {
            return Time::from_unix_nanos(i64::MAX);
        }
        let protected = match protect {
            Duration::ZERO => Time::from_unix_nanos(i64::MAX),
            protect => clock::now().minus(protect),
        };
        let builds = self.world.builds(RootKind::GoCache);
        let live = live_since(&builds)
            .map(|since| since.minus(larder_core::build_planner::MTIME_INTERVAL));
        live.map_or(protected, |live| live.min(protected))
    }
}

fn trash_error(root: &Root, source: TrashError) -> EngineError {
    EngineError::Trash { path: root.path.clone(), source }
}

/// What an item will move, as far as the plan names it; what a whole clean takes is written down
/// as it goes.
fn announced(item: &PlanItem) -> Vec<PathBuf> {
    match item.target {
        Target::All | Target::TestResults => Vec::new(),
        _ => item.target.paths(),
    }
}

fn finish(entry: Entry, root: &Root, outcome: &mut Outcome) -> Result<(), EngineError> {
    let id = entry.id().to_owned();
    let kept = entry.finish(None).map_err(|source| trash_error(root, source))?;
    if kept {
        outcome.trash_id = Some(id);
    }
    Ok(())
}

/// The work in one root.
struct Work<'a> {
    hands: &'a Hands<'a>,
    how: &'a Disposal<'a>,
    protect: Duration,
    outcome: &'a mut Outcome,
}

impl Work<'_> {
    fn build(&mut self, dir: &Dir, layout: &BuildLayout, items: &[&PlanItem]) {
        let options = RemoveOptions { threads: 0, meter: self.hands.meter };
        let (mut actions, mut single, mut stamps) = (Vec::new(), Vec::new(), Vec::new());
        for &item in items {
            match (&item.target, item.cache) {
                (Target::All, CacheKind::Build) => {
                    let removal = build_clean::clean_build(dir, layout, self.how, &options);
                    self.whole(item, removal);
                }
                (Target::All, CacheKind::Fuzz) => {
                    let removal = build_clean::clean_fuzz(dir, layout, self.how, &options);
                    self.whole(item, removal);
                }
                (Target::TestResults, _) => stamps.push(item),
                (Target::Entry { output: None, .. }, _) => actions.push(item),
                _ => single.push(item),
            }
        }
        let cutoff = self.hands.cutoff(self.protect);
        let remover = build_remove::Remover::new(dir, self.how, cutoff, self.hands.meter);
        // No action is left whose output went before it.
        for run in [actions, single] {
            for (item, answer) in run.iter().zip(remover.remove_all(&run, 0)) {
                match answer {
                    Ok(Fate::Gone(size)) => self.gone(item.cache, 1, size),
                    Ok(Fate::Skipped(why)) => self.skipped(&item.subject(), why),
                    Err(error) => self.failed(&item.subject(), error.to_string()),
                }
            }
        }
        for item in stamps {
            self.expire_tests(dir, item);
        }
    }

    fn expire_tests(&mut self, dir: &Dir, item: &PlanItem) {
        match trim::expire_tests(dir, clock::now(), self.hands.wait, self.hands.meter) {
            Ok(true) => self.outcome.removed.items += 1,
            Ok(false) => self.skipped(&item.subject(), "testexpire.txt is already later than now"),
            Err(error) => self.failed(&item.subject(), error.to_string()),
        }
    }

    fn modules(&mut self, dir: &Dir, layout: ModLayout, items: &[&PlanItem]) {
        let remover = mod_remove::Remover {
            root: dir,
            layout,
            how: self.how,
            wait: self.hands.wait,
            threads: 0,
            meter: self.hands.meter,
        };
        let (whole, single): (Vec<&PlanItem>, Vec<&PlanItem>) =
            items.iter().copied().partition(|item| item.target == Target::All);
        for item in whole {
            let cleaned = remover.clean(item.cache, &held_toolchains(self.hands.world));
            self.cleaned(item, cleaned);
        }
        for (item, answer) in single.iter().zip(remover.remove_all(&single)) {
            match answer {
                Ok(done) => {
                    self.gone(item.cache, 1, done.size);
                    self.left(done.left);
                    self.errors(done.errors);
                }
                Err(NotRemoved::Skipped(why)) => self.skipped(&item.subject(), why),
                Err(NotRemoved::Stopped) => {
                    self.skipped(&item.subject(), "was not reached before the work was stopped");
                }
                Err(error) => self.failed(&item.subject(), chain(&error)),
            }
        }
    }

    /// One removal of all of a cache.
    fn whole(&mut self, item: &PlanItem, removal: Removal) {
        self.outcome.whole.push(item.cache);
        let items = u64::from(self.is_trash() || removal.freed.files > 0);
        self.gone(item.cache, items, removal.freed);
        self.left(removal.left);
        self.errors(removal.errors);
    }

    fn cleaned(&mut self, item: &PlanItem, cleaned: Cleaned) {
        self.outcome.whole.push(item.cache);
        let some = u64::from(self.is_trash() || cleaned.size.files > 0);
        self.gone(item.cache, cleaned.items.max(some), cleaned.size);
        self.outcome.skipped.extend(cleaned.skipped);
        self.left(cleaned.left);
        self.errors(cleaned.errors);
        for path in cleaned.busy {
            self.failed(&path.display(), "is locked by another process");
        }
    }

    /// Where things are only renamed, so that nobody counts them.
    fn is_trash(&self) -> bool {
        matches!(self.how, Disposal::Trash(_))
    }

    fn gone(&mut self, cache: CacheKind, items: u64, size: Size) {
        let outcome = &mut *self.outcome;
        outcome.removed.items += items;
        outcome.removed.files += size.files;
        match self.how {
            Disposal::Delete => outcome.freed += size,
            Disposal::Trash(_) => outcome.trashed += size,
        }
        match outcome.gone.iter_mut().find(|(kind, _)| *kind == cache) {
            Some((_, sum)) => *sum += size,
            None => outcome.gone.push((cache, size)),
        }
    }

    fn left(&mut self, paths: Vec<PathBuf>) {
        for path in paths {
            self.skipped(&path.display(), "is not the cache's own");
        }
    }

    fn errors(&mut self, errors: Vec<(PathBuf, std::io::Error)>) {
        for (path, error) in errors {
            self.failed(&path.display(), error.to_string());
        }
    }

    fn skipped(&mut self, subject: &impl ToString, reason: impl Into<String>) {
        let skipped = Skipped { subject: subject.to_string(), reason: reason.into() };
        self.outcome.skipped.push(skipped);
    }

    fn failed(&mut self, subject: &impl ToString, error: impl Into<String>) {
        let failed = Failed { subject: subject.to_string(), error: error.into() };
        self.outcome.failed.push(failed);
    }
}
