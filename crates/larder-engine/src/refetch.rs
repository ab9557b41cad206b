//! After the bad parts of module versions were removed: fetched again, proven before they are in
//! place, and only then counted as mended.
//!
//! What was proven by a verification a moment ago needs no second proof: a folder is unpacked
//! again from its zip without asking anybody, so most repairs work offline.

use std::collections::{BTreeMap, HashMap};

use larder_core::{Bad, CacheKind, Check, Failed, Meter, Outcome, RootKind};
use larder_fs::Dir;
use larder_go::h1::H1;
use larder_go::mod_list;
use larder_go::mod_names::download_folder;
use larder_go::mod_verify::{NO_ZIPHASH, ProjectSum};
use larder_go::module_path::ModuleVersion;
use larder_go::module_zip::Scratch;
use larder_modules::{Expect, Fetcher, ProjectSums, Proof, Unproven, VersionError};

use crate::config::Config;
use crate::net::{Net, most_jobs};
use crate::world::World;

/// Fetches again what was removed, and rewrites lists; marks what is mended.
pub(crate) fn refetch(
    world: &World,
    config: &Config,
    bad: &mut [Bad],
    sums: Vec<ProjectSum>,
    outcome: &mut Outcome,
    meter: &Meter,
) {
    let Some((dir, _)) = world.gomodcache.modules() else { return };
    rewrite_lists(dir, config, bad, meter);
    let mut wanted = versions(bad);
    wanted.extend(bad.iter().filter(|bad| lacks_ziphash(bad)).filter_map(|bad| {
        let (path, version) = bad.subject.rsplit_once('@')?;
        Some((ModuleVersion::new(path, version), true))
    }));
    if wanted.is_empty() && !bad.iter().any(contradicted_go_mod) {
        return;
    }
    // What could not be removed is not fetched either; what was removed is only half the work.
    for bad in bad.iter_mut().filter(|bad| needs_fetching(bad)) {
        bad.fixed = false;
    }
    let mut net = match Net::new(world, config, dir, most_jobs(world)) {
        Ok(net) => net,
        Err(error) => {
            for module in wanted.keys() {
                outcome.failed.push(failed(module, &error.to_string()));
            }
            return;
        }
    };
    let projects = sums.into_iter().map(|project| ProjectSums(vec![project.sum])).collect();
    let expect = Trusting {
        proof: Proof::new(projects, net.settings.clone(), net.database.take()),
        trusted: trusted(bad),
    };
    let fetcher = net.fetcher(dir, &expect, config.wait, meter);
    for bad in bad.iter_mut().filter(|bad| contradicted_go_mod(bad)) {
        let Some((path, version)) = bad.subject.rsplit_once('@') else { continue };
        let module = ModuleVersion::new(path, version);
        match fetcher.renew_go_mod(&module) {
            Ok(()) => bad.fixed = true,
            Err(error) => outcome.failed.push(Failed {
                subject: bad.subject.clone(),
                error: format!("what is there stays, for what is served is no better: {error}"),
            }),
        }
    }
    let mut scratch = Scratch::default();
    for (module, whole) in &wanted {
        match again(&fetcher, module, *whole, &mut scratch) {
            Ok(()) => mark(bad, module, *whole),
            Err(error) => outcome.failed.push(failed(module, &error.to_string())),
        }
    }
}

fn again(
    fetcher: &Fetcher<'_>,
    module: &ModuleVersion,
    whole: bool,
    scratch: &mut Scratch,
) -> Result<(), VersionError> {
    if whole { fetcher.version(module, scratch).map(|_| ()) } else { fetcher.description(module) }
}

fn failed(module: &ModuleVersion, error: &str) -> Failed {
    let error = format!("what was bad is removed, but it cannot be fetched again: {error}");
    Failed { subject: module.to_string(), error }
}

/// The versions of which something went, and whether more of them than `.info` and `.mod`.
fn versions(bad: &[Bad]) -> BTreeMap<ModuleVersion, bool> {
    let mut wanted = BTreeMap::new();
    for bad in bad.iter().filter(|bad| needs_fetching(bad) && bad.fixed) {
        let Some((path, version)) = bad.subject.rsplit_once('@') else { continue };
        let content = !matches!(bad.check, Check::Info | Check::GoMod)
            && !bad.removes.iter().all(|path| path.extension().is_some_and(|e| e == "mod"));
        *wanted.entry(ModuleVersion::new(path, version)).or_default() |= content;
    }
    wanted
}

/// A `.mod` that a go.sum contradicts and nothing else speaks against: it is replaced only by one
/// that the go.sum agrees with.
fn contradicted_go_mod(bad: &Bad) -> bool {
    bad.check == Check::GoSum
        && bad.removes.is_empty()
        && bad.path.extension().is_some_and(|extension| extension == "mod")
        && bad.path.file_name().is_none_or(|name| name != "go.mod")
}

/// A zip without its hash, which is made from it; nothing has to go.
fn lacks_ziphash(bad: &Bad) -> bool {
    bad.check == Check::Ziphash
        && bad.removes.is_empty()
        && bad.cache.root() == RootKind::GoModCache
        && bad.found == NO_ZIPHASH
}

/// A leftover is mended by its removal alone.
fn needs_fetching(bad: &Bad) -> bool {
    matches!(bad.cache, CacheKind::Mod | CacheKind::Toolchain)
        && bad.check != Check::Leftover
        && !bad.removes.is_empty()
}

/// What was fetched `whole` agrees with every go.sum, so a content that did not is gone too.
fn mark(bad: &mut [Bad], module: &ModuleVersion, whole: bool) {
    let subject = module.to_string();
    let mended = |bad: &&mut Bad| {
        let content = bad.check == Check::GoSum && bad.path.extension().is_some_and(|e| e == "zip");
        needs_fetching(bad) || lacks_ziphash(bad) || whole && content
    };
    for bad in bad.iter_mut().filter(|bad| bad.subject == subject).filter(mended) {
        bad.fixed = true;
    }
}

fn rewrite_lists(dir: &Dir, config: &Config, bad: &mut [Bad], meter: &Meter) {
    for bad in bad.iter_mut().filter(|bad| bad.check == Check::List) {
        let folder = bad
            .subject
            .strip_prefix("list of ")
            .and_then(download_folder)
            .and_then(|path| dir.open_path(&path).ok());
        let Some(folder) = folder else { continue };
        bad.fixed = mod_list::rewrite(&folder, config.wait, meter).is_ok();
    }
}

/// What the zip of a version was found to be, where nothing but its folder or its `.ziphash` is
/// bad: its `.mod` was found good by the same verification.
fn trusted(bad: &[Bad]) -> HashMap<ModuleVersion, H1> {
    let zip_is_good = |bad: &Bad| {
        matches!(bad.check, Check::Folder | Check::Ziphash)
            // Where nothing was there to hold it against, it has to be proven.
            && bad.found != NO_ZIPHASH
            && bad.cache.root() == RootKind::GoModCache
            && !bad.removes.iter().any(|path| path.extension().is_some_and(|e| e == "zip"))
    };
    let alone = |one: &&Bad| {
        zip_is_good(one) && bad.iter().filter(|b| b.subject == one.subject).all(zip_is_good)
    };
    bad.iter()
        .filter(alone)
        .filter_map(|bad| {
            let (path, version) = bad.subject.rsplit_once('@')?;
            Some((ModuleVersion::new(path, version), bad.expected.parse().ok()?))
        })
        .collect()
}

/// Trusts a zip that was in the cache and good; asks for proof of everything else.
struct Trusting {
    proof: Proof,
    trusted: HashMap<ModuleVersion, H1>,
}

impl Expect for Trusting {
    fn check(&self, module: &ModuleVersion, key: &str, found: H1) -> Result<(), Unproven> {
        if let Some(zip) = self.trusted.get(module)
            && (key != module.version || *zip == found)
        {
            return Ok(());
        }
        self.proof.check(module, key, found)
    }
}
