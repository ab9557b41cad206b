//! The door: what it lets through and what it refuses.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::check::Approval;
use larder_core::plan::PlanRoot;
use larder_core::{Observed, Plan, Refusal, RootKind, Time, check};

const NOW: i64 = 2_000_000_000;

fn root() -> PlanRoot {
    PlanRoot { kind: RootKind::GoCache, path: PathBuf::from("/c/go-build"), identity: (1, 2) }
}

fn plan() -> Plan {
    Plan {
        keys: Vec::new(),
        id: "0badcafe".into(),
        created_at: Time::from_unix(NOW),
        host: "here".into(),
        request: vec!["prune".into(), "build".into()],
        roots: vec![root()],
        protect: Duration::from_hours(24),
        items: Vec::new(),
        kept: Vec::new(),
    }
}

fn observed() -> Observed {
    Observed {
        host: "here".into(),
        roots: vec![root()],
        now: Time::from_unix(NOW + 60),
        max_plan_age: Duration::from_hours(24),
        approval: Approval::NotAsked,
        live_builds: Vec::new(),
        force: false,
    }
}

fn refusal(change: impl FnOnce(&mut Observed)) -> Option<Refusal> {
    let mut world = observed();
    change(&mut world);
    check(plan(), &world).err()
}

#[test]
fn a_fresh_plan_of_this_host_and_cache_passes() {
    assert_eq!(refusal(|_| {}), None);
    assert_eq!(refusal(|o| o.approval = Approval::Given), None);
}

#[test]
fn each_thing_that_is_wrong_refuses() {
    assert!(matches!(refusal(|o| o.host = "there".into()), Some(Refusal::OtherHost { .. })));
    assert!(matches!(
        refusal(|o| o.now = Time::from_unix(NOW + 90_000)),
        Some(Refusal::Stale { .. })
    ));
    assert!(matches!(
        refusal(|o| o.now = Time::from_unix(NOW - 3600)),
        Some(Refusal::FromTheFuture { .. })
    ));
    assert!(matches!(
        refusal(|o| o.approval = Approval::Missing),
        Some(Refusal::NotApproved { .. })
    ));
    assert!(matches!(
        refusal(|o| o.approval = Approval::Edited),
        Some(Refusal::EditedAfterApproval { .. })
    ));
    assert!(matches!(refusal(|o| o.roots[0].identity = (1, 3)), Some(Refusal::OtherCache { .. })));
    assert!(matches!(
        refusal(|o| o.roots[0].path = "/elsewhere".into()),
        Some(Refusal::OtherCache { .. })
    ));
    assert!(matches!(refusal(|o| o.roots.clear()), Some(Refusal::OtherCache { .. })));
}

#[test]
fn a_live_build_refuses_unless_forced() {
    let builds = vec!["go build (pid 7)".to_owned()];
    assert!(matches!(refusal(|o| o.live_builds = builds.clone()), Some(Refusal::LiveBuild { .. })));
    assert_eq!(
        refusal(|o| {
            o.live_builds = builds;
            o.force = true;
        }),
        None
    );
}
