//! What every part of the daemon is handed: the settings as they are now, and the wish to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use larder_core::Meter;

use crate::args::GlobalArgs;
use crate::context::{Context, input};
use crate::exit::CliError;
use crate::printer::Printer;
use crate::settings::{self, Resolved, Settings};

use super::live::Live;
use super::own_work::OwnWork;

/// How it runs.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Once through the cycle, for a reason that may have a name.
    Once {
        /// The name.
        trigger: Option<String>,
    },
    /// Until it is stopped.
    Watch,
    /// The same, with HTTP.
    Serve {
        /// In place of the settings' address.
        listen: Option<SocketAddr>,
    },
}

/// What all share.
pub(crate) struct Base<'a> {
    pub global: &'a GlobalArgs,
    pub printer: &'a Printer,
    /// Stops everything.
    pub meter: Arc<Meter>,
    /// What is known now.
    pub live: Arc<Live>,
    /// What larder's own work does to rates.
    pub own: OwnWork,
    resolved: RwLock<Arc<Resolved>>,
}

impl<'a> Base<'a> {
    /// With the settings as they are.
    pub(crate) fn load(global: &'a GlobalArgs, printer: &'a Printer) -> Result<Self, CliError> {
        let resolved = settings::resolve(&input(global))?;
        resolved.warnings.iter().for_each(|warning| printer.warning(warning));
        Ok(Self {
            global,
            printer,
            meter: crate::interrupt::meter(),
            live: Arc::new(Live::default()),
            own: OwnWork::default(),
            resolved: RwLock::new(Arc::new(resolved)),
        })
    }

    /// The settings as they are in their files now, which are not in force yet.
    pub(crate) fn read(&self) -> Result<Resolved, CliError> {
        Ok(settings::resolve(&input(self.global))?)
    }

    /// Puts settings in force.
    pub(crate) fn take(&self, new: Resolved) {
        *self.resolved.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }

    /// The settings with their sources.
    pub(crate) fn resolved(&self) -> Arc<Resolved> {
        Arc::clone(&self.resolved.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a command would be handed now, for the request of these words.
    pub(crate) fn context(&self, request: &[&str]) -> Context<'a> {
        Context {
            global: self.global,
            printer: self.printer,
            resolved: (*self.resolved()).clone(),
            request: request.iter().map(|word| (*word).to_owned()).collect(),
            now: larder_fs::now(),
            meter: Arc::clone(&self.meter),
        }
    }

    /// The typed settings.
    pub(crate) fn settings(&self) -> Settings {
        self.resolved().settings.clone()
    }

    /// larder's own folder, made where it is missing.
    pub(crate) fn state_folder(&self) -> Result<PathBuf, CliError> {
        let state = self.context(&[]).state_folder()?.to_owned();
        std::fs::create_dir_all(&state)
            .map_err(|error| CliError::io("make the folder", &state, &error))?;
        Ok(state)
    }
}
