//! From the planner's choice back to whole names: an inventory knows half of an entry's ID, a
//! plan names all of it, so the folders of what was chosen are read again.
//!
//! Promises: what is not there any more, or not told apart by its half, is left out. Leaves out:
//! looking at times again, which is done just before an entry goes (`build_remove`).

use std::collections::HashMap;
use std::ffi::OsStr;

use larder_core::build_planner::{BuildSelection, Chosen, Shielded, Why};
use larder_core::count::counted;
use larder_core::{
    ActionRef, BuildInventory, CacheKind, EntryId, EntryKey, Kept, Meter, OutputRef, PlanItem,
    Size, Target, Time,
};
use larder_fs::Dir;

use crate::build_layout::{EntryName, entry_of_kind, shard_name};
use crate::build_scan::{BuildScan, key_of};

/// The plan's part for a build cache.
#[derive(Clone, Debug, Default)]
pub struct BuildItems {
    /// What goes, in the selection's order.
    pub items: Vec<PlanItem>,
    /// What stays though wanted gone.
    pub kept: Vec<Kept>,
}

/// The selection as plan items, removals that were begun first.
///
/// Where some action could not be read, outputs that no action names stay: that one may name
/// them.
pub fn items(
    root: &Dir,
    scan: &BuildScan,
    selection: &BuildSelection,
    meter: &Meter,
) -> BuildItems {
    let inventory = &scan.inventory;
    let mut wanted = Wanted::default();
    for chosen in &selection.chosen {
        wanted.actions.extend(chosen.action.map(|place| (inventory.action(place).key, None)));
        wanted.outputs.extend(chosen.output.map(|place| (inventory.output(place).key, None)));
    }
    wanted.look_up(root, meter);
    let mut answer = BuildItems { items: leftovers(scan), kept: Vec::new() };
    let mut doubtful = (0_u64, Size::default());
    for chosen in &selection.chosen {
        if scan.unread_actions > 0 && chosen.why == Why::UnnamedOutput {
            doubtful.0 += 1;
            doubtful.1 += chosen.size;
            continue;
        }
        answer.items.extend(item(inventory, &wanted, chosen));
    }
    answer.kept.extend(selection.kept.iter().map(kept));
    if doubtful.0 > 0 {
        answer.kept.push(Kept {
            cache: CacheKind::Build,
            subject: entries(doubtful.0),
            reason: "some actions cannot be read, and may name these outputs".to_owned(),
            size: doubtful.1,
        });
    }
    answer
}

/// Whole IDs of outputs, for rows that name single files; what is gone is left out.
pub fn output_ids(
    root: &Dir,
    inventory: &BuildInventory,
    places: &[OutputRef],
    meter: &Meter,
) -> HashMap<OutputRef, EntryId> {
    let mut wanted = Wanted::default();
    wanted.outputs.extend(places.iter().map(|&place| (inventory.output(place).key, None)));
    wanted.look_up(root, meter);
    places.iter().filter_map(|&place| Some((place, wanted.output(inventory, place)?))).collect()
}

/// Keys on the way to whole IDs.
#[derive(Default)]
struct Wanted {
    actions: HashMap<EntryKey, Option<EntryId>>,
    outputs: HashMap<EntryKey, Option<EntryId>>,
}

impl Wanted {
    /// Reads those of the folders that hold something wanted.
    fn look_up(&mut self, root: &Dir, meter: &Meter) {
        let mut shards = [false; 256];
        for key in self.actions.keys().chain(self.outputs.keys()) {
            shards[usize::from(key.shard())] = true;
        }
        for shard in (0..=255_u8).filter(|&shard| shards[usize::from(shard)]) {
            if meter.stopped() {
                return;
            }
            let folder = root.open_dir(OsStr::new(&shard_name(shard)));
            let Ok(names) = folder.and_then(|dir| dir.entries()) else { continue };
            for (name, kind) in &names {
                let (map, id) = match entry_of_kind(shard, name, *kind) {
                    Some(EntryName::Action(id)) => (&mut self.actions, id),
                    Some(EntryName::Output(id)) => (&mut self.outputs, id),
                    Some(EntryName::Staged(_)) | None => continue,
                };
                if let Some(slot) = map.get_mut(&key_of(&id)) {
                    *slot = Some(id);
                }
            }
        }
    }

    fn action(&self, inventory: &BuildInventory, place: ActionRef) -> Option<EntryId> {
        *self.actions.get(&inventory.action(place).key)?
    }

    fn output(&self, inventory: &BuildInventory, place: OutputRef) -> Option<EntryId> {
        *self.outputs.get(&inventory.output(place).key)?
    }
}

fn item(inventory: &BuildInventory, wanted: &Wanted, chosen: &Chosen) -> Option<PlanItem> {
    let action = chosen.action.and_then(|place| wanted.action(inventory, place));
    let output = chosen.output.and_then(|place| wanted.output(inventory, place));
    if action.is_none() && output.is_none() {
        return None;
    }
    Some(PlanItem {
        cache: CacheKind::Build,
        name: None,
        target: Target::Entry { action, output },
        size: Some(chosen.size),
        last_used: Some(Time::from_unix(chosen.used.into())),
        reason: chosen.why.text(),
    })
}

fn leftovers(scan: &BuildScan) -> Vec<PlanItem> {
    let item = |(path, size): &(std::path::PathBuf, Size)| PlanItem {
        cache: CacheKind::Build,
        name: None,
        target: Target::Path(path.clone()),
        size: Some(*size),
        last_used: None,
        reason: "its removal was begun and did not end".into(),
    };
    scan.leftovers.iter().map(item).collect()
}

fn kept(shielded: &Shielded) -> Kept {
    Kept {
        cache: CacheKind::Build,
        subject: entries(shielded.entries),
        reason: shielded.shield.text(),
        size: shielded.size,
    }
}

fn entries(count: u64) -> String {
    counted(count, "build entry", "build entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_readable() {
        assert_eq!(entries(1), "1 build entry");
        assert_eq!(entries(412), "412 build entries");
        assert_eq!(entries(4212), "4,212 build entries");
        assert_eq!(entries(1_004_212), "1,004,212 build entries");
    }
}
