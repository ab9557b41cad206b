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
    /// A flag that says nothing about any of the caches.
    #[error("{flag} says nothing about {}", join(caches))]
    DoesNotFit {
        /// The flag.
        flag: &'static str,
        /// The caches that were named.
        caches: Vec<CacheKind>,
        /// What it is for.
        fits: &'static [CacheKind],
    },
    /// A size is one cache's.
    #[error("--max-size is the size of one cache, and none is named")]
    SizeOfWhich,
    /// Nothing to prune there.
    #[error("{cache} has nothing to prune")]
    NothingToPrune {
        /// The cache.
        cache: CacheKind,
    },
}

impl BadRequest {
    /// What to do instead.
    pub fn hint(&self) -> String {
        match self {
            Self::DoesNotFit { fits, .. } => format!("it is for {}", join(fits)),
            Self::SizeOfWhich => "name it: larder prune build --max-size 10GB".to_owned(),
            Self::NothingToPrune { cache } => format!("to remove all of it: larder clean {cache}"),
        }
    }
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
        if let Some(&cache) = self.caches.iter().find(|cache| !PRUNED.contains(cache)) {
            return Err(BadRequest::NothingToPrune { cache });
        }
        let caches = in_order(&self.caches);
        for (flag, fits) in self.wishes.limits() {
            if !caches.iter().any(|cache| fits.contains(cache)) {
                return Err(BadRequest::DoesNotFit { flag, caches, fits });
            }
        }
        Ok(caches)
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
            keep_used: !self.wishes.keep_used.is_empty() && NEEDED.contains(&cache),
            keep_versions: self.wishes.keep_versions.filter(|_| NEEDED.contains(&cache)),
            orphans: self.wishes.orphans && BUILT.contains(&cache),
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

    fn config() -> Config {
        let build = Policy {
            max_age: Some(Duration::from_hours(120)),
            protect: Duration::from_hours(2),
            ..Policy::waste_only()
        };
        let modules = Policy { keep_used: true, ..Policy::waste_only() };
        Config {
            profile: crate::Profile::Dev,
            roots: vec!["/work".into()],
            state: PathBuf::new(),
            build,
            fuzz: Policy::waste_only(),
            modules,
            toolchain: Policy::waste_only(),
            vcs: Policy::waste_only(),
            trash: false,
            trash_keep: Duration::ZERO,
            plan_max_age: Duration::ZERO,
            wait: Duration::ZERO,
        }
    }

    #[test]
    fn a_flag_that_wants_replaces_the_settings_wants_and_not_their_protection() {
        let size = Wishes { max_size: Some(Allocated(10)), ..Wishes::default() };
        let policy = prune(&[CacheKind::Build], size).policy(CacheKind::Build, &config());
        assert_eq!((policy.max_size, policy.max_age), (Some(Allocated(10)), None));
        assert_eq!(policy.protect, Duration::from_hours(2));
    }

    #[test]
    fn protect_alone_leaves_the_settings_wants() {
        let none = Wishes { protect: Some(Duration::ZERO), ..Wishes::default() };
        let policy = prune(&[CacheKind::Build], none).policy(CacheKind::Build, &config());
        assert_eq!(policy.max_age, Some(Duration::from_hours(120)));
        assert_eq!(policy.protect, Duration::ZERO);
    }

    #[test]
    fn waste_alone_wants_nothing_else() {
        let waste = Wishes { waste: true, ..Wishes::default() };
        let policy = prune(&[CacheKind::Mod], waste).policy(CacheKind::Mod, &config());
        assert_eq!(policy, Policy::waste_only());
    }

    #[test]
    fn the_roots_of_the_settings_are_cared_for_beside_the_given_ones() {
        let used = Wishes { keep_used: vec!["/src".into()], ..Wishes::default() };
        let request = prune(&[CacheKind::Mod], used);
        assert_eq!(request.roots(&config()), [PathBuf::from("/src"), PathBuf::from("/work")]);
    }

    #[test]
    fn a_flag_that_fits_nothing_is_refused_and_narrows_where_none_is_named() {
        let orphans = Wishes { orphans: true, ..Wishes::default() };
        assert!(matches!(
            prune(&[CacheKind::Mod], orphans.clone()).settle(),
            Err(BadRequest::DoesNotFit { flag: "--orphans", .. })
        ));
        let both = prune(&[CacheKind::Mod, CacheKind::Build], orphans.clone());
        assert_eq!(both.settle(), Ok(vec![CacheKind::Build, CacheKind::Mod]));
        assert!(both.policy(CacheKind::Build, &config()).orphans);
        assert!(!both.policy(CacheKind::Mod, &config()).orphans);
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
