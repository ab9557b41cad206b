//! larder's command line: arguments, settings, commands, screens and exit codes.
//!
//! Arguments are read raw, settings are resolved into types, and only then a command parses,
//! calls the engine and renders. stdout is the answer, stderr is prose. What caches are and what
//! may be removed is decided elsewhere: nothing here walks or removes a file of a cache.

mod api;
pub mod args;
pub mod args_clean;
pub mod args_daemon;
pub mod args_download;
pub mod args_expire;
pub mod args_history;
pub mod args_keys;
pub mod args_settings;
pub mod args_throttle;
pub mod args_trash;
pub mod args_verify;
mod bridge;
pub mod caches;
pub mod commands;
pub mod context;
mod daemon;
pub mod exit;
pub mod export;
mod heal_run;
mod health;
mod help;
mod history_keep;
mod history_open;
pub mod interrupt;
mod key_du;
mod key_plan;
mod key_removal;
mod key_resume;
mod key_trash;
pub mod key_upkeep;
pub mod printer;
pub mod progress;
mod progress_keys;
mod redis_readings;
mod redis_sample;
mod redis_status;
pub mod redis_target;
mod removal;
mod render_audit;
pub mod render_config;
pub mod render_download;
pub mod render_du;
pub mod render_du_keys;
mod render_events;
pub mod render_heal;
mod render_health;
mod render_keys;
pub mod render_outcome;
pub mod render_plan;
mod render_redis_status;
mod render_slowlog;
pub mod render_status;
mod render_throttle;
pub mod render_trash;
mod render_trend;
pub mod render_verify;
pub mod settings;
pub mod settings_daemon;
pub mod settings_file;
pub mod settings_history;
pub mod settings_keys;
pub mod settings_named;
pub mod settings_notify;
pub mod settings_places;
pub mod settings_redis;
pub mod settings_template;
pub mod settings_value;
mod slow_kept;
mod slow_watch;
pub mod table;
pub mod text;
mod throttle_evidence;
mod throttle_guard;
mod throttle_hold;
mod throttle_store;
mod throttles;
mod trend_rows;
mod trend_sample;
mod verified_file;
mod waiting;
pub mod wire;
pub mod wire_alerts;
pub mod wire_audit;
pub mod wire_config;
pub mod wire_download;
pub mod wire_events;
pub mod wire_heal;
pub mod wire_health;
pub mod wire_keys;
pub mod wire_outcome;
pub mod wire_plan;
pub mod wire_plans;
mod wire_redis_status;
pub mod wire_slowlog;
pub mod wire_status;
pub mod wire_throttle;
pub mod wire_trash;
pub mod wire_trend;
pub mod wire_verify;

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::exit::Exit;
use crate::printer::Printer;

/// Runs one command line, the program's name first.
pub fn run(args: &[OsString]) -> Exit {
    larder_fs::make_room();
    let command = args::Cli::command().color(help_color(args)).mut_subcommands(one_version);
    let parsed = command
        .try_get_matches_from(args)
        .and_then(|matches| args::Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that went away has seen what it wanted.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let printer = Printer::new(&cli.global);
    let request = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let exit = commands::dispatch(cli, &printer, request).unwrap_or_else(|error| {
        printer.error(&error);
        error.exit
    });
    printer.finish(exit)
}

/// `larder prune --version` is larder's version too, and names larder.
fn one_version(command: clap::Command) -> clap::Command {
    command.display_name("larder").mut_subcommands(one_version)
}

/// Help is printed before `--color` is parsed, so it is looked for by hand.
fn help_color(args: &[OsString]) -> clap::ColorChoice {
    let mut choice = clap::ColorChoice::Auto;
    let words = args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--");
    let mut expects = false;
    for word in words {
        let value = if expects { Some(word) } else { word.strip_prefix("--color=") };
        expects = word == "--color";
        match value {
            Some("always") => choice = clap::ColorChoice::Always,
            Some("never") => choice = clap::ColorChoice::Never,
            _ => {}
        }
    }
    choice
}
