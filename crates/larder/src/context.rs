//! What a command is handed beside its own arguments: settings, printer, time, and the wish to
//! stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_core::{Meter, Time};
use larder_engine::Profile;

use crate::args::{GlobalArgs, RemoveArgs};
use crate::exit::CliError;
use crate::printer::{Printer, Screen};
use crate::progress::Progress;
use crate::settings::{self, Input, Resolved, Settings};
use crate::settings_places::Places;

/// What a command that touches caches is handed.
#[derive(Debug)]
pub struct Context<'a> {
    /// The options of every command.
    pub global: &'a GlobalArgs,
    /// Writes.
    pub printer: &'a Printer,
    /// Settings with their sources.
    pub resolved: Resolved,
    /// The arguments as they were typed, without the program's name: a plan's `request`.
    pub request: Vec<String>,
    /// When the command began.
    pub now: Time,
    /// Counts the work; a signal stops it.
    pub meter: Arc<Meter>,
}

/// What settings are made of, with these options.
pub fn input(global: &GlobalArgs) -> Input {
    let profile = global.profile.clone().map(|profile| ("profile", "--profile", profile));
    Input {
        config: global.config.clone(),
        flags: profile.into_iter().collect(),
        variables: std::env::vars_os().filter(|(name, _)| is_ours(name)).collect(),
        places: Places::from_env(),
    }
}

fn is_ours(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("LARDER_"))
}

impl<'a> Context<'a> {
    /// Reads the settings, warns of what looks like one and is none, and listens for Ctrl-C.
    pub fn load(
        global: &'a GlobalArgs,
        printer: &'a Printer,
        request: Vec<String>,
    ) -> Result<Self, CliError> {
        let resolved = settings::resolve(&input(global))?;
        resolved.warnings.iter().for_each(|warning| printer.warning(warning));
        let meter = crate::interrupt::meter();
        Ok(Self { global, printer, resolved, request, now: larder_fs::now(), meter })
    }

    /// The typed settings.
    pub fn settings(&self) -> &Settings {
        &self.resolved.settings
    }

    /// What renderers need; ages are counted to when the command began.
    pub fn screen(&self) -> Screen {
        self.printer.screen(self.settings().units, self.now)
    }

    /// Shows progress until it is dropped; of `total` bytes, where that is known.
    pub fn progress(&self, doing: &str, total: Option<u64>) -> Progress {
        Progress::start(self.printer, &self.meter, doing, total, self.settings().units)
    }

    /// `--gocache`, absolute.
    pub fn gocache(&self) -> Result<Option<PathBuf>, CliError> {
        absolute("--gocache", self.global.gocache.as_deref())
    }

    /// `--gomodcache`, absolute.
    pub fn gomodcache(&self) -> Result<Option<PathBuf>, CliError> {
        absolute("--gomodcache", self.global.gomodcache.as_deref())
    }

    /// larder's own folder, for what needs one.
    pub fn state_folder(&self) -> Result<&Path, CliError> {
        self.settings().state.as_deref().ok_or_else(|| {
            CliError::usage("there is no home folder to keep larder's state in")
                .hint("name a folder: state = \"/…\" in the settings, or $LARDER_STATE")
        })
    }

    /// Whether what is removed goes to the trash.
    pub fn uses_trash(&self, remove: &RemoveArgs) -> bool {
        remove.trash().unwrap_or(self.settings().trash)
    }

    /// In the production profile only an approved plan removes; a preview is always allowed.
    pub fn may_act_at_once(&self, remove: &RemoveArgs) -> Result<(), CliError> {
        if self.settings().profile == Profile::Dev || remove.dry_run {
            return Ok(());
        }
        Err(CliError::refused("the production profile removes only by an approved plan").hint(
            "larder plan -o plan.json …, then larder approve plan.json, larder apply plan.json",
        ))
    }
}

fn absolute(flag: &str, dir: Option<&Path>) -> Result<Option<PathBuf>, CliError> {
    let absolute = |dir: &Path| {
        std::path::absolute(dir)
            .map_err(|error| CliError::usage(format!("{flag} {}: {error}", dir.display())))
    };
    dir.map(absolute).transpose()
}
