//! Every byte of a build cache held against what it should be.
//!
//! The rules are the go command's (`cmd/go/internal/cache/cache.go`): an output's name is the
//! SHA-256 of its content (`put`), of a cached executable that of the one file in its folder
//! (`PutExecutable`, `OutputFile`); an action entry is one line of a fixed form (`get`) whose size
//! is that of its output (`GetFile`, which holds nothing else against the output before it is
//! used: that is why a changed archive reaches the linker).
//!
//! Promises: what cannot be read is told as that and never counted as good; what go takes for
//! normal (an action whose output was trimmed, an output that no action names) is counted and not
//! called bad; what was written to a moment ago is looked at again before it is called bad, so a
//! running build raises no alarm. It streams: memory is 16 bytes an entry, and access times stay.
//! Leaves out: fuzzing corpora, where go takes any file and passes over what it cannot parse; and
//! mending: what would mend is said in [`Bad::removes`].

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::{Bad, CacheKind, Check, EntryId, Meter, Time, Unverifiable, Verification};
use larder_fs::{Dir, clock};
use larder_sha256::Lanes;

use crate::build_layout::BuildLayout;
use crate::build_verify_entry::{Fault, Key, Shards, Verdict};
use crate::build_verify_pass::{Found, examine_all, naming};
use crate::build_verify_stamp::{self as stamp};

/// What was written less long ago than this is looked at again before it is called bad.
pub const SETTLE: Duration = Duration::from_secs(2);

/// So many times [`SETTLE`] is waited for what is being written, all of it together.
const PATIENCE: u32 = 10;

/// Between two looks at what is being written.
const PAUSE: Duration = Duration::from_millis(100);

/// How to verify.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// At most so many threads; 0 for as many as there are processors.
    pub threads: usize,
    /// What was written less long ago than this may still be written to: [`SETTLE`].
    pub settle: Duration,
    /// Is told files and bytes, and may stop the work.
    pub meter: &'a Meter,
}

/// What a build cache's verification found.
#[derive(Clone, Debug, Default)]
pub struct BuildVerification {
    /// What is bad, and what could not be told.
    pub found: Verification,
    /// Actions whose output is gone: plain misses to go, as its own trim leaves them.
    pub dangling: u64,
    /// Outputs that no action names: waste that no go command reads.
    pub orphans: u64,
    /// Whether all was seen: not stopped in the middle.
    pub complete: bool,
}

/// Verifies a whole build cache.
pub fn verify(root: &Dir, layout: &BuildLayout, options: &Options<'_>) -> BuildVerification {
    let shards = Shards::new(root);
    let mut found = examine_all(&shards, layout, options);
    let faults = settle(&shards, &mut found, options);
    let mut bad = judge(&shards, layout, faults, options);
    let stamps = stamp::examine(root, options.settle);
    bad.extend(stamps.bad);
    bad.sort_by(|a, b| a.subject.cmp(&b.subject));
    let blocked = layout.blocked.iter().map(|(path, what)| Unverifiable {
        cache: CacheKind::Build,
        subject: path.display().to_string(),
        reason: format!("it is {what}, which larder does not enter"),
    });
    found.unread.extend(blocked);
    found.unread.extend(stamps.unread);
    found.unread.sort_by(|a, b| a.subject.cmp(&b.subject));
    let checked = found.checked + stamps.checked;
    let wrong = (bad.len() + found.unread.len()) as u64;
    let orphans = found.orphans();
    BuildVerification {
        orphans,
        dangling: found.dangling,
        complete: !options.meter.stopped(),
        found: Verification {
            checked,
            good: checked.saturating_sub(wrong),
            bad,
            unverifiable: found.unread,
            bytes_read: found.bytes,
        },
    }
}

/// Whether what was told is still so, looked at afresh.
pub fn still_bad(root: &Dir, bad: &Bad) -> bool {
    let Ok(rel) = bad.path.strip_prefix(root.path()) else { return false };
    if let Some(key) = Key::of_path(rel) {
        let verdict = Shards::new(root).examine(&key, &mut Lanes::default(), &Meter::default());
        return matches!(verdict, Verdict::Bad(_));
    }
    let stamps = stamp::examine(root, Duration::ZERO);
    stamps.bad.iter().any(|other| other.path == bad.path)
}

/// When a file or folder below `root` last changed, which a removal holds against what it finds;
/// `None` where there is none.
pub fn last_change(root: &Dir, rel: &Path) -> Option<Time> {
    let above = root.open_path(rel.parent()?).ok()?;
    Some(above.look(rel.file_name()?).ok()??.modified)
}

/// Looks again at what may still be written to, until it has come to rest. What does not is
/// neither good nor bad.
fn settle(shards: &Shards<'_>, found: &mut Found, options: &Options<'_>) -> Vec<(Key, Fault)> {
    let end = Instant::now() + options.settle * PATIENCE;
    let mut lanes = Lanes::default();
    let mut settled = Vec::new();
    for (key, mut fault) in std::mem::take(&mut found.faults) {
        loop {
            if !fault.is_recent(clock::now(), options.settle) {
                settled.push((key, fault));
                break;
            }
            if options.meter.stopped() || Instant::now() >= end {
                found.unread.push(key.unverifiable("it is being written to".to_owned()));
                break;
            }
            thread::sleep(PAUSE.min(options.settle));
            match shards.examine(&key, &mut lanes, options.meter) {
                Verdict::Bad(again) => fault = again,
                Verdict::Unread(why) => {
                    found.unread.push(key.unverifiable(why));
                    break;
                }
                Verdict::Good { .. }
                | Verdict::Names { .. }
                | Verdict::Dangling
                | Verdict::Gone => break,
            }
        }
    }
    settled
}

/// Faults as a person is told them: what an output and the actions that name it have in common
/// is told once, with the output.
fn judge(
    shards: &Shards<'_>,
    layout: &BuildLayout,
    faults: Vec<(Key, Fault)>,
    options: &Options<'_>,
) -> Vec<Bad> {
    let (mut outputs, mut actions) = (BTreeMap::new(), Vec::new());
    for (key, fault) in faults {
        match key {
            Key::Output(id) => drop(outputs.insert(id, fault)),
            Key::Action(id) => actions.push((id, fault)),
        }
    }
    actions.retain(|(_, fault)| fault.names.is_none_or(|output| !outputs.contains_key(&output)));
    let mut named: BTreeMap<EntryId, Vec<(EntryId, u64)>> = BTreeMap::new();
    if !outputs.is_empty() {
        for (action, text) in naming(shards, layout, &outputs, options) {
            named.entry(text.output).or_default().push((action, text.size));
        }
    }
    let root = shards.root().path();
    let actions = actions.into_iter().map(|(id, fault)| bad_action(root, id, fault));
    let outputs = outputs
        .into_iter()
        .map(|(id, fault)| bad_output(root, id, fault, named.remove(&id).unwrap_or_default()));
    actions.chain(outputs).collect()
}

fn bad_action(root: &Path, id: EntryId, fault: Fault) -> Bad {
    let removes = if fault.mendable { vec![id.action_path()] } else { Vec::new() };
    Bad { path: root.join(id.action_path()), removes, ..blank(format!("build action {id}"), fault) }
}

fn bad_output(root: &Path, id: EntryId, fault: Fault, mut named: Vec<(EntryId, u64)>) -> Bad {
    named.sort_unstable();
    let size = fault.size;
    let mut bad = blank(format!("build output {id}"), fault);
    if let (Some(size), Some(said)) = (size, named.first().map(|(_, said)| *said))
        && size != said
    {
        bad.check = Check::OutputSize;
        (bad.expected, bad.found) = (format!("{said} bytes"), format!("{size} bytes"));
    }
    bad.details.push(match named.len() {
        0 => "no action names it, so go does not read it".to_owned(),
        1 => format!("named by build action {}", named[0].0),
        many => format!("named by {many} build actions"),
    });
    let actions = named.iter().map(|(action, _)| action.action_path());
    let removes: Vec<PathBuf> = actions.chain([id.output_path()]).collect();
    Bad { path: root.join(id.output_path()), removes, ..bad }
}

fn blank(subject: String, fault: Fault) -> Bad {
    Bad {
        cache: CacheKind::Build,
        subject,
        check: fault.check,
        expected: fault.expected,
        found: fault.found,
        details: Vec::new(),
        path: PathBuf::new(),
        used_by: Vec::new(),
        removes: Vec::new(),
        fixed: false,
    }
}

/// The path of a stamp below the root, for those who mend it.
pub fn is_stamp(rel: &Path) -> bool {
    stamp::NAMES.iter().any(|name| rel.as_os_str() == OsStr::new(name))
}
