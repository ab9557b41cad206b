//! Screens, wide and narrow, in plain text: meaning must survive without colour.

use larder_core::size::Units;
use larder_core::{CacheKind, Plan, Time};
use larder_engine::report::{DuRow, LastVerified};

use super::*;
use crate::render_du::du;
use crate::render_outcome::{Around, outcome};
use crate::render_plan::{nothing, preview};
use crate::render_trash::trash;
use crate::wire::tests as made;

const NOW: i64 = 1_795_424_400;

fn time(ago: i64) -> Time {
    Time::from_unix(NOW - ago)
}

fn screen(width: usize) -> Screen {
    let home = Some("/home/gopher".into());
    Screen { width, units: Units::Decimal, now: Time::from_unix(NOW), home, verbose: false }
}

fn row(cache: CacheKind, gb: [u64; 2], items: u64, uses: [i64; 2]) -> StatusRow {
    StatusRow {
        last_verified: None,
        cache,
        path: format!("/home/gopher/.cache/{cache}").into(),
        link_target: None,
        state: State::Ok,
        note: None,
        size: Size::new(items, gb[0] * 90_000_000, gb[0] * 100_000_000),
        reclaimable: Allocated(gb[1] * 100_000_000),
        budget: None,
        items,
        last_used: Some(time(uses[0])),
        oldest_use: Some(time(uses[1])),
        findings: Vec::new(),
    }
}

pub(crate) fn status_report() -> StatusReport {
    const DAY: i64 = 86_400;
    let mut build = row(CacheKind::Build, [412, 339], 412_000, [120, 9 * DAY]);
    build.findings.push(Finding {
        id: "build-never-trimmed",
        cache: CacheKind::Build,
        severity: Severity::Warning,
        message: "build has not been trimmed for 41 d: its trim.txt was restored with the CI cache"
            .into(),
        command: Some("larder prune build --max-size 10GB".into()),
        frees: Some(Allocated(31_200_000_000)),
    });
    let mut fuzz = row(CacheKind::Fuzz, [0, 0], 0, [0, 0]);
    fuzz.state = State::Absent;
    let mut modules = row(CacheKind::Mod, [238, 152], 1640, [120, 1100 * DAY]);
    modules.link_target = Some("/mnt/big/mod".into());
    modules.last_verified =
        Some(LastVerified { at: time(3 * DAY), checked: 1640, bad: 2, unverifiable: 0 });
    let mut toolchain = row(CacheKind::Toolchain, [29, 22], 5, [4000, 400 * DAY]);
    toolchain.findings.push(Finding {
        id: "toolchains-unselected",
        cache: CacheKind::Toolchain,
        severity: Severity::Info,
        message: "3 toolchains that none of 14 projects selects".into(),
        command: Some("larder prune toolchain --keep-used ~/src".into()),
        frees: Some(Allocated(2_200_000_000)),
    });
    let mut vcs = row(CacheKind::Vcs, [0, 0], 0, [0, 0]);
    vcs.state = State::Unreachable;
    vcs.note = Some("GOMODCACHE/cache/vcs cannot be read: permission denied".into());
    StatusReport {
        taken_at: Time::from_unix(NOW),
        profile: "dev".into(),
        rows: vec![build, fuzz, modules, toolchain, vcs],
        disks: vec![DiskLine { mount: "/".into(), free: 31_000_000_000, total: 250_000_000_000 }],
    }
}

pub(crate) fn du_report() -> larder_engine::report::DuReport {
    let row = |cache, key: &str, bytes| DuRow {
        cache,
        key: key.into(),
        size: Size::new(bytes / 4096, bytes, bytes),
        last_used: Some(time(7200)),
    };
    larder_engine::report::DuReport {
        rows: vec![
            row(CacheKind::Mod, "k8s.io/kubernetes", 1_200_000_000),
            row(
                CacheKind::Mod,
                "github.com/aws/aws-sdk-go-v2/service/internal/endpoint-discovery",
                900_000_000,
            ),
            row(CacheKind::Build, "not attributed\u{1b}[31m", 40_000_000),
        ],
        total: Size::new(600_000, 2_300_000_000, 2_400_000_000),
        omitted: 117,
    }
}

fn shown(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn status_is_read_from_the_top() {
    insta::assert_snapshot!("status_100", shown(&status(&status_report(), &screen(100))));
}

#[test]
fn what_is_said_of_several_caches_is_said_once() {
    let mut report = status_report();
    for row in &mut report.rows {
        row.note = Some("GOMODCACHE does not exist".into());
    }
    let text = shown(&status(&report, &screen(100)));
    let said = "\n\nbuild, fuzz, mod, toolchain, vcs\n           GOMODCACHE does not exist\n\n";
    assert!(text.contains(said), "{text}");
}

#[test]
fn a_narrow_status_loses_columns_from_the_right() {
    insta::assert_snapshot!("status_50", shown(&status(&status_report(), &screen(50))));
}

#[test]
fn du_tells_what_it_leaves_out() {
    insta::assert_snapshot!("du_100", shown(&du(&du_report(), &screen(100))));
    insta::assert_snapshot!("du_60", shown(&du(&du_report(), &screen(60))));
}

#[test]
fn a_preview_says_what_goes_and_why() {
    let text = preview(&made::plan(), &screen(100)) + nothing(&made::plan());
    insta::assert_snapshot!("preview", shown(&text));
    let empty = Plan { items: Vec::new(), keys: Vec::new(), ..made::plan() };
    assert_eq!(nothing(&empty), "");
}

#[test]
fn many_items_end_in_the_command_that_shows_all() {
    let mut plan = made::plan();
    for n in 0..30 {
        let mut item = plan.items[6].clone();
        item.target = larder_core::Target::Path(format!("x{n}").into());
        plan.items.push(item);
    }
    let text = shown(&preview(&plan, &screen(100)));
    assert!(
        text.contains("more: larder plan -o plan.json prune --keep-used '~/my src'\n"),
        "{text}"
    );
    let all = shown(&preview(&plan, &Screen { verbose: true, ..screen(100) }));
    assert!(all.contains(" x29 ") && !all.contains("more:"), "{all}");
}

#[test]
fn an_outcome_says_what_was_freed_and_what_was_not() {
    let disks = status_report().disks;
    let around = Around { disks: &disks, undo_until: None };
    insta::assert_snapshot!("outcome", shown(&outcome(&made::outcome(), around, &screen(100))));
    let mut trashed = made::outcome();
    trashed.trash_id = Some("7f3a".into());
    (trashed.trashed, trashed.freed) = (trashed.freed, Size::default());
    (trashed.skipped, trashed.failed) = (Vec::new(), Vec::new());
    let around = Around { disks: &disks, undo_until: None };
    insta::assert_snapshot!("outcome_trash", shown(&outcome(&trashed, around, &screen(100))));
}

#[test]
fn the_trash_is_a_table() {
    let text = shown(&trash(&made::trash_lines(), &screen(100)));
    assert!(text.starts_with("ID        SIZE   CACHE "), "{text}");
    assert!(text.contains("\n7f3a   15.2 GB   mod,toolchain "), "{text}");
    assert_eq!(shown(&trash(&[], &screen(100))), "The trash is empty.\n");
}

#[test]
fn no_screen_is_wider_than_it_may_be() {
    for width in [20, 33, 50, 72, 100] {
        let text = shown(&du(&du_report(), &screen(width)));
        let table = text.split("\n\n").next().unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
    }
}
