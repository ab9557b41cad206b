//! What a selection would take, before anything is taken: how many keys, how many bytes, which.
//!
//! A small keyspace is counted, a large one sampled: `SCAN` meets keys in the order of their
//! hashes, so the first so many are as good as drawn by lot. Bytes, types and times to live come
//! from a sample of those that match, drawn evenly over the pass.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::deployment::Deployment;
use crate::error::RedisError;
use crate::estimate::Estimate;
use crate::glob::Glob;
use crate::info::Info;
use crate::link::Link;
use crate::reservoir::Reservoir;
use crate::scan::Scan;
use crate::select::{Caused, Facts, Selection, Wants, look_up};

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct PreviewOptions {
    /// Count every key, however many there are.
    pub count_all: bool,
    /// Keyspaces larger than this are sampled.
    pub sample_above: u64,
    /// How long a page may keep a server busy.
    pub slice: Duration,
    /// Gives each run of the sampling its own draw.
    pub seed: u64,
}

impl Default for PreviewOptions {
    fn default() -> Self {
        Self { count_all: false, sample_above: 2_000_000, slice: Duration::from_millis(1), seed: 1 }
    }
}

impl PreviewOptions {
    /// For whoever has decided already: a look that takes no time to speak of.
    #[must_use]
    pub fn in_passing(self) -> Self {
        Self { sample_above: self.sample_above.min(50_000), ..self }
    }
}

/// A key to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its bytes.
    pub key: Vec<u8>,
    /// What is known of it.
    pub facts: Facts,
}

/// What makes a selection worth a second thought.
#[derive(Clone, Debug, PartialEq)]
pub enum Caution {
    /// It takes more than half of all keys.
    MostOfTheKeyspace {
        /// 0 to 1.
        share: f64,
    },
    /// It takes keys that never expire, so somebody meant them to stay.
    Persistent {
        /// 0 to 1, of the matching ones.
        share: f64,
    },
    /// It takes keys that were used within the last minute.
    InUse {
        /// 0 to 1, of the matching ones.
        share: f64,
    },
    /// One string stops the server while it is freed.
    BigString {
        /// Its bytes.
        key: Vec<u8>,
        /// Its size.
        bytes: u64,
    },
}

/// What a selection would take.
#[derive(Clone, Debug)]
pub struct Preview {
    /// All keys of the database, over all nodes.
    pub keyspace: u64,
    /// How many match; exact where every key was looked at and names alone decide.
    pub keys: Estimate,
    /// What they take, in bytes.
    pub bytes: Estimate,
    /// How many of the matching ones were looked at closely.
    pub sampled: usize,
    /// 0 to 1, of those: never expire.
    pub persistent: f64,
    /// 0 to 1, of those: used within the last minute; `None` where the server does not tell.
    pub in_use: Option<f64>,
    /// Their types, the most frequent first, 0 to 1.
    pub kinds: Vec<(String, f64)>,
    /// A few of them.
    pub examples: Vec<Example>,
    /// What to think about twice.
    pub cautions: Vec<Caution>,
    /// Hits and misses that the look-ups were counted as.
    pub caused: Caused,
    /// How long it took.
    pub took: Duration,
}

/// How many of the matching keys are looked at closely.
const SAMPLE: usize = 2000;
/// How many keys are looked at in all where a keyspace is sampled: at most, and where as many of
/// them match as make the share certain to a few parts in a hundred.
const DRAWN: u64 = 200_000;
const DRAWN_LEAST: u64 = 20_000;
const MATCHED_ENOUGH: u64 = 2000;
/// Strings above this are worth a warning.
const BIG_STRING: u64 = 64 << 20;

/// Looks at what `selection` would take. `stopped` is asked between pages.
pub fn preview(
    deployment: &Deployment,
    selection: &Selection,
    options: PreviewOptions,
    stopped: &dyn Fn() -> bool,
) -> Result<Preview, RedisError> {
    let begun = Instant::now();
    let mut links = Vec::new();
    let mut keyspace = 0;
    for node in &deployment.nodes {
        let mut link = Link::open(&node.endpoint, "preview")?;
        let size: u64 = link.ask(&redis::cmd("DBSIZE"))?;
        let frequency = Info::ask(&mut link)?.counts_frequency();
        keyspace += size;
        links.push((link, size, frequency));
    }
    let all = options.count_all || keyspace <= options.sample_above;
    let mut sample = Reservoir::new(SAMPLE, options.seed);
    let mut names = Estimate::default();
    for (index, (link, size, _)) in links.iter_mut().enumerate() {
        let part = |of: u64| of * *size / keyspace.max(1);
        let draw = (!all).then(|| Draw {
            most: part(DRAWN),
            least: part(DRAWN_LEAST),
            matched: part(MATCHED_ENOUGH),
        });
        let looked = pass(link, selection, draw, options.slice, stopped, &mut |key| {
            sample.offer((index, key));
        })?;
        names = names + looked.matching(*size);
    }
    let mut caused = Caused::default();
    let mut looked = Vec::new();
    let drawn = sample.into_items();
    for (index, (link, _, frequency)) in links.iter_mut().enumerate() {
        let here = drawn.iter().filter(|(node, _)| *node == index);
        let keys: Vec<Vec<u8>> = here.map(|(_, key)| key.clone()).collect();
        let wants = Wants { ttl: true, idle: !*frequency, bytes: true, kind: true };
        for some in keys.chunks(100) {
            let facts = look_up(link, some, wants, &mut caused)?;
            looked.extend(some.iter().cloned().zip(facts));
        }
    }
    Ok(add_up(selection, keyspace, names, looked, caused, begun.elapsed()))
}

/// How many keys of a node to look at.
#[derive(Clone, Copy, Debug)]
struct Draw {
    most: u64,
    least: u64,
    /// So many that match are enough.
    matched: u64,
}

impl Draw {
    fn is_enough(self, looked: &Looked) -> bool {
        looked.seen >= self.most || (looked.seen >= self.least && looked.matched >= self.matched)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    seen: u64,
    matched: u64,
    whole: bool,
}

impl Looked {
    /// How many of a node's `size` keys match.
    fn matching(self, size: u64) -> Estimate {
        if self.whole {
            return Estimate::exact(self.matched as f64);
        }
        Estimate::share(self.matched, self.seen).times(Estimate::exact(size as f64))
    }
}

/// Goes over one node; `draw` is how many keys to look at, where not all.
fn pass(
    link: &mut Link,
    selection: &Selection,
    draw: Option<Draw>,
    slice: Duration,
    stopped: &dyn Fn() -> bool,
    found: &mut dyn FnMut(Vec<u8>),
) -> Result<Looked, RedisError> {
    // Where only some keys are looked at, how many there were has to be known as well.
    let glob = Glob::new(&selection.pattern);
    let pattern = draw.is_none().then_some(selection.pattern.as_slice());
    let mut scan = Scan::new(pattern, selection.kind.as_deref());
    let idle = link.ping()?;
    let mut looked = Looked { seen: 0, matched: 0, whole: true };
    while !scan.done() {
        if stopped() {
            return Err(RedisError::Interrupted);
        }
        if draw.is_some_and(|draw| draw.is_enough(&looked)) {
            looked.whole = false;
            break;
        }
        let begun = Instant::now();
        let keys = scan.page(link)?;
        scan.fit(begun.elapsed().saturating_sub(idle), slice);
        looked.seen += keys.len() as u64;
        for key in keys {
            let matches = draw.is_none() || glob.matches(&key);
            if matches && selection.takes_name(&key) {
                looked.matched += 1;
                found(key);
            }
        }
    }
    Ok(looked)
}

fn add_up(
    selection: &Selection,
    keyspace: u64,
    names: Estimate,
    looked: Vec<(Vec<u8>, Facts)>,
    caused: Caused,
    took: Duration,
) -> Preview {
    let there: Vec<(Vec<u8>, Facts)> =
        looked.into_iter().filter(|(_, facts)| facts.there).collect();
    let asked = there.len();
    let fits: Vec<(Vec<u8>, Facts)> =
        there.into_iter().filter(|(_, facts)| selection.takes(facts)).collect();
    let share = match (selection.wants().nothing(), asked) {
        (true, _) | (_, 0) => Estimate::exact(1.0),
        _ => Estimate::share(fits.len() as u64, asked as u64),
    };
    let keys = names.times(share);
    let sizes: Vec<f64> =
        fits.iter().filter_map(|(_, facts)| facts.bytes).map(|b| b as f64).collect();
    let each = Estimate::mean(&sizes, names.is_exact() && asked as f64 >= names.value);
    let bytes = each.times(keys);
    let of = |test: &dyn Fn(&Facts) -> bool| {
        let count = fits.iter().filter(|(_, facts)| test(facts)).count();
        if fits.is_empty() { 0.0 } else { count as f64 / fits.len() as f64 }
    };
    let persistent = of(&|facts| facts.ttl == Some(None));
    let tells_idle = fits.iter().any(|(_, facts)| facts.idle.is_some());
    let minute = Duration::from_mins(1);
    let in_use = of(&|facts| facts.idle.is_some_and(|idle| idle < minute));
    let in_use = tells_idle.then_some(in_use);
    let share = if keyspace == 0 { 0.0 } else { keys.value / keyspace as f64 };
    let cautions = cautions(selection, share, persistent, in_use, &fits);
    let examples = fits.iter().step_by((fits.len() / 3).max(1)).take(3);
    Preview {
        keyspace,
        keys,
        bytes,
        sampled: asked,
        persistent,
        in_use,
        kinds: kinds(&fits),
        examples: examples
            .map(|(key, facts)| Example { key: key.clone(), facts: facts.clone() })
            .collect(),
        cautions,
        caused,
        took,
    }
}

/// The types and their shares, the most frequent first.
fn kinds(fits: &[(Vec<u8>, Facts)]) -> Vec<(String, f64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for kind in fits.iter().filter_map(|(_, facts)| facts.kind.as_deref()) {
        *counts.entry(kind).or_default() += 1;
    }
    let share = |count: u64| count as f64 / fits.len().max(1) as f64;
    let mut kinds: Vec<(String, f64)> =
        counts.into_iter().map(|(kind, count)| (kind.to_owned(), share(count))).collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
    kinds
}

/// What to think about twice.
fn cautions(
    selection: &Selection,
    share: f64,
    persistent: f64,
    in_use: Option<f64>,
    fits: &[(Vec<u8>, Facts)],
) -> Vec<Caution> {
    let mut cautions = Vec::new();
    if share > 0.5 {
        cautions.push(Caution::MostOfTheKeyspace { share: share.min(1.0) });
    }
    if persistent > 0.0 && !selection.persistent {
        cautions.push(Caution::Persistent { share: persistent });
    }
    if let Some(share) = in_use.filter(|share| *share > 0.0) {
        cautions.push(Caution::InUse { share });
    }
    let strings = fits.iter().filter(|(_, facts)| facts.kind.as_deref() == Some("string"));
    let sized = strings.filter_map(|(key, facts)| Some((key.clone(), facts.bytes?)));
    let biggest = sized.max_by_key(|(_, bytes)| *bytes);
    if let Some((key, bytes)) = biggest.filter(|(_, bytes)| *bytes > BIG_STRING) {
        cautions.push(Caution::BigString { key, bytes });
    }
    cautions
}
