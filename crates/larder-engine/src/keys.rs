//! Keys of Redis caches on the same way as everything else: plan → check → apply.

use larder_core::check::Approval;
use larder_core::{CheckedPlan, KeysItem, Observed, Plan, Refusal, check};
use larder_fs::clock;
use larder_redis::{ChangeOptions, Changed, Deployment, Selection, Stopped, Undo, Work};

use crate::config::{Config, Profile};

/// Eight hexadecimal digits that nobody else draws at the same time.
pub fn new_id() -> String {
    crate::plan::new_id()
}

/// A plan of these keys.
pub fn plan(arguments: &[String], keys: Vec<KeysItem>) -> Plan {
    Plan {
        id: crate::plan::new_id(),
        created_at: clock::now(),
        host: crate::host::name(),
        request: arguments.to_vec(),
        roots: Vec::new(),
        protect: std::time::Duration::ZERO,
        items: Vec::new(),
        keys,
        kept: Vec::new(),
    }
}

/// Whether a plan of keys could be applied now. `profile` is the server's, which may be stricter
/// than the machine's.
pub fn checked(
    config: &Config,
    profile: Profile,
    approval: Approval,
    plan: Plan,
) -> Result<CheckedPlan, Refusal> {
    let approval = match (profile, approval) {
        (Profile::Production, Approval::NotAsked) => Approval::Missing,
        (Profile::Dev, Approval::Missing) => Approval::NotAsked,
        (_, approval) => approval,
    };
    let observed = Observed {
        host: crate::host::name(),
        roots: Vec::new(),
        now: clock::now(),
        max_plan_age: config.plan_max_age,
        approval,
        live_builds: Vec::new(),
        force: false,
    };
    check(plan, &observed)
}

/// How to apply an item.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// How gently.
    pub limits: larder_redis::Limits,
    /// Read names from a replica.
    pub scan_replica: bool,
    /// Keeps what is changed.
    pub undo: Option<&'a dyn Undo>,
    /// Where an earlier run stopped.
    pub resume: &'a [Stopped],
    /// Counts, and says when to stop.
    pub work: &'a Work,
    /// Told now and then where each node is.
    pub checkpoint: &'a (dyn Fn(Stopped) + Sync),
}

/// Does with the keys of one item of a checked plan what it says. Each key is looked at again as
/// it is changed.
pub fn apply(
    plan: &CheckedPlan,
    item: &KeysItem,
    deployment: &Deployment,
    hands: Hands<'_>,
) -> Result<Changed, Refusal> {
    // An item of another plan was checked by nobody.
    if !plan.plan().keys.contains(item) {
        return Err(Refusal::NotApproved { id: plan.plan().id.clone() });
    }
    let selection = Selection::from(item.selection.clone());
    let options = ChangeOptions {
        selection: &selection,
        change: item.change,
        limits: hands.limits,
        scan_replica: hands.scan_replica,
        undo: hands.undo,
        resume: hands.resume,
    };
    Ok(larder_redis::change(deployment, options, hands.work, hands.checkpoint))
}

/// This machine's name, as plans and notices carry it.
pub fn host() -> String {
    crate::host::name()
}
