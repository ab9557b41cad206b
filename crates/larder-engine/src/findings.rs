//! Findings: what is worth doing, each with the exact command that does it.
//!
//! `frees` is what planning that very command on the same measurement says, so the number on the
//! screen is the number freed.

use larder_core::count::grouped;
use larder_core::time::{Age, Typed};
use larder_core::{Allocated, CacheKind, Finding, Policy, Severity, Unit};
use larder_fs::disk;
use larder_go::fuzz;
use larder_go::trim::{TRIM_AGE, trim_state, untrimmed};

use crate::select::Selection;
use crate::status::Examined;

/// Less than this is not worth a line.
const WORTH: Allocated = Allocated(1_000_000);

/// From this size on it is worth saying that the roots are not set.
const WORTH_ASKING: Allocated = Allocated(1_000_000_000);

/// All that is found, the most urgent first.
pub(crate) fn find(examined: &Examined<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = [
        untrimmed_build(examined),
        unnamed_outputs(examined),
        unneeded_versions(examined),
        unselected_toolchains(examined),
        incomplete_projects(examined),
        unreadable_roots(examined),
        no_roots(examined),
        stale_fuzz(examined),
        leftovers(examined),
        foreign_build(examined),
        foreign_mod(examined),
    ]
    .into_iter()
    .flatten()
    .chain(over_budget(examined))
    .chain(network_disks(examined))
    .collect();
    findings.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then(b.frees.cmp(&a.frees)).then(a.id.cmp(b.id))
    });
    findings
}

/// What a policy frees now, with waste apart: the part that the policy itself asks for.
fn frees(examined: &Examined<'_>, cache: CacheKind, policy: &Policy) -> Allocated {
    examined.basis.select(cache, policy).total().allocated
}

fn protect(examined: &Examined<'_>, cache: CacheKind) -> Policy {
    Policy { protect: examined.config.policy(cache).protect, ..Policy::waste_only() }
}

/// Go would have trimmed these, had `trim.txt` not come from elsewhere.
fn untrimmed_build(examined: &Examined<'_>) -> Option<Finding> {
    let snapshot = &examined.basis.snapshot;
    let build = snapshot.build.as_ref()?;
    let dir = examined.world.gocache.dir()?;
    let oldest = build.inventory.uses().map(|(_, earliest)| earliest);
    let late = untrimmed(trim_state(dir, snapshot.taken_at), oldest, snapshot.taken_at)?;
    let policy = Policy { max_age: Some(TRIM_AGE), ..protect(examined, CacheKind::Build) };
    let frees = frees(examined, CacheKind::Build, &policy);
    let since = Age(late.oldest);
    let message = match late.stamped {
        Some(_) => format!(
            "build holds entries unused for {since} that Go has not trimmed: its trim.txt is \
             newer than its last trim, as when it was restored with a CI cache"
        ),
        None => format!("build has never been trimmed and holds entries unused for {since}"),
    };
    Some(Finding {
        id: "build-untrimmed",
        cache: CacheKind::Build,
        severity: Severity::Warning,
        message,
        command: Some(format!("larder prune build --max-age {}", Typed(TRIM_AGE))),
        frees: Some(frees),
    })
}

/// Outputs that no action names.
fn unnamed_outputs(examined: &Examined<'_>) -> Option<Finding> {
    let policy = protect(examined, CacheKind::Build);
    let Selection::Build(build) = examined.basis.select(CacheKind::Build, &policy) else {
        return None;
    };
    let outputs = build.chosen.iter().filter(|chosen| chosen.action.is_none());
    let frees = build.chosen.iter().map(|chosen| chosen.size.allocated).sum();
    (frees >= WORTH).then(|| Finding {
        id: "build-unnamed-outputs",
        cache: CacheKind::Build,
        severity: Severity::Info,
        message: format!("{} build outputs that no action names", number(outputs.count())),
        command: Some("larder prune build --waste".to_owned()),
        frees: Some(frees),
    })
}

/// Module versions that no root needs.
fn unneeded_versions(examined: &Examined<'_>) -> Option<Finding> {
    let needs = examined.needs.as_ref()?;
    let policy = Policy { keep_used: true, ..protect(examined, CacheKind::Mod) };
    let Selection::Units(units) = examined.basis.select(CacheKind::Mod, &policy) else {
        return None;
    };
    let frees: Allocated = units.items.iter().filter_map(|i| i.size).map(|s| s.allocated).sum();
    (frees >= WORTH).then(|| Finding {
        id: "mod-unneeded",
        cache: CacheKind::Mod,
        severity: Severity::Warning,
        message: format!(
            "{} module versions that none of {} needs",
            number(units.items.len()),
            projects(needs.projects.len()),
        ),
        command: Some(format!("larder prune mod --keep-used {}", roots(examined))),
        frees: Some(frees),
    })
}

/// Toolchains that no root selects.
fn unselected_toolchains(examined: &Examined<'_>) -> Option<Finding> {
    let needs = examined.needs.as_ref()?;
    let policy = Policy { keep_used: true, ..protect(examined, CacheKind::Toolchain) };
    let Selection::Units(units) = examined.basis.select(CacheKind::Toolchain, &policy) else {
        return None;
    };
    let frees: Allocated = units.items.iter().filter_map(|i| i.size).map(|s| s.allocated).sum();
    (frees >= WORTH).then(|| Finding {
        id: "toolchain-unselected",
        cache: CacheKind::Toolchain,
        severity: Severity::Warning,
        message: format!(
            "{} toolchains that none of {} selects",
            number(units.items.len()),
            projects(needs.projects.len()),
        ),
        command: Some(format!("larder prune toolchain --keep-used {}", roots(examined))),
        frees: Some(frees),
    })
}

/// Projects whose needs cannot be worked out, so that all they may need is kept.
fn incomplete_projects(examined: &Examined<'_>) -> Option<Finding> {
    let needs = examined.needs.as_ref()?;
    let unclear: Vec<_> = needs.projects.iter().filter(|p| !p.missing.is_empty()).collect();
    let first = unclear.first()?;
    Some(Finding {
        id: "project-needs-unknown",
        cache: CacheKind::Mod,
        severity: Severity::Info,
        message: format!(
            "what {} of {} need cannot be worked out, so all they may need is kept; {}: {}",
            number(unclear.len()),
            projects(needs.projects.len()),
            first.display,
            first.missing.first().map_or("", String::as_str),
        ),
        command: None,
        frees: None,
    })
}

/// A root that is missing, or a go.mod in it that cannot be parsed.
fn unreadable_roots(examined: &Examined<'_>) -> Option<Finding> {
    let error = examined.needs_error.as_ref()?;
    Some(Finding {
        id: "roots-unreadable",
        cache: CacheKind::Mod,
        severity: Severity::Warning,
        message: format!("what the projects need is not known: {error}"),
        command: Some("larder config show roots".to_owned()),
        frees: None,
    })
}

/// So many versions, and nobody has said where the projects are.
fn no_roots(examined: &Examined<'_>) -> Option<Finding> {
    let versions = examined.basis.snapshot.units(CacheKind::Mod).count();
    let size = examined.basis.snapshot.size(CacheKind::Mod).allocated;
    (examined.config.roots.is_empty() && size >= WORTH_ASKING).then(|| Finding {
        id: "roots-unset",
        cache: CacheKind::Mod,
        severity: Severity::Info,
        message: format!(
            "which of {} module versions are still needed is not known: say where your projects are",
            number(versions)
        ),
        command: Some("larder prune mod --keep-used ~/src -n".to_owned()),
        frees: None,
    })
}

/// Fuzzing data older than the last change of its target.
fn stale_fuzz(examined: &Examined<'_>) -> Option<Finding> {
    let units = &examined.basis.snapshot.units;
    let stale = fuzz::outdated(units, &|package| crate::present::source_of(examined, package));
    let first = &stale.first()?.subject;
    Some(Finding {
        id: "fuzz-stale",
        cache: CacheKind::Fuzz,
        severity: Severity::Info,
        message: format!(
            "{} fuzz targets have data older than their last change, such as {first}",
            number(stale.len()),
        ),
        command: Some("larder clean fuzz".to_owned()),
        frees: Some(examined.basis.snapshot.size(CacheKind::Fuzz).allocated),
    })
}

/// What interrupted downloads left.
fn leftovers(examined: &Examined<'_>) -> Option<Finding> {
    let snapshot = &examined.basis.snapshot;
    let left: Vec<&Unit> = snapshot.units(CacheKind::Mod).filter(|u| u.waste.is_some()).collect();
    if left.is_empty() {
        return None;
    }
    let policy = protect(examined, CacheKind::Mod);
    Some(Finding {
        id: "mod-leftovers",
        cache: CacheKind::Mod,
        severity: Severity::Warning,
        message: format!("{} leftovers of interrupted downloads", number(left.len())),
        command: Some("larder prune mod --waste".to_owned()),
        frees: Some(frees(examined, CacheKind::Mod, &policy)),
    })
}

/// Caches over the `max-size` of the settings.
fn over_budget(examined: &Examined<'_>) -> Vec<Finding> {
    let over = |cache: CacheKind| {
        let budget = examined.config.policy(cache).max_size?;
        let size = examined.basis.snapshot.size(cache).allocated;
        (size > budget).then(|| Finding {
            id: "over-budget",
            cache,
            severity: Severity::Warning,
            message: format!("{cache} is over its max-size"),
            command: Some(format!("larder prune {cache}")),
            frees: Some(frees(examined, cache, &examined.config.policy(cache))),
        })
    };
    [CacheKind::Build, CacheKind::Fuzz, CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs]
        .into_iter()
        .filter_map(over)
        .collect()
}

/// GOCACHE on a network file system is unsafe (`cmd/go/internal/cache/cache.go`, `Open`).
fn network_disks(examined: &Examined<'_>) -> Vec<Finding> {
    let roots =
        [(CacheKind::Build, &examined.world.gocache), (CacheKind::Mod, &examined.world.gomodcache)];
    roots
        .into_iter()
        .filter(|(_, root)| root.dir().is_some())
        .filter_map(|(cache, root)| {
            let disk = disk::disk(&root.path).ok().filter(|disk| disk.network)?;
            Some(Finding {
                id: "network-file-system",
                cache,
                severity: Severity::Warning,
                message: format!(
                    "{} lies on a network file system ({}), where the go command's locks may not hold",
                    root.kind, disk.file_system
                ),
                command: Some(format!("go env -w {}=/a/local/folder", root.kind)),
                frees: None,
            })
        })
        .collect()
}

fn foreign_build(examined: &Examined<'_>) -> Option<Finding> {
    let build = examined.basis.snapshot.build.as_ref()?;
    let first = build.foreign.first()?;
    let path = examined.world.gocache.path.join(first);
    Some(foreign(CacheKind::Build, build.foreign.len(), &path.display().to_string()))
}

fn foreign_mod(examined: &Examined<'_>) -> Option<Finding> {
    let modules = examined.basis.snapshot.modules.as_ref()?;
    let first = modules.foreign.first()?;
    let path = examined.world.gomodcache.path.join(&first.path);
    let count = modules.foreign.len() + usize::try_from(modules.more_foreign).unwrap_or(0);
    Some(foreign(CacheKind::Mod, count, &format!("{}, {}", path.display(), first.kind.phrase())))
}

/// What is not the cache's own: reported, never removed.
fn foreign(cache: CacheKind, count: usize, first: &str) -> Finding {
    let message = match count {
        1 => format!("1 thing that is not Go's, which larder leaves alone: {first}"),
        n => {
            format!("{} things that are not Go's, which larder leaves alone: {first}, …", number(n))
        }
    };
    Finding { id: "foreign", cache, severity: Severity::Info, message, command: None, frees: None }
}

fn projects(count: usize) -> String {
    if count == 1 { "1 project".to_owned() } else { format!("{} projects", number(count)) }
}

/// The roots of the settings as one would type them.
fn roots(examined: &Examined<'_>) -> String {
    let quoted = |path: &std::path::PathBuf| {
        let text = examined.world.go.display(path);
        if text.contains(|c: char| c.is_whitespace() || "'\"$&;()<>|*?".contains(c)) {
            format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
        } else {
            text
        }
    };
    examined.config.roots.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn number(count: usize) -> String {
    grouped(count as u64)
}
