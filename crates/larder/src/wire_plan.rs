//! `larder/plan/1`: a plan as a file that a person can read, review and approve.
//!
//! Nothing is taken on trust when it is read back: what apply would remove is worked out again
//! from each item's cache and paths by the rules of the cache itself, so that no edit of the file
//! can name anything else. The approval is a digest over all of the file but the approval.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use larder_core::check::Approval;
use larder_core::plan::PlanRoot;
use larder_core::{CacheKind, Kept, KeysItem, Plan, PlanItem, RootKind, Size, Target, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::exit::CliError;
use crate::wire::{Document, WireSize, WireTime, path_text, text_path};
use crate::wire_keys::WireKeys;

/// A plan.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlanDoc {
    schema: String,
    /// A short name for people.
    id: String,
    /// When it was made.
    created_at: WireTime,
    /// The machine that it is for.
    host: String,
    /// The arguments that asked for it.
    request: Vec<String>,
    /// The folders that it is about.
    roots: Vec<WireRoot>,
    /// What was used this recently is left alone by apply too.
    protect_seconds: u64,
    /// What goes, in this order.
    items: Vec<WireItem>,
    /// What a policy wanted gone and something protected.
    kept: Vec<WireKept>,
    /// The sum of the items, as far as it was measured.
    total: WireTotal,
    /// Who approved it, once somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<WireApproval>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct WireRoot {
    /// `GOCACHE` or `GOMODCACHE`.
    kind: String,
    path: String,
    /// Device and inode, so that another folder of the same name is not mistaken for it.
    identity: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct WireItem {
    cache: String,
    /// What a person would call it.
    subject: String,
    /// What goes, when it is one path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// What goes together, when it is several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<String>>,
    /// Null where it is measured as it is removed.
    files: Option<u64>,
    /// Null where it is measured as it is removed.
    logical_bytes: Option<u64>,
    /// Null where it is measured as it is removed.
    allocated_bytes: Option<u64>,
    /// What has been used since is left alone.
    last_used: Option<WireTime>,
    /// Why it goes.
    reason: String,
    /// Of a Redis: which keys.
    #[serde(flatten)]
    keys: Option<WireKeys>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct WireKept {
    cache: String,
    subject: String,
    reason: String,
    #[serde(flatten)]
    size: WireSize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
struct WireTotal {
    items: u64,
    #[serde(flatten)]
    size: WireSize,
}

/// Who approved what, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct WireApproval {
    at: WireTime,
    by: String,
    /// SHA-256 of everything but the approval, in hexadecimal digits.
    digest: String,
}

impl Document for PlanDoc {
    const SCHEMA: &'static str = "larder/plan/1";
}

impl From<&Plan> for PlanDoc {
    fn from(plan: &Plan) -> Self {
        let root_of = |kind: RootKind| {
            plan.roots.iter().find(|root| root.kind == kind).map(|root| root.path.as_path())
        };
        Self {
            schema: Self::SCHEMA.to_owned(),
            id: plan.id.clone(),
            created_at: WireTime(plan.created_at),
            host: plan.host.clone(),
            request: plan.request.clone(),
            roots: plan.roots.iter().map(WireRoot::from).collect(),
            protect_seconds: plan.protect.as_secs(),
            items: plan
                .items
                .iter()
                .map(|item| WireItem::new(item, root_of(item.cache.root())))
                .chain(plan.keys.iter().map(WireItem::of_keys))
                .collect(),
            kept: plan.kept.iter().map(WireKept::from).collect(),
            total: WireTotal {
                items: (plan.items.len() + plan.keys.len()) as u64,
                size: plan.total().into(),
            },
            approval: None,
        }
    }
}

impl From<&PlanRoot> for WireRoot {
    fn from(root: &PlanRoot) -> Self {
        let (device, inode) = root.identity;
        Self {
            kind: root.kind.to_string(),
            path: path_text(&root.path),
            identity: format!("{device}:{inode}"),
        }
    }
}

impl WireItem {
    fn new(item: &PlanItem, root: Option<&Path>) -> Self {
        let absolute = |path: &Path| {
            let full = match root {
                Some(root) if path.as_os_str().is_empty() => root.to_owned(),
                Some(root) => root.join(path),
                None => path.to_owned(),
            };
            path_text(&full)
        };
        let mut paths: Vec<String> = item.target.paths().iter().map(|p| absolute(p)).collect();
        let path = if paths.len() == 1 { paths.pop() } else { None };
        Self {
            cache: item.cache.name().to_owned(),
            subject: item.subject().into_owned(),
            paths: path.is_none().then_some(paths),
            path,
            files: item.size.map(|size| size.files),
            logical_bytes: item.size.map(|size| size.logical.0),
            allocated_bytes: item.size.map(|size| size.allocated.0),
            last_used: item.last_used.map(WireTime),
            reason: item.reason.to_string(),
            keys: None,
        }
    }

    fn of_keys(item: &KeysItem) -> Self {
        Self {
            cache: item.cache.clone(),
            subject: item.subject(),
            path: None,
            paths: None,
            files: None,
            logical_bytes: None,
            allocated_bytes: None,
            last_used: None,
            reason: item.reason.to_string(),
            keys: Some(WireKeys::from(item)),
        }
    }
}

impl From<&Kept> for WireKept {
    fn from(kept: &Kept) -> Self {
        Self {
            cache: kept.cache.name().to_owned(),
            subject: kept.subject.clone(),
            reason: kept.reason.clone(),
            size: kept.size.into(),
        }
    }
}

/// What of a cache a path relative to its root is: `None` for what no plan may name.
pub type Classify<'a> = &'a dyn Fn(CacheKind, &Path) -> Option<Target>;

/// A plan as its file says, not yet looked at closer.
#[derive(Clone, Debug)]
pub struct PlanFile {
    value: Value,
    doc: PlanDoc,
}

/// What is wrong with a plan's file, to be said after its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlan(pub String);

impl BadPlan {
    /// With the file that it is about.
    pub fn in_file(self, file: &Path) -> CliError {
        CliError::usage(format!("{}: {}", file.display(), self.0))
            .hint("make a plan with: larder plan -o FILE prune …")
    }
}

impl PlanFile {
    /// Reads a plan's text.
    pub fn parse(text: &str) -> Result<Self, BadPlan> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| BadPlan(format!("it is not JSON: {error}")))?;
        match value.get("schema").and_then(Value::as_str) {
            Some(PlanDoc::SCHEMA) => {}
            Some(other) if other.starts_with("larder/plan/") => {
                return Err(BadPlan(format!("it is a {other}, which this larder does not know")));
            }
            _ => return Err(BadPlan("it is not a plan".to_owned())),
        }
        // Through the text again, since that is what tells the line of a mistake.
        let doc = serde_json::from_str(text).map_err(|error| BadPlan(error.to_string()))?;
        Ok(Self { value, doc })
    }

    /// Of what was read already.
    pub(crate) fn of(value: Value) -> Result<Self, BadPlan> {
        let doc = PlanDoc::deserialize(&value).map_err(|error| BadPlan(error.to_string()))?;
        if doc.schema != PlanDoc::SCHEMA {
            return Err(BadPlan("it is not a plan".to_owned()));
        }
        Ok(Self { value, doc })
    }

    /// All that the file says.
    pub(crate) fn document(&self) -> &Value {
        &self.value
    }

    /// Whether it is approved, and still what was approved.
    pub fn approval(&self, profile_asks: bool) -> Approval {
        match &self.doc.approval {
            Some(approval) if approval.digest == digest(&self.value) => Approval::Given,
            Some(_) => Approval::Edited,
            None if profile_asks => Approval::Missing,
            None => Approval::NotAsked,
        }
    }

    /// Who approved it and when, whether or not that still holds.
    pub fn approved_by(&self) -> Option<(&str, Time)> {
        self.doc.approval.as_ref().map(|approval| (approval.by.as_str(), approval.at.0))
    }

    /// The file's text with the approval in it, in place of an earlier one.
    pub fn approved(&self, at: Time, by: &str) -> String {
        let approval =
            WireApproval { at: WireTime(at), by: by.to_owned(), digest: digest(&self.value) };
        let mut value = self.value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("approval".to_owned(), serde_json::json!(approval));
        }
        file_text(&value)
    }

    /// The plan, each item's target worked out again by `classify`.
    pub fn plan(&self, classify: Classify<'_>) -> Result<Plan, BadPlan> {
        let doc = &self.doc;
        let roots: Vec<PlanRoot> = doc.roots.iter().map(root).collect::<Result<_, _>>()?;
        let bad = |index: usize, subject: &str, why: String| {
            BadPlan(format!("items[{index}] ({subject}): {why}"))
        };
        let (mut items, mut keys) = (Vec::new(), Vec::new());
        for (index, wire) in doc.items.iter().enumerate() {
            let read = match &wire.keys {
                Some(wired) => wired.item(&wire.cache, &wire.reason).map(|item| keys.push(item)),
                None => item(wire, &roots, classify).map(|item| items.push(item)),
            };
            read.map_err(|why| bad(index, &wire.subject, why))?;
        }
        Ok(Plan {
            id: doc.id.clone(),
            created_at: doc.created_at.0,
            host: doc.host.clone(),
            request: doc.request.clone(),
            items,
            keys,
            roots,
            protect: Duration::from_secs(doc.protect_seconds),
            kept: doc.kept.iter().map(kept).collect::<Result<_, _>>()?,
        })
    }
}

/// A plan as the document of its file.
pub(crate) fn document(doc: &PlanDoc) -> Value {
    // The wire types hold only strings, numbers and lists, which always serialise.
    serde_json::to_value(doc).unwrap_or_default()
}

/// A document's text as a file.
pub fn file_text<T: Serialize>(document: &T) -> String {
    // The wire types hold only strings, numbers and lists, which always serialise.
    serde_json::to_string_pretty(document).map_or_else(|_| String::new(), |text| text + "\n")
}

fn root(wire: &WireRoot) -> Result<PlanRoot, BadPlan> {
    let bad = |what: &str| BadPlan(format!("roots: {:?} is not {what}", wire.kind));
    let kind = [RootKind::GoCache, RootKind::GoModCache]
        .into_iter()
        .find(|kind| kind.variable() == wire.kind)
        .ok_or_else(|| bad("GOCACHE or GOMODCACHE"))?;
    let identity = wire
        .identity
        .split_once(':')
        .and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let identity = identity.ok_or_else(|| bad("given with its device:inode"))?;
    Ok(PlanRoot { kind, path: text_path(&wire.path), identity })
}

fn kept(wire: &WireKept) -> Result<Kept, BadPlan> {
    Ok(Kept {
        cache: wire.cache.parse().map_err(|error| BadPlan(format!("kept: {error}")))?,
        subject: wire.subject.clone(),
        reason: wire.reason.clone(),
        size: wire.size.into(),
    })
}

fn item(wire: &WireItem, roots: &[PlanRoot], classify: Classify<'_>) -> Result<PlanItem, String> {
    let cache: CacheKind = wire.cache.parse().map_err(|error| format!("{error}"))?;
    let root = roots.iter().find(|root| root.kind == cache.root());
    let root = root.ok_or_else(|| format!("the plan has no root {}", cache.root()))?;
    let paths = wire.paths.iter().flatten().chain(&wire.path);
    let targets = paths.map(|path| {
        let relative = below(&root.path, &text_path(path))?;
        classify(cache, &relative).ok_or_else(|| format!("{path} is not of the {cache} cache"))
    });
    let target = targets
        .reduce(|all, next| join(all?, next?))
        .ok_or_else(|| "it names no path".to_owned())??;
    let size = match (wire.files, wire.logical_bytes, wire.allocated_bytes) {
        (Some(files), Some(logical), Some(allocated)) => Some(Size::new(files, logical, allocated)),
        _ => None,
    };
    let mut item = PlanItem {
        cache,
        name: None,
        target,
        size,
        last_used: wire.last_used.map(|time| time.0),
        reason: wire.reason.as_str().into(),
    };
    if item.subject() != wire.subject {
        item.name = Some(wire.subject.as_str().into());
    }
    Ok(item)
}

/// `path` relative to `root`; nothing that leads out of it.
fn below(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let outside = || format!("{} is not below {}", path.display(), root.display());
    let relative = path.strip_prefix(root).map_err(|_| outside())?;
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if plain { Ok(relative.to_owned()) } else { Err(outside()) }
}

/// One target out of two that belong to one item.
fn join(one: Target, other: Target) -> Result<Target, String> {
    match (one, other) {
        (Target::Entry { action: a, output: b }, Target::Entry { action: c, output: d })
            if (a.is_none() || c.is_none()) && (b.is_none() || d.is_none()) =>
        {
            Ok(Target::Entry { action: a.or(c), output: b.or(d) })
        }
        (
            Target::Version { module, version, paths: mut all },
            Target::Version { module: other, version: its, paths },
        ) if module == other && version == its => {
            all.extend(paths.into_iter().filter(|path| !all.contains(path)).collect::<Vec<_>>());
            Ok(Target::Version { module, version, paths: all })
        }
        _ => Err("its paths are not of one thing".to_owned()),
    }
}

/// SHA-256 over the JSON without the approval: keys sorted, no white space, so that only a change
/// of what it says changes it.
pub fn digest(value: &Value) -> String {
    let mut canonical = String::new();
    write_canonical(value, true, &mut canonical);
    let hash = Sha256::digest(canonical.as_bytes());
    hash.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn write_canonical(value: &Value, top: bool, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> =
                fields.iter().filter(|(name, _)| !(top && *name == "approval")).collect();
            sorted.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, field) in sorted {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(field, false, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, false, text);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}
