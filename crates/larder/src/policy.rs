//! Which policy a prune has: the settings', or that of the flags.
//!
//! Without a flag that wants something gone, the settings decide. With one, only the flags want:
//! who asks for `--max-size 10GB` does not also ask for the default ages. What protects (the
//! roots, `protect`) stays in force either way, until a flag of the same name replaces it.

use std::path::{Path, PathBuf};

use larder_core::{Allocated, CacheKind, Policy};

use crate::args::PolicyArgs;
use crate::exit::CliError;
use crate::settings::{CacheSettings, Settings};

/// The default policy of a cache: what `status` calls reclaimable, and `prune` does unasked.
pub fn settled(settings: &Settings, cache: CacheKind) -> Policy {
    let from: &CacheSettings = match cache {
        CacheKind::Build | CacheKind::Test => &settings.build,
        CacheKind::Fuzz => &settings.fuzz,
        CacheKind::Mod => &settings.modules,
        CacheKind::Toolchain => &settings.toolchain,
        CacheKind::Vcs => &settings.vcs,
        CacheKind::Sumdb => return Policy::waste_only(),
    };
    Policy {
        max_size: from.max_size,
        max_age: from.max_age,
        keep_used: from.keep_used,
        keep_versions: from.keep_versions,
        orphans: from.orphans,
        protect: from.protect,
    }
}

/// The policy of a prune.
pub fn of(settings: &Settings, cache: CacheKind, flags: &PolicyArgs) -> Policy {
    let mut policy = settled(settings, cache);
    if wants(flags) {
        policy = Policy {
            max_size: flags.max_size.map(Allocated),
            max_age: flags.max_age,
            keep_used: !flags.keep_used.is_empty() && FITS_KEEP_USED.contains(&cache),
            keep_versions: flags.keep_versions.filter(|_| cache == CacheKind::Mod),
            orphans: flags.orphans && cache == CacheKind::Build,
            protect: policy.protect,
        };
    }
    policy.protect = flags.protect.unwrap_or(policy.protect);
    policy
}

/// Whose needs are kept: `--keep-used`, else the settings' roots. Absolute.
pub fn roots(settings: &Settings, flags: &PolicyArgs) -> Result<Vec<PathBuf>, CliError> {
    if flags.keep_used.is_empty() {
        return Ok(settings.roots.clone());
    }
    flags.keep_used.iter().map(|dir| absolute_folder(dir)).collect()
}

/// A flag that fits none of these caches is a mistake, and not silently without effect.
pub fn check(flags: &PolicyArgs, caches: &[CacheKind]) -> Result<(), CliError> {
    let fits: [(bool, &str, &[CacheKind]); 3] = [
        (!flags.keep_used.is_empty(), "--keep-used", &FITS_KEEP_USED),
        (flags.keep_versions.is_some(), "--keep-versions", &[CacheKind::Mod]),
        (flags.orphans, "--orphans", &[CacheKind::Build]),
    ];
    for (given, flag, fit) in fits {
        if given && !caches.iter().any(|cache| fit.contains(cache)) {
            let names: Vec<&str> = fit.iter().map(|cache| cache.name()).collect();
            let what = format!("{flag} has no effect on {}", join(caches));
            return Err(CliError::usage(what).hint(format!("it is for {}", names.join(" and "))));
        }
    }
    Ok(())
}

const FITS_KEEP_USED: [CacheKind; 2] = [CacheKind::Mod, CacheKind::Toolchain];

fn wants(flags: &PolicyArgs) -> bool {
    let PolicyArgs { max_size, max_age, keep_used, keep_versions, orphans, protect: _ } = flags;
    max_size.is_some()
        || max_age.is_some()
        || !keep_used.is_empty()
        || keep_versions.is_some()
        || *orphans
}

fn absolute_folder(dir: &Path) -> Result<PathBuf, CliError> {
    let wrong = |why: String| {
        let error = CliError::usage(format!("--keep-used {}: {why}", dir.display()));
        let cache = dir.to_str().and_then(|name| name.parse::<CacheKind>().ok());
        match cache {
            Some(cache) => {
                error.hint(format!("name caches first: larder prune {cache} --keep-used …"))
            }
            None => error.hint("name a folder that holds projects, as in ~/src"),
        }
    };
    let path = std::path::absolute(dir).map_err(|error| wrong(error.to_string()))?;
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => Ok(path),
        Ok(_) => Err(wrong("it is not a folder".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn join(caches: &[CacheKind]) -> String {
    caches.iter().map(|cache| cache.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::{Input, resolve};

    fn settings() -> Settings {
        let mut input = Input::default();
        input.variables.push(("LARDER_BUILD_PROTECT".into(), "2h".into()));
        resolve(&input).unwrap().settings
    }

    #[test]
    fn a_flag_that_wants_replaces_the_settings_wants_and_not_their_protection() {
        let flags = PolicyArgs { max_size: Some(10), ..PolicyArgs::default() };
        let policy = of(&settings(), CacheKind::Build, &flags);
        assert_eq!((policy.max_size, policy.max_age), (Some(Allocated(10)), None));
        assert_eq!(policy.protect, Duration::from_hours(2));
    }

    #[test]
    fn protect_alone_leaves_the_settings_wants() {
        let flags = PolicyArgs { protect: Some(Duration::ZERO), ..PolicyArgs::default() };
        let policy = of(&settings(), CacheKind::Build, &flags);
        assert_eq!(policy.max_age, Some(Duration::from_hours(5 * 24)));
        assert_eq!(policy.protect, Duration::ZERO);
    }

    #[test]
    fn a_flag_without_effect_is_refused() {
        let flags = PolicyArgs { orphans: true, ..PolicyArgs::default() };
        assert!(check(&flags, &[CacheKind::Build, CacheKind::Mod]).is_ok());
        let error = check(&flags, &[CacheKind::Mod]).unwrap_err();
        assert_eq!(error.what, "--orphans has no effect on mod");
    }
}
