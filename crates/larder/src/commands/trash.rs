//! `larder trash`.

use std::time::Duration;

use larder_core::Size;
use larder_engine::{Config, World, trash};
use larder_fs::Removal;
use larder_fs::trash::{Emptied, Listed};

use crate::args::{TrashArgs, TrashCommand};
use crate::bridge;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_trash::{self, KeyEntry};
use crate::render_trash;
use crate::text::counted;
use crate::wire_trash::{EmptiedDoc, RestoredDoc, TrashDoc, TrashLine};

pub(crate) fn run(context: &Context<'_>, args: &TrashArgs) -> Result<Exit, CliError> {
    context.state_folder()?;
    let here = (bridge::world(context)?, bridge::config(context));
    match &args.command {
        None | Some(TrashCommand::List) => list(context, &here),
        Some(TrashCommand::Restore { id, replace }) => restore(context, &here, id, *replace),
        Some(TrashCommand::Empty { older_than, dry_run, yes }) => {
            empty(context, &here, *older_than, *dry_run, *yes)
        }
    }
}

type Here = (World, Config);

fn list(context: &Context<'_>, (world, config): &Here) -> Result<Exit, CliError> {
    let lines = lines(&trash::list(world, config, &context.meter)?, config);
    show(context, &with_keys(lines, &key_trash::list(&config.state), config));
    Ok(Exit::Done)
}

fn show(context: &Context<'_>, lines: &[TrashLine]) {
    let text = || render_trash::trash(lines, &context.screen());
    context.printer.show(|| TrashDoc::from(lines), text);
}

/// Files and keys together, the latest first.
fn with_keys(mut lines: Vec<TrashLine>, keys: &[KeyEntry], config: &Config) -> Vec<TrashLine> {
    lines.extend(keys.iter().map(|entry| entry.line(config.trash_keep)));
    lines.sort_by_key(|line| std::cmp::Reverse(line.created_at));
    lines
}

fn lines(listed: &[Listed], config: &Config) -> Vec<TrashLine> {
    listed
        .iter()
        .map(|entry| TrashLine {
            id: entry.id.clone(),
            cache: entry.caches.iter().map(|cache| cache.name()).collect::<Vec<_>>().join(","),
            created_at: entry.created_at,
            size: entry.size,
            keys: None,
            ttls: false,
            expires_at: entry.expires_at.unwrap_or(entry.created_at.plus(config.trash_keep)),
        })
        .collect()
}

/// Restores the one entry whose id begins so.
fn restore(
    context: &Context<'_>,
    (world, config): &Here,
    id: &str,
    replace: bool,
) -> Result<Exit, CliError> {
    let keys = key_trash::list(&config.state);
    let mut ids: Vec<String> = trash::list(world, config, &context.meter)?
        .into_iter()
        .map(|entry| entry.id)
        .chain(keys.iter().map(|entry| entry.header.id.clone()))
        .filter(|known| !id.is_empty() && known.starts_with(id))
        .collect();
    ids.dedup();
    let id = match ids.as_slice() {
        [one] => one.as_str(),
        [] => id,
        [_, ..] => {
            let what = format!("{id} is the beginning of {}", ids.join(" and "));
            return Err(CliError::usage(what).hint("type more of it"));
        }
    };
    if let Some(entry) = keys.iter().find(|entry| entry.header.id == id) {
        let restored = {
            let _progress = context.progress("Restoring", None);
            key_trash::restore(context, entry, replace)?
        };
        context.printer.show(
            || RestoredDoc::of_keys(id, &restored),
            || {
                let ttls = entry.header.ttls;
                render_trash::keys_restored(id, ttls, &restored, &context.screen())
            },
        );
        return Ok(if restored.complete() { Exit::Done } else { Exit::Partly });
    }
    let restored = {
        let _progress = context.progress("Restoring", None);
        trash::restore(world, config, id, replace, &context.meter)?
    };
    context.printer.show(
        || RestoredDoc::new(id, &restored),
        || render_trash::restored(id, &restored, &context.screen()),
    );
    Ok(bridge::exit(&restored))
}

fn empty(
    context: &Context<'_>,
    (world, config): &Here,
    older_than: Option<Duration>,
    dry_run: bool,
    yes: bool,
) -> Result<Exit, CliError> {
    let now = context.now;
    let goes = |entry: &Listed| older_than.is_none_or(|age| now.since(entry.created_at) >= age);
    let mut listed = trash::list(world, config, &context.meter)?;
    listed.retain(goes);
    let mut keys = key_trash::list(&config.state);
    keys.retain(|entry| older_than.is_none_or(|age| now.since(entry.created_at()) >= age));
    let lines = with_keys(lines(&listed, config), &keys, config);
    let total: Size = lines.iter().map(|line| line.size).sum();
    let count = lines.len();
    if dry_run || count == 0 {
        show(context, &lines);
        return Ok(Exit::Done);
    }
    let question = format!(
        "Remove {}, {}, for good?",
        counted(count as u64, "entry", "entries"),
        context.settings().units.show(total.allocated.0)
    );
    if !yes && !context.printer.confirm(&question)? {
        return Err(CliError::refused("the trash was not emptied"));
    }
    let emptied = {
        let _progress = context.progress("Emptying", Some(total.allocated.0));
        let mut emptied = trash::empty(world, config, older_than, &context.meter)?;
        emptied.extend(keys.iter().map(forget));
        emptied
    };
    let doc = EmptiedDoc::new(&emptied);
    let failed = doc.is_partial();
    let text = render_trash::emptied(&emptied, &context.screen());
    context.printer.show(|| doc, || text);
    Ok(if failed { Exit::Partly } else { Exit::Done })
}

/// Removes a file of keys for good.
fn forget(entry: &KeyEntry) -> Emptied {
    let mut removal = Removal::default();
    match larder_fs::forget_file(&entry.path) {
        Ok(()) => removal.freed = Size::new(1, entry.bytes, entry.bytes),
        Err(error) => removal.errors.push((entry.path.clone(), error)),
    }
    Emptied { id: entry.header.id.clone(), root: entry.path.clone(), removal }
}
