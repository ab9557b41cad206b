//! A build cache's bytes by one of their properties, as rows for `du`.
//!
//! Promises: the rows add up to the whole cache; what is not attributed is a row of its own that
//! says what it is.

use std::collections::HashMap;
use std::path::Path;

use larder_core::build_inventory::Names;
use larder_core::{BuildInventory, Size, Time};

use crate::build_age::AgeStep;
use crate::build_origin::Origin;
use crate::build_owner::{Owner, Owners};

/// What rows are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsBy {
    /// What an output is.
    Kind,
    /// How long it has gone unused.
    Age,
    /// Import path.
    Package,
    /// Module, all versions together.
    Module,
    /// Module and version.
    Version,
    /// The Go version that made it.
    Go,
    /// The project's folder.
    Project,
}

/// What shares a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The package, module, version, … that was asked for.
    pub key: String,
    /// Outputs, and the actions that name them.
    pub size: Size,
    /// The latest use of any of it.
    pub last_used: Option<Time>,
}

/// The cache by `by`, the largest first. `home` is shown as `~` in project folders.
pub fn rows(
    inventory: &BuildInventory,
    owners: &Owners,
    by: RowsBy,
    home: Option<&Path>,
    now: Time,
) -> Vec<Row> {
    let mut sums: HashMap<String, (Size, Option<Time>)> = HashMap::new();
    let mut add = |key: String, size: Size, used: Option<Time>| {
        let (sum, last) = sums.entry(key).or_default();
        *sum += size;
        *last = (*last).max(used);
    };
    // Owners are far fewer than outputs, so each owner's key is made once.
    let keys: Vec<String> = owners.all().iter().map(|owner| key_of(owner, by, home)).collect();
    let key = |output| match by {
        RowsBy::Kind => owners.kind(output).name().to_owned(),
        _ => match &keys[owners.number(output)] {
            key if key.is_empty() => format!("not attributed: {}", owners.kind(output).name()),
            key => key.clone(),
        },
    };
    for (place, output) in inventory.outputs() {
        let used = Time::from_unix(output.used.into());
        let key = if by == RowsBy::Age { age(used, now) } else { key(place) };
        add(key, output.size(), Some(used));
    }
    for (_, action) in inventory.actions() {
        let used = Time::from_unix(action.used.into());
        let key = match (by, action.names()) {
            (RowsBy::Age, _) => age(used, now),
            (RowsBy::Kind, _) => "actions".to_owned(),
            (_, Names::Output(output)) => key(output),
            (_, Names::Missing | Names::Damaged) => "actions without an output".to_owned(),
        };
        add(key, action.size(), Some(used));
    }
    if !inventory.overhead.is_empty() {
        add("bookkeeping".to_owned(), inventory.overhead, None);
    }
    let mut rows: Vec<Row> =
        sums.into_iter().map(|(key, (size, last_used))| Row { key, size, last_used }).collect();
    rows.sort_by(|a, b| b.size.allocated.cmp(&a.size.allocated).then_with(|| a.key.cmp(&b.key)));
    rows
}

fn age(used: Time, now: Time) -> String {
    AgeStep::of(used, now).name().to_owned()
}

/// The key of an owner; empty where it is not told.
fn key_of(owner: &Owner, by: RowsBy, home: Option<&Path>) -> String {
    if owner.origin == Origin::Shared {
        return "shared by several packages".to_owned();
    }
    match by {
        RowsBy::Kind | RowsBy::Age => String::new(),
        RowsBy::Package => owner.package.to_string(),
        RowsBy::Go => owner.go.to_string(),
        RowsBy::Module | RowsBy::Version => match &owner.origin {
            Origin::Std if owner.go.is_empty() || by == RowsBy::Module => "std".to_owned(),
            Origin::Std => format!("std {}", owner.go),
            Origin::Module { path, version, .. } if by == RowsBy::Version => {
                format!("{path}@{version}")
            }
            Origin::Module { path, .. } => path.to_string(),
            Origin::Project { module: Some(module), .. } => module.to_string(),
            Origin::Project { folder, .. } => shown(folder, home),
            Origin::Trimmed => TRIMMED.to_owned(),
            Origin::Shared | Origin::Unknown => String::new(),
        },
        RowsBy::Project => match &owner.origin {
            Origin::Std => "std".to_owned(),
            Origin::Module { .. } => "modules".to_owned(),
            Origin::Project { folder, .. } => shown(folder, home),
            Origin::Trimmed => TRIMMED.to_owned(),
            Origin::Shared | Origin::Unknown => String::new(),
        },
    }
}

const TRIMMED: &str = "projects built with -trimpath";

fn shown(folder: &Path, home: Option<&Path>) -> String {
    match home.and_then(|home| folder.strip_prefix(home).ok()) {
        Some(inside) if inside == Path::new("") => "~".to_owned(),
        Some(inside) => Path::new("~").join(inside).display().to_string(),
        None => folder.display().to_string(),
    }
}
