//! What was asked for, and which policy that means for each cache.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::{Allocated, CacheKind, Policy};

use crate::config::Config;

/// The two ways to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// All of what is named.
    Clean,
    /// What a policy no longer wants.
    Prune,
}

/// The policies that were given as flags.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `--max-size`.
    pub max_size: Option<Allocated>,
    /// `--max-age`.
    pub max_age: Option<Duration>,
    /// `--keep-used DIR…`; empty where it was not given.
    pub keep_used: Vec<PathBuf>,
    /// `--keep-versions`.
    pub keep_versions: Option<u32>,
    /// `--orphans`.
    pub orphans: bool,
    /// `--waste`: only what nothing can reach any more, which goes with every prune.
    pub waste: bool,
    /// `--protect`.
    pub protect: Option<Duration>,
}

/// A request to remove.
#[derive(Clone, Debug)]
pub struct Request {
    /// How.
    pub verb: Verb,
    /// Which caches; empty where a prune names none.
    pub caches: Vec<CacheKind>,
    /// Flags of a prune.
    pub wishes: Wishes,
    /// The arguments as given, for the plan.
    pub arguments: Vec<String>,
}

/// The request makes no sense. Nothing was touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A flag that says nothing about a cache.
    #[error("{flag} says nothing about {cache}; it is for {}", join(fits))]
    DoesNotFit {
        /// The flag.
        flag: &'static str,
        /// The cache that was named.
        cache: CacheKind,
        /// What it is for.
        fits: &'static [CacheKind],
    },
    /// A size is one cache's.
    #[error(
        "--max-size is the size of one cache; name it, as in `larder prune build --max-size 10GB`"
    )]
    SizeOfWhich,
    /// Nothing to prune there.
    #[error("{cache} has nothing to prune; `larder clean {cache}` empties it")]
    NothingToPrune {
        /// The cache.
        cache: CacheKind,
    },
}

fn join(caches: &[CacheKind]) -> String {
    let names: Vec<&str> = caches.iter().map(|cache| cache.name()).collect();
    names.join(" and ")
}

const PRUNED: &[CacheKind] =
    &[CacheKind::Build, CacheKind::Fuzz, CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs];
const NEEDED: &[CacheKind] = &[CacheKind::Mod, CacheKind::Toolchain];
const BUILT: &[CacheKind] = &[CacheKind::Build];

impl Wishes {
    /// Whether a flag asks for something to go.
    pub fn any(&self) -> bool {
        self.max_size.is_some()
            || self.max_age.is_some()
            || !self.keep_used.is_empty()
            || self.keep_versions.is_some()
            || self.orphans
            || self.waste
    }

    /// The flags that say nothing about every cache, with the caches they are for.
    fn limits(&self) -> impl Iterator<Item = (&'static str, &'static [CacheKind])> {
        [
            (!self.keep_used.is_empty()).then_some(("--keep-used", NEEDED)),
            self.keep_versions.map(|_| ("--keep-versions", NEEDED)),
            self.orphans.then_some(("--orphans", BUILT)),
        ]
        .into_iter()
        .flatten()
    }
}

impl Request {
    /// The caches it is about: those named, else those that every flag fits.
    pub fn settle(&self) -> Result<Vec<CacheKind>, BadRequest> {
        if self.verb == Verb::Clean {
            return Ok(covered(&self.caches));
        }
        if self.caches.is_empty() {
            if self.wishes.max_size.is_some() {
                return Err(BadRequest::SizeOfWhich);
            }
            let fits = |cache: &CacheKind| self.wishes.limits().all(|(_, l)| l.contains(cache));
            return Ok(PRUNED.iter().copied().filter(fits).collect());
        }
        for &cache in &self.caches {
            if !PRUNED.contains(&cache) {
                return Err(BadRequest::NothingToPrune { cache });
            }
            if let Some((flag, fits)) = self.wishes.limits().find(|(_, l)| !l.contains(&cache)) {
                return Err(BadRequest::DoesNotFit { flag, cache, fits });
            }
        }
        Ok(in_order(&self.caches))
    }

    /// The policy for one cache. Flags replace what the settings want gone; what the settings
    /// protect stays protected.
    pub fn policy(&self, cache: CacheKind, config: &Config) -> Policy {
        let settings = config.policy(cache);
        let protect = self.wishes.protect.unwrap_or(settings.protect);
        if !self.wishes.any() {
            return Policy { protect, ..settings };
        }
        Policy {
            max_size: self.wishes.max_size,
            max_age: self.wishes.max_age,
            keep_used: !self.wishes.keep_used.is_empty(),
            keep_versions: self.wishes.keep_versions,
            orphans: self.wishes.orphans,
            protect,
        }
    }

    /// Whose needs are kept: the given folders and those of the settings.
    pub fn roots(&self, config: &Config) -> Vec<PathBuf> {
        let mut roots = self.wishes.keep_used.clone();
        roots.extend(config.roots.iter().filter(|r| !self.wishes.keep_used.contains(r)).cloned());
        roots
    }
}

/// Each once, in the order of [`CacheKind::ALL`].
fn in_order(caches: &[CacheKind]) -> Vec<CacheKind> {
    CacheKind::ALL.into_iter().filter(|cache| caches.contains(cache)).collect()
}

/// `clean mod` takes all of GOMODCACHE, and `clean build` the test results with it: what another
/// named cache covers is left out.
fn covered(caches: &[CacheKind]) -> Vec<CacheKind> {
    let whole = |root| match root {
        larder_core::RootKind::GoCache => CacheKind::Build,
        larder_core::RootKind::GoModCache => CacheKind::Mod,
    };
    in_order(caches)
        .into_iter()
        .filter(|&cache| {
            let cover = whole(cache.root());
            cache == cover || cache == CacheKind::Fuzz || !caches.contains(&cover)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prune(caches: &[CacheKind], wishes: Wishes) -> Request {
        Request { verb: Verb::Prune, caches: caches.to_vec(), wishes, arguments: Vec::new() }
    }

    #[test]
    fn a_flag_that_does_not_fit_is_refused_and_narrows_where_none_is_named() {
        let orphans = Wishes { orphans: true, ..Wishes::default() };
        assert!(matches!(
            prune(&[CacheKind::Mod], orphans.clone()).settle(),
            Err(BadRequest::DoesNotFit { flag: "--orphans", .. })
        ));
        assert_eq!(prune(&[], orphans).settle(), Ok(vec![CacheKind::Build]));
        let size = Wishes { max_size: Some(Allocated(1)), ..Wishes::default() };
        assert_eq!(prune(&[], size).settle(), Err(BadRequest::SizeOfWhich));
        assert!(prune(&[CacheKind::Test], Wishes::default()).settle().is_err());
    }

    #[test]
    fn a_clean_of_the_whole_covers_its_parts() {
        let clean = Request {
            verb: Verb::Clean,
            caches: vec![CacheKind::Vcs, CacheKind::Mod, CacheKind::Fuzz, CacheKind::Build],
            wishes: Wishes::default(),
            arguments: Vec::new(),
        };
        assert_eq!(clean.settle(), Ok(vec![CacheKind::Build, CacheKind::Fuzz, CacheKind::Mod]));
    }
}
