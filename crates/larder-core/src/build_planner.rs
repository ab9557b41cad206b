//! What of a build cache goes under a policy. Pure: same inventory, policy and time, same answer.
//!
//! An action and its output go together, by the later of their last uses; an output that several
//! actions name stays while one of them stays. What no build can reach any more (an output that
//! no action names, an action without an output) is waste and goes with every prune.

use std::collections::HashMap;
use std::time::Duration;

use crate::build_inventory::{ActionRef, BuildInventory, Names, OutputRef, entry_seconds};
use crate::policy::Policy;
use crate::size::{Allocated, Size};
use crate::time::{Age, Time, Typed};

/// Why an entry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// An output that no action names.
    UnnamedOutput,
    /// An action whose output is gone.
    MissingOutput,
    /// An action entry that cannot be read.
    Damaged,
    /// What it was built from is gone; the phrase says what.
    Orphan(Box<str>),
    /// Not used for longer than `--max-age`.
    Age(Duration),
    /// Among the least recently used when the cache is over `--max-size`.
    Cap,
}

impl Why {
    /// The sentence of a plan's item.
    pub fn text(&self) -> Box<str> {
        match self {
            Self::UnnamedOutput => "no action names this output".into(),
            Self::MissingOutput => "its output is not there".into(),
            Self::Damaged => "the action entry cannot be read".into(),
            Self::Orphan(what) => what.clone(),
            Self::Age(age) => format!("not used for {}", Age(*age)).into(),
            Self::Cap => "least recently used, and the cache is over its size".into(),
        }
    }
}

/// One entry that goes. Never without at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its action.
    pub action: Option<ActionRef>,
    /// Its output, where no action that stays names it.
    pub output: Option<OutputRef>,
    /// The later of their last uses.
    pub used: u32,
    /// What goes with it.
    pub size: Size,
    /// Why.
    pub why: Why,
}

/// Why entries stay that a policy wanted gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shield {
    /// Used within `--protect`.
    Recent(Duration),
    /// Used since a build that still runs began.
    LiveBuild,
    /// `--max-size` is not met by this much: all that is left was used too recently.
    CapNotMet(Allocated),
    /// `--max-size` is not met by this much: the folders of an empty cache take more.
    CapTooSmall(Allocated),
}

impl Shield {
    /// The sentence of a plan's kept row.
    pub fn text(&self) -> String {
        match self {
            Self::Recent(protect) => format!("used within the last {}", Typed(*protect)),
            Self::LiveBuild => "used since a build that is still running began".to_owned(),
            Self::CapNotMet(_) => "over the size, but used too recently to go".to_owned(),
            Self::CapTooSmall(_) => {
                "the folders of an empty cache take more than the size".to_owned()
            }
        }
    }
}

/// What stays though wanted gone, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shielded {
    /// Why.
    pub shield: Shield,
    /// How many entries.
    pub entries: u64,
    /// What their staying costs.
    pub size: Size,
}

/// The planner's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildSelection {
    /// What goes, least recently used first.
    pub chosen: Vec<Chosen>,
    /// What stays though wanted gone.
    pub kept: Vec<Shielded>,
}

/// What the planner is told beside the entries.
#[derive(Clone, Debug, Default)]
pub struct BuildContext {
    /// Outputs whose origin is gone, each with the phrase that says what.
    pub orphans: HashMap<OutputRef, Box<str>>,
    /// When the oldest go command that uses this cache now began. Entries used since one hour
    /// before it stay: Go refreshes an mtime only when it is at least that old
    /// (`cmd/go/internal/cache/cache.go`, `mtimeInterval`).
    pub live_since: Option<Time>,
}

/// Go refreshes a last use only when it is at least this old.
pub const MTIME_INTERVAL: Duration = Duration::from_hours(1);

/// What goes under `policy`.
pub fn plan_build(
    inventory: &BuildInventory,
    context: &BuildContext,
    policy: &Policy,
    now: Time,
) -> BuildSelection {
    Planner::new(inventory, context, policy, now).run()
}

struct Planner<'a> {
    inventory: &'a BuildInventory,
    context: &'a BuildContext,
    policy: &'a Policy,
    now: Time,
    /// By output (shard, index): how many actions that stay name it, and the last use of all.
    named: Vec<Vec<(u32, u32)>>,
    recent_from: u32,
    live_from: u32,
    chosen: Vec<Chosen>,
    recent: (u64, Size),
    live: (u64, Size),
}

impl<'a> Planner<'a> {
    fn new(
        inventory: &'a BuildInventory,
        context: &'a BuildContext,
        policy: &'a Policy,
        now: Time,
    ) -> Self {
        let mut named: Vec<Vec<(u32, u32)>> = inventory
            .shards
            .iter()
            .map(|shard| shard.outputs.iter().map(|o| (0, o.used)).collect())
            .collect();
        for (_, action) in inventory.actions() {
            if let Names::Output(output) = action.names() {
                let (count, used) = &mut named[output.shard()][output.index()];
                *count += 1;
                *used = (*used).max(action.used);
            }
        }
        // `--protect 0s` protects nothing, not even what was used in this very second.
        let recent_from = if policy.protect.is_zero() {
            u32::MAX
        } else {
            entry_seconds(now.minus(policy.protect))
        };
        let live_from =
            context.live_since.map_or(u32::MAX, |t| entry_seconds(t.minus(MTIME_INTERVAL)));
        Self {
            inventory,
            context,
            policy,
            now,
            named,
            recent_from,
            live_from,
            chosen: Vec::new(),
            recent: Default::default(),
            live: Default::default(),
        }
    }

    fn run(mut self) -> BuildSelection {
        let cap = self.policy.max_size;
        let mut rest = Vec::new();
        for (place, action) in self.inventory.actions() {
            let (used, why) = self.wanted(action.names(), action.used);
            match why {
                Some(why) if !self.shielded(place, used) => self.choose(place, used, why),
                Some(_) => {}
                None if cap.is_some() => rest.push((used, place)),
                None => {}
            }
        }
        self.choose_unnamed();
        let mut kept = Vec::new();
        if let Some(cap) = cap {
            kept.extend(self.choose_down_to(cap, rest));
        }
        for (shield, (entries, size)) in
            [(Shield::Recent(self.policy.protect), self.recent), (Shield::LiveBuild, self.live)]
        {
            if entries > 0 {
                kept.push(Shielded { shield, entries, size });
            }
        }
        let inventory = self.inventory;
        self.chosen.sort_by_key(|c| {
            (
                c.used,
                c.action.map(|a| inventory.action(a).key),
                c.output.map(|o| inventory.output(o).key),
            )
        });
        BuildSelection { chosen: self.chosen, kept }
    }

    /// The last use that counts for an action, and why it is wanted gone, if it is.
    fn wanted(&self, names: Names, own_use: u32) -> (u32, Option<Why>) {
        let output = match names {
            Names::Missing => return (own_use, Some(Why::MissingOutput)),
            Names::Damaged => return (own_use, Some(Why::Damaged)),
            Names::Output(output) => output,
        };
        let used = self.named[output.shard()][output.index()].1.max(own_use);
        if self.policy.orphans
            && let Some(phrase) = self.context.orphans.get(&output)
        {
            return (used, Some(Why::Orphan(phrase.clone())));
        }
        let age = self.now.since(Time::from_unix(used.into()));
        let too_old = self.policy.max_age.is_some_and(|limit| age > limit);
        (used, too_old.then_some(Why::Age(age)))
    }

    /// Whether something protects an entry with this last use; if so, counts it.
    fn shielded(&mut self, place: ActionRef, used: u32) -> bool {
        let size = self.inventory.action(place).size();
        let names = self.inventory.action(place).names();
        let with_output = match names {
            Names::Output(o) if self.named[o.shard()][o.index()].0 == 1 => {
                size + self.inventory.output(o).size()
            }
            _ => size,
        };
        self.shield(used, with_output)
    }

    fn shield(&mut self, used: u32, size: Size) -> bool {
        let tally = if used >= self.live_from {
            &mut self.live
        } else if used >= self.recent_from {
            &mut self.recent
        } else {
            return false;
        };
        tally.0 += 1;
        tally.1 += size;
        true
    }

    fn choose(&mut self, place: ActionRef, used: u32, why: Why) {
        let action = self.inventory.action(place);
        let mut size = action.size();
        let mut output = None;
        if let Names::Output(o) = action.names() {
            let count = &mut self.named[o.shard()][o.index()].0;
            *count -= 1;
            if *count == 0 {
                output = Some(o);
                size += self.inventory.output(o).size();
            }
        }
        self.chosen.push(Chosen { action: Some(place), output, used, size, why });
    }

    /// Outputs that no action named from the start.
    fn choose_unnamed(&mut self) {
        let mut by_actions = vec![Vec::new(); 256];
        for chosen in self.chosen.iter().filter_map(|c| c.output) {
            by_actions[chosen.shard()].push(chosen.index());
        }
        for indices in &mut by_actions {
            indices.sort_unstable();
        }
        for (place, output) in self.inventory.outputs() {
            if self.named[place.shard()][place.index()].0 > 0
                || by_actions[place.shard()].binary_search(&place.index()).is_ok()
                || self.shield(output.used, output.size())
            {
                continue;
            }
            self.chosen.push(Chosen {
                action: None,
                output: Some(place),
                used: output.used,
                size: output.size(),
                why: Why::UnnamedOutput,
            });
        }
    }

    /// Least recently used first, until the rest fits. Stops at the first item that makes it fit.
    fn choose_down_to(
        &mut self,
        cap: Allocated,
        mut rest: Vec<(u32, ActionRef)>,
    ) -> Option<Shielded> {
        let going: Size = self.chosen.iter().map(|c| c.size).sum();
        let mut left = self.inventory.size().allocated - going.allocated;
        let protected_from = self.recent_from.min(self.live_from);
        rest.sort_by_key(|&(used, place)| (used, self.inventory.action(place).key));
        for &(used, place) in &rest {
            if left <= cap || used >= protected_from {
                break;
            }
            let before = self.chosen.len();
            self.choose(place, used, Why::Cap);
            left = left - self.chosen[before].size.allocated;
        }
        let empty = self.inventory.overhead.allocated;
        (left > cap).then(|| {
            let over = left - cap;
            let protected = rest.iter().filter(|(used, _)| *used >= protected_from);
            Shielded {
                shield: if empty > cap {
                    Shield::CapTooSmall(over)
                } else {
                    Shield::CapNotMet(over)
                },
                entries: protected.count() as u64,
                size: Size { allocated: over, ..Size::default() },
            }
        })
    }
}
