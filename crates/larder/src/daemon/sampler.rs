//! Measuring: the sizes of Go's caches by what changed in them, and what each Redis says of itself.
//!
//! A Redis that hangs holds nothing up: each is asked by a thread of its own, and one that has not
//! answered yet is not asked again.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use larder_core::{CacheKind, Meter, RootKind, Sample};
use larder_engine::World;
use larder_engine::world::Root;
use larder_fs::index::Index;
use larder_go::sizes::Sizes;
use larder_redis::select::Caused;
use larder_redis::{Measured, Readings, RedisError, Window, measure_since};
use larder_server::RedisExposed;

use super::own_work::{OwnWork, Seen};
use super::redis_facts;
use crate::context::Context;
use crate::redis_sample;
use crate::redis_status::RedisRow;
use crate::redis_target::{self, RedisTarget};
use crate::settings::Settings;
use crate::slow_watch::Watched;

/// Measures again and again.
pub(crate) struct Sampler {
    roots: [(RootKind, Sizes); 2],
    redis: BTreeMap<String, Asked>,
    answers: (Sender<Answer>, Receiver<Answer>),
}

/// One Redis.
#[derive(Default)]
struct Asked {
    /// Counters of the last time, for rates over the time between.
    readings: Readings,
    /// What happened in the time before that.
    window: Option<Window>,
    /// What larder itself was at there when it was asked.
    seen: Seen,
    /// Since when an answer is waited for.
    since: Option<Instant>,
}

/// What a Redis answered.
struct Answer {
    target: RedisTarget,
    result: Result<(Measured, Vec<RedisExposed>), RedisError>,
    took: Duration,
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Round {
    pub samples: Vec<Sample>,
    pub redis: Vec<RedisRow>,
    pub facts: Vec<RedisExposed>,
}

impl Sampler {
    /// Nothing measured yet.
    pub(crate) fn new() -> Self {
        let sizes = |kind| (kind, Sizes::new(kind));
        Self {
            roots: [sizes(RootKind::GoCache), sizes(RootKind::GoModCache)],
            redis: BTreeMap::new(),
            answers: mpsc::channel(),
        }
    }

    /// Reads everything again the next time.
    pub(crate) fn forget(&mut self) {
        self.roots.iter_mut().for_each(|(_, sizes)| sizes.forget());
    }

    /// Measures all; of servers what they answered within `patience`, or since the last time.
    pub(crate) fn round(
        &mut self,
        context: &Context<'_>,
        world: &World,
        patience: Duration,
        own: &OwnWork,
    ) -> Round {
        let mut round = Round::default();
        self.ask(context, own, &mut round);
        for (kind, sizes) in &mut self.roots {
            let root = match kind {
                RootKind::GoCache => &world.gocache,
                RootKind::GoModCache => &world.gomodcache,
            };
            measure_root(root, sizes, context.settings(), &context.meter, &mut round.samples);
        }
        self.collect(Instant::now() + patience, own, &mut round);
        round
    }

    /// Asks every Redis that owes no answer.
    fn ask(&mut self, context: &Context<'_>, own: &OwnWork, round: &mut Round) {
        let targets = redis_target::configured(context);
        let known: Vec<String> = targets
            .iter()
            .map(|target| match target {
                Ok(target) => target.cache.clone(),
                Err((cache, _)) => cache.clone(),
            })
            .collect();
        self.redis.retain(|cache, _| known.contains(cache));
        for target in targets {
            match target {
                Ok(target) => self.ask_one(target, context, own),
                Err((cache, error)) => {
                    round.fail(cache, String::new(), error.what, Duration::ZERO);
                }
            }
        }
    }

    fn ask_one(&mut self, target: RedisTarget, context: &Context<'_>, own: &OwnWork) {
        let asked = self.redis.entry(target.cache.clone()).or_default();
        if asked.since.is_some() {
            return;
        }
        asked.since = Some(Instant::now());
        asked.seen = own.seen(&target.cache);
        let caused = own.take(&target.cache);
        if caused != Caused::default() {
            asked.readings.add_own(caused, context.now);
        }
        let before = asked.readings.clone();
        let answers = self.answers.0.clone();
        let (now, state) = (context.now, context.settings().state.clone());
        std::thread::spawn(move || {
            let begun = Instant::now();
            let result = measure_since(&target.endpoint, &before, now)
                .map(|measured| (measured, redis_facts::of_cache(&target.cache, &target.endpoint)));
            if let (Ok(_), Some(state)) = (&result, &state) {
                // Kept past the server's own ring, with who is connected now. Without the right
                // to it there is no slow log, which is no trouble of the sample.
                let _ = Watched::open(state, &target.endpoint);
            }
            // Nobody listens any more once the daemon ends.
            let _ = answers.send(Answer { target, result, took: begun.elapsed() });
        });
    }

    fn collect(&mut self, until: Instant, own: &OwnWork, round: &mut Round) {
        let waits = |redis: &BTreeMap<String, Asked>| redis.values().any(|a| a.since.is_some());
        while waits(&self.redis) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(answer) = self.answers.1.recv_timeout(left) else { break };
            let Some(asked) = self.redis.get_mut(&answer.target.cache) else { continue };
            asked.since = None;
            let Answer { target, result, took } = answer;
            let url = target.endpoint.url();
            match result {
                Ok((mut measured, facts)) => {
                    if asked.seen.is_quiet(own.seen(&target.cache)) {
                        asked.readings = measured.readings;
                        asked.window = measured.vitals.window;
                    } else {
                        // What is counted now is partly our own doing, how much is not known yet.
                        measured.vitals.window = asked.window;
                    }
                    let row = RedisRow {
                        cache: target.cache.clone(),
                        url,
                        budget: target.settings.budget,
                        vitals: Ok(measured.vitals),
                    };
                    let sample = redis_sample::sample(&row, larder_fs::now(), took);
                    round.samples.push(sample);
                    round.facts.extend(facts);
                    round.redis.push(row);
                }
                Err(error) => round.fail(target.cache, url, error.to_string(), took),
            }
        }
    }
}

impl Round {
    fn fail(&mut self, cache: String, url: String, why: String, took: Duration) {
        let error = Some(why.clone());
        self.samples.push(Sample { error, ..Sample::empty(&*cache, larder_fs::now(), took) });
        self.facts.push(RedisExposed { cache: cache.clone(), node: None, facts: None });
        self.redis.push(RedisRow { cache, url, budget: None, vitals: Err(why) });
    }
}

fn measure_root(
    root: &Root,
    sizes: &mut Sizes,
    settings: &Settings,
    meter: &Meter,
    samples: &mut Vec<Sample>,
) {
    // A clean may have made a new folder in the place of the one that was held open.
    let Some(dir) = root.dir().and_then(|_| larder_fs::Dir::open_root(&root.path).ok()) else {
        return;
    };
    if !Index::fits(&root.path) {
        sizes.forget();
    }
    let begun = Instant::now();
    let found = sizes.refresh(&dir, larder_fs::now(), meter);
    let (at, took) = (larder_fs::now(), begun.elapsed());
    let disk = larder_fs::disk(&root.path).ok();
    match found {
        Ok(found) => samples.extend(found.sizes.into_iter().map(|(cache, size)| Sample {
            files: Some(size.files),
            logical_bytes: Some(size.logical.0),
            allocated_bytes: Some(size.allocated.0),
            budget_bytes: budget(cache, settings),
            disk: disk.as_ref().map(|disk| disk.mount_point.display().to_string()),
            disk_free_bytes: disk.as_ref().map(|disk| disk.free),
            disk_size_bytes: disk.as_ref().map(|disk| disk.total),
            ..Sample::empty(cache.name(), at, took)
        })),
        Err(error) => {
            let kinds = CacheKind::ALL.into_iter();
            let own = kinds.filter(|cache| cache.root() == root.kind && *cache != CacheKind::Test);
            samples.extend(own.map(|cache| Sample {
                error: Some(format!("cannot read {}: {error}", root.path.display())),
                ..Sample::empty(cache.name(), at, took)
            }));
        }
    }
}

fn budget(cache: CacheKind, settings: &Settings) -> Option<u64> {
    let policy = match cache {
        CacheKind::Build => &settings.build,
        CacheKind::Mod => &settings.modules,
        _ => return None,
    };
    policy.max_size.map(|size| size.0)
}
