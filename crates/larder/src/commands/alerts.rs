//! `larder alerts`, `alerts test`, `alerts silence` and `alerts unsilence`.

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use larder_core::Board;
use larder_core::alert_board::Phase;
use larder_core::time::Age;
use larder_history::{Entry, Reader, Store};
use larder_notify::{Dispatcher, Fate, Options, Patience, test_notice};

use crate::args::{AlertsArgs, AlertsCommand};
use crate::context::Context;
use crate::daemon::{self, Silences};
use crate::exit::{CliError, Exit};
use crate::history_open;
use crate::printer::Screen;
use crate::wire::AlertsDoc;

pub(crate) fn run(context: &Context<'_>, args: &AlertsArgs) -> Result<Exit, CliError> {
    match &args.command {
        None => show(context, args.check),
        Some(AlertsCommand::Test { name }) => test(context, name),
        Some(AlertsCommand::Silence { cache, length, reason }) => {
            let until = context.now.plus(*length);
            change(context, |silences| silences.add(cache, until, reason))?;
            context.printer.note(&format!("Nobody is told of {cache} for {}.", Age(*length)));
            Ok(Exit::Done)
        }
        Some(AlertsCommand::Unsilence { cache }) => {
            let mut was = false;
            change(context, |silences| was = silences.remove(cache))?;
            let said = if was { "is told of again" } else { "was not silenced" };
            context.printer.note(&format!("{cache} {said}."));
            Ok(Exit::Done)
        }
    }
}

fn state(context: &Context<'_>, key: &str) -> Result<Option<String>, CliError> {
    let reader = Reader::new(&context.state_folder()?.join("history.db"));
    reader.state(key).map_err(|error| history_open::unreadable(context, &error))
}

fn show(context: &Context<'_>, check: bool) -> Result<Exit, CliError> {
    let text = state(context, daemon::BOARD)?;
    let board = text.map(|text| daemon::read_board(&text)).unwrap_or_default();
    let silences = Silences::read(state(context, daemon::SILENCES)?.as_deref(), context.now);
    let watched = daemon::running(context.state_folder()?);
    context
        .printer
        .show(|| AlertsDoc::from(&board), || render(&board, &silences, watched, &context.screen()));
    let fires = board.firing().next().is_some();
    Ok(if check && fires { Exit::Unwell } else { Exit::Done })
}

fn render(board: &Board, silences: &Silences, watched: bool, screen: &Screen) -> String {
    let mut text = String::new();
    for tracked in board.tracked.iter().filter(|tracked| tracked.phase != Phase::Over) {
        let alert = &tracked.alert;
        let pending = matches!(tracked.phase, Phase::Pending { .. });
        let score = alert.score.map_or_else(String::new, |score| format!(" health {score}"));
        let quiet = if silences.hold(&alert.cache) { ", silenced" } else { "" };
        let state = if pending { "pending" } else { alert.severity.name() };
        let age = Age(screen.now.since(alert.since));
        let _ = writeln!(text, "{state:<9} {}{score}, for {age}{quiet}", alert.cache);
        for reason in &alert.reasons {
            let lost = reason.lost.map_or_else(String::new, |lost| format!(" −{lost:.1}"));
            let _ = writeln!(text, "          {}{lost}: {}", reason.id, reason.text);
        }
        for line in alert.done.iter().chain(&alert.details) {
            let _ = writeln!(text, "          {line}");
        }
        if let Some(command) = &alert.command {
            let _ = writeln!(text, "          {command}");
        }
    }
    if text.is_empty() {
        text.push_str("Nothing fires.\n");
    }
    if !watched {
        text.push_str("\nNo larder watch runs here, so this is as the last one left it.\n");
    }
    text
}

fn change(context: &Context<'_>, change: impl FnOnce(&mut Silences)) -> Result<(), CliError> {
    let failed = |error: larder_history::HistoryError| history_open::unreadable(context, &error);
    let text = state(context, daemon::SILENCES)?;
    let mut silences = Silences::read(text.as_deref(), context.now);
    change(&mut silences);
    let folder = context.state_folder()?;
    std::fs::create_dir_all(folder)
        .map_err(|error| CliError::io("make the folder", folder, &error))?;
    let limits = history_open::limits(&context.settings().history);
    let (mut store, _) = Store::open(&folder.join("history.db"), limits).map_err(failed)?;
    let key = daemon::SILENCES.to_owned();
    store.write(&[Entry::State { key, text: silences.text() }]).map_err(failed)
}

/// Sends a marked test, and waits for what becomes of it.
fn test(context: &Context<'_>, name: &str) -> Result<Exit, CliError> {
    let all = &context.settings().notify;
    let settings = all.iter().find(|settings| settings.name == name).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|settings| settings.name.as_str()).collect();
        let hint = if known.is_empty() {
            "name one in the settings: [notify.NAME]".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        CliError::usage(format!("no receiver is named {name:?}")).hint(hint)
    })?;
    let receiver = daemon::receiver(settings)?;
    let (tell, told) = mpsc::channel();
    let patience = Patience { tries: 1, ..Patience::default() };
    let options = Options { patience, ..Options::default() };
    let dispatcher = Dispatcher::start(vec![receiver], &options, &[], move |delivery| {
        // Nobody listens any more where it took too long.
        let _ = tell.send(delivery);
    });
    let dispatcher = dispatcher.map_err(|error| CliError::because(Exit::Usage, &error))?;
    dispatcher.send(&test_notice(&larder_engine::keys::host(), context.now));
    let limit = settings.timeout + Duration::from_secs(5);
    let fate = told.recv_timeout(limit).map(|delivery| delivery.fate);
    dispatcher.stop(Duration::ZERO);
    match fate {
        Ok(Fate::Sent) => {
            context.printer.answer(&format!("{name} took the test.\n"));
            Ok(Exit::Done)
        }
        Ok(Fate::Failed(why) | Fate::Unsent(Some(why))) => {
            Err(CliError::new(Exit::Unreachable, format!("{name} did not take it: {why}")))
        }
        Ok(_) | Err(_) => {
            Err(CliError::new(Exit::Unreachable, format!("{name} did not take it in time")))
        }
    }
}
