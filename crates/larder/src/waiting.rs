//! Plans that wait for somebody's approval: files in the state folder, `plans/ID.json`.
//!
//! A plan of what was asked for before takes the place of one that nobody approved, so that what
//! waits is always the newest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use larder_core::check::Approval;
use larder_core::{Plan, Time};

use crate::bridge;
use crate::exit::{CliError, Exit};
use crate::wire_plan::{BadPlan, PlanDoc, PlanFile, file_text};

/// A plan that waits, or was approved and waits for its hour.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub path: PathBuf,
    pub plan: Plan,
    /// The plan as its file says, its approval with it.
    pub file: PlanFile,
    pub approval: Approval,
    /// Who approved it, and when.
    pub approved_by: Option<(String, Time)>,
}

impl Waiting {
    /// Whose things go, each once.
    pub(crate) fn caches(&self) -> Vec<String> {
        let items = self.plan.items.iter().map(|item| item.cache.name().to_owned());
        let mut caches: Vec<String> =
            items.chain(self.plan.keys.iter().map(|item| item.cache.clone())).collect();
        caches.sort_unstable();
        caches.dedup();
        caches
    }
}

fn folder(state: &Path) -> PathBuf {
    state.join("plans")
}

/// Whether a file lies where plans wait.
pub(crate) fn is_in(state: &Path, path: &Path) -> bool {
    path.parent() == Some(&folder(state))
}

/// Writes a plan there, in place of those that ask for the same and were not approved.
pub(crate) fn put(state: &Path, plan: &Plan) -> Result<PathBuf, CliError> {
    let folder = folder(state);
    std::fs::create_dir_all(&folder)
        .map_err(|error| CliError::io("make the folder", &folder, &error))?;
    for old in list(state).iter().filter(|old| old.plan.request == plan.request) {
        if old.approval != Approval::Given {
            // A file that stays is refused as stale when its time is over.
            let _ = forget(&old.path);
        }
    }
    let path = folder.join(format!("{}.json", plan.id));
    larder_fs::write_atomic(&path, file_text(&PlanDoc::from(plan)).as_bytes())
        .map_err(|error| CliError::io("write", &path, &error))?;
    Ok(path)
}

/// Every plan there, the oldest first. What is no plan is left out.
pub(crate) fn list(state: &Path) -> Vec<Waiting> {
    let Ok(files) = std::fs::read_dir(folder(state)) else { return Vec::new() };
    let mut plans: Vec<Waiting> =
        files.flatten().filter_map(|file| read(&file.path()).ok()).collect();
    plans.sort_by(|a, b| (a.plan.created_at, &a.plan.id).cmp(&(b.plan.created_at, &b.plan.id)));
    plans
}

fn read(path: &Path) -> Result<Waiting, BadPlan> {
    let text = std::fs::read_to_string(path).map_err(|error| BadPlan(error.to_string()))?;
    let file = PlanFile::parse(&text)?;
    let plan = file.plan(&bridge::classify)?;
    Ok(Waiting {
        path: path.to_owned(),
        plan,
        approval: file.approval(true),
        approved_by: file.approved_by().map(|(by, at)| (by.to_owned(), at)),
        file,
    })
}

/// What a look into the folder of plans tells without reading again what it knows: a plan may be of
/// a hundred thousand files, and the folder is looked into at every tick.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    plans: BTreeMap<PathBuf, (Stamp, Option<Known>)>,
}

/// What tells a file from the one that stood there before.
type Stamp = (Option<std::time::SystemTime>, u64);

/// A plan that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub id: String,
    pub approval: Approval,
}

impl Seen {
    /// Every plan there, with its file.
    pub(crate) fn look(&mut self, state: &Path) -> Vec<(PathBuf, Known)> {
        let files = std::fs::read_dir(folder(state)).into_iter().flatten().flatten();
        let mut now = BTreeMap::new();
        for file in files {
            let Ok(meta) = file.metadata() else { continue };
            let (path, stamp) = (file.path(), (meta.modified().ok(), meta.len()));
            let known = match self.plans.remove(&path) {
                Some((before, known)) if before == stamp => known,
                _ => read(&path).ok().map(|one| Known { id: one.plan.id, approval: one.approval }),
            };
            now.insert(path, (stamp, known));
        }
        self.plans = now;
        let all = self.plans.iter();
        all.filter_map(|(path, (_, known))| Some((path.clone(), known.clone()?))).collect()
    }
}

/// The plan in this file, where it is one.
pub(crate) fn at(path: &Path) -> Option<Waiting> {
    read(path).ok()
}

/// Takes a plan away, once it was applied or lost its meaning.
pub(crate) fn forget(path: &Path) -> std::io::Result<()> {
    larder_fs::forget_file(path)
}

/// The file that is meant: a path, or the beginning of the id of a plan that waits.
pub(crate) fn file(state: Option<&Path>, typed: &Path) -> Result<PathBuf, CliError> {
    let Some(id) = typed.to_str().filter(|text| is_id(text) && !typed.exists()) else {
        return Ok(typed.to_owned());
    };
    by_id(state.unwrap_or(Path::new("")), id)
}

/// The file of the plan that waits and has this id. Whoever asks over HTTP says all of it, so that
/// nothing is approved by a slip.
pub(crate) fn by_whole_id(state: &Path, id: &str) -> Result<PathBuf, CliError> {
    let path = folder(state).join(format!("{id}.json"));
    match list(state).into_iter().find(|waiting| waiting.plan.id == id && waiting.path == path) {
        Some(_) => Ok(path),
        None => Err(CliError::new(Exit::Usage, format!("no plan {id:?} waits"))),
    }
}

/// The file of the plan that waits and whose id begins like this.
pub(crate) fn by_id(state: &Path, id: &str) -> Result<PathBuf, CliError> {
    let plans = list(state);
    let mut found = plans.iter().filter(|waiting| waiting.plan.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.path.clone()),
        (Some(_), Some(_)) => {
            let what = format!("{id} is the beginning of several plans");
            Err(CliError::usage(what).hint("type more of it: larder plans"))
        }
        (None, _) => {
            let what = format!("no plan {id} waits, and there is no such file");
            Err(CliError::new(Exit::Usage, what).hint("see what waits with larder plans"))
        }
    }
}

/// Ids are eight hexadecimal digits, and four of them are enough to type.
fn is_id(text: &str) -> bool {
    (4..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Plan {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        larder_engine::keys::plan(&words, Vec::new())
    }

    #[test]
    fn a_newer_plan_of_the_same_takes_the_place_of_one_that_nobody_approved() {
        let state = tempfile::tempdir().unwrap();
        let first = plan(&["prune", "build"]);
        let other = plan(&["prune", "mod"]);
        let second = plan(&["prune", "build"]);
        for plan in [&first, &other, &second] {
            put(state.path(), plan).unwrap();
        }
        let ids: Vec<String> = list(state.path()).into_iter().map(|w| w.plan.id).collect();
        assert_eq!(ids, [other.id.as_str(), second.id.as_str()]);
        // Approved, it stays beside a newer one.
        let path = file(Some(state.path()), Path::new(&second.id[..6])).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let approved = PlanFile::parse(&text).unwrap().approved(larder_fs::now(), "somebody");
        std::fs::write(&path, approved).unwrap();
        put(state.path(), &plan(&["prune", "build"])).unwrap();
        let all = list(state.path());
        assert_eq!(all.len(), 3);
        let given = all.iter().find(|w| w.plan.id == second.id).unwrap();
        assert_eq!(given.approval, Approval::Given);
        assert_eq!(given.approved_by.as_ref().unwrap().0, "somebody");
    }

    #[test]
    fn a_look_reads_what_is_new_and_sees_an_approval() {
        let state = tempfile::tempdir().unwrap();
        let mut seen = Seen::default();
        assert!(seen.look(state.path()).is_empty());
        let plan = plan(&["prune", "build"]);
        let path = put(state.path(), &plan).unwrap();
        let looked = seen.look(state.path());
        assert_eq!((looked.len(), &looked[0].0, &looked[0].1.id), (1, &path, &plan.id));
        assert_ne!(looked[0].1.approval, Approval::Given);
        assert_eq!(seen.look(state.path()), looked);
        let text = std::fs::read_to_string(&path).unwrap();
        let approved = PlanFile::parse(&text).unwrap().approved(larder_fs::now(), "somebody");
        std::fs::write(&path, approved).unwrap();
        assert_eq!(seen.look(state.path())[0].1.approval, Approval::Given);
        assert_eq!(by_whole_id(state.path(), &plan.id).unwrap(), path);
        for other in [&plan.id[..4], "", "../plans", "*"] {
            assert_eq!(by_whole_id(state.path(), other).unwrap_err().exit, Exit::Usage);
        }
        forget(&path).unwrap();
        assert!(seen.look(state.path()).is_empty());
    }

    #[test]
    fn what_is_typed_is_a_file_or_an_id() {
        let state = tempfile::tempdir().unwrap();
        let plain = Path::new("plan.json");
        assert_eq!(file(Some(state.path()), plain).unwrap(), plain);
        assert_eq!(file(None, Path::new("0a1b2c3d")).unwrap_err().exit, Exit::Usage);
        std::fs::create_dir(state.path().join("plans")).unwrap();
        std::fs::write(state.path().join("plans/00000000.json"), "no plan").unwrap();
        assert!(list(state.path()).is_empty());
    }
}
