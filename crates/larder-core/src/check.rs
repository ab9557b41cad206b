//! The door between a plan and its application: only [`check`] makes a [`CheckedPlan`], and only
//! a checked plan is applied.

use std::time::Duration;

use crate::plan::{Plan, PlanRoot};
use crate::time::{Age, Time, Typed};

/// What is known of the world when a plan is to be applied.
#[derive(Clone, Debug)]
pub struct Observed {
    /// This machine.
    pub host: String,
    /// The roots of the caches as they are now.
    pub roots: Vec<PlanRoot>,
    /// The time.
    pub now: Time,
    /// Plans older than this are stale.
    pub max_plan_age: Duration,
    /// Where the profile asks for approval or the plan carries one.
    pub approval: Approval,
    /// Running go commands that a whole clean would break, one phrase each.
    pub live_builds: Vec<String>,
    /// `--force`: live builds do not refuse a clean.
    pub force: bool,
}

/// What is known of a plan's approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// The profile does not ask for one and the plan carries none.
    NotAsked,
    /// The profile asks for one and the plan carries none.
    Missing,
    /// Approved, and the plan is what was approved.
    Given,
    /// Approved, and then changed.
    Edited,
}

/// Why a plan is not applied. Nothing was touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Made too long ago.
    #[error("plan {id} is stale: it was made {} ago and plans are good for {}", Age(*age), Typed(*limit))]
    Stale {
        /// The plan.
        id: String,
        /// How old it is.
        age: Duration,
        /// How old it may be.
        limit: Duration,
    },
    /// Made in the future, as this machine's clock tells it.
    #[error("plan {id} was made in the future: is this machine's clock right?")]
    FromTheFuture {
        /// The plan.
        id: String,
    },
    /// Made on another machine.
    #[error("plan {id} is for host {theirs}, and this is {ours}")]
    OtherHost {
        /// The plan.
        id: String,
        /// The plan's host.
        theirs: String,
        /// This host.
        ours: String,
    },
    /// A root is not the folder that it was.
    #[error("plan {id} is for {root}, and {now}")]
    OtherCache {
        /// The plan.
        id: String,
        /// The plan's root.
        root: String,
        /// What is there instead.
        now: String,
    },
    /// The profile asks for approval.
    #[error("plan {id} has not been approved")]
    NotApproved {
        /// The plan.
        id: String,
    },
    /// It is not what was approved.
    #[error("plan {id} was changed after it was approved")]
    EditedAfterApproval {
        /// The plan.
        id: String,
    },
    /// Go commands are using the cache.
    #[error("a build is using this cache: {}", builds.join(", "))]
    LiveBuild {
        /// What runs, one phrase each.
        builds: Vec<String>,
    },
}

/// A plan that may be applied. There is no other way to get one than [`check`].
#[derive(Debug)]
pub struct CheckedPlan(Plan);

impl CheckedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// A clock may be off by this much before a plan counts as made in the future.
const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// Lets a plan through, or says why not.
pub fn check(plan: Plan, observed: &Observed) -> Result<CheckedPlan, Refusal> {
    let id = || plan.id.clone();
    if plan.host != observed.host {
        let (theirs, ours) = (plan.host.clone(), observed.host.clone());
        return Err(Refusal::OtherHost { id: id(), theirs, ours });
    }
    if plan.created_at > observed.now.plus(CLOCK_SLACK) {
        return Err(Refusal::FromTheFuture { id: id() });
    }
    let age = observed.now.since(plan.created_at);
    if age > observed.max_plan_age {
        return Err(Refusal::Stale { id: id(), age, limit: observed.max_plan_age });
    }
    match observed.approval {
        Approval::Missing => return Err(Refusal::NotApproved { id: id() }),
        Approval::Edited => return Err(Refusal::EditedAfterApproval { id: id() }),
        Approval::NotAsked | Approval::Given => {}
    }
    for root in &plan.roots {
        if let Some(now) = difference(root, &observed.roots) {
            let root = format!("{} at {}", root.kind, root.path.display());
            return Err(Refusal::OtherCache { id: id(), root, now });
        }
    }
    if !observed.live_builds.is_empty() && !observed.force {
        return Err(Refusal::LiveBuild { builds: observed.live_builds.clone() });
    }
    Ok(CheckedPlan(plan))
}

fn difference(root: &PlanRoot, now: &[PlanRoot]) -> Option<String> {
    let Some(found) = now.iter().find(|r| r.kind == root.kind) else {
        return Some("there is no such cache now".to_owned());
    };
    if found.path != root.path {
        return Some(format!("{} is now {}", root.kind, found.path.display()));
    }
    (found.identity != root.identity).then(|| "another folder has taken its place".to_owned())
}
