//! `larder/heal/1`.

use larder_engine::heal::{Healed, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::Document;
use crate::wire_verify::{WireBad, WireVerified};

/// What healing a command found and did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HealDoc {
    schema: &'static str,
    /// `passed`, `not-a-cache`, `mended`, `passed-again`, `did-not-help`, `not-all-back`,
    /// `not-mended`, `interrupted`.
    verdict: &'static str,
    /// Why nothing could be mended; null where it could, or need not.
    why: Option<String>,
    /// The command and its arguments.
    command: Vec<String>,
    /// The exit status of its last run, which is larder's.
    exit_status: u8,
    /// Each run of the command.
    runs: Vec<WireRun>,
    /// Lines of its output that point at a cache.
    clues: Vec<String>,
    /// What was verified.
    verified: Vec<WireVerified>,
    /// What was bad; `fixed` where the repair was kept.
    bad: Vec<WireBad>,
    /// Trash entries with what was removed, where the repair was kept.
    trash_ids: Vec<String>,
    /// Trash entries with what stood in the way of putting things back.
    aside_ids: Vec<String>,
    /// Each step in its order.
    steps: Vec<WireStep>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireRun {
    exit_status: u8,
    duration_seconds: f64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireStep {
    /// `run`, `verify`, `mend`, `run again`, `put back`.
    step: &'static str,
    duration_seconds: f64,
}

impl Document for HealDoc {
    const SCHEMA: &'static str = "larder/heal/1";
}

impl HealDoc {
    /// The report on this command.
    pub fn new(command: &[std::ffi::OsString], healed: &Healed) -> Self {
        let kept = matches!(healed.verdict, Verdict::Mended);
        let ids = healed.outcomes.iter().filter_map(|outcome| outcome.trash_id.clone());
        Self {
            schema: Self::SCHEMA,
            verdict: name(&healed.verdict),
            why: match &healed.verdict {
                Verdict::NotMended(why) => Some(why.clone()),
                _ => None,
            },
            command: command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            exit_status: healed.last().code,
            runs: healed
                .runs
                .iter()
                .map(|run| WireRun {
                    exit_status: run.code,
                    duration_seconds: run.took.as_secs_f64(),
                })
                .collect(),
            clues: healed.clues.lines.clone(),
            verified: healed.verified.iter().map(WireVerified::from).collect(),
            bad: healed.verified.iter().flat_map(|one| &one.found.bad).map(WireBad::from).collect(),
            trash_ids: ids.filter(|_| kept).collect(),
            aside_ids: healed.aside.clone(),
            steps: healed
                .steps
                .iter()
                .map(|(step, took)| WireStep { step, duration_seconds: took.as_secs_f64() })
                .collect(),
        }
    }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::NotACache => "not-a-cache",
        Verdict::Mended => "mended",
        Verdict::PassedAgain => "passed-again",
        Verdict::DidNotHelp => "did-not-help",
        Verdict::NotAllBack => "not-all-back",
        Verdict::NotMended(_) => "not-mended",
        Verdict::Interrupted => "interrupted",
    }
}
