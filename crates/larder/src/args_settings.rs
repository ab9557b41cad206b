//! The arguments of what reads and writes settings, and of what is written for other systems.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `larder init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Overwrite the file where it exists
    #[arg(long)]
    pub force: bool,
}

/// `larder config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting and where its value comes from
    Show {
        /// Only these settings, or tables of them
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Report everything that is wrong with the settings files
    Check,
    /// Show which settings files are read, the first one counting most
    Path,
    /// Change one setting in your settings file, leaving its comments alone
    Set {
        /// The setting, as in build.max-size
        #[arg(value_name = "KEY")]
        key: String,
        /// Its value; several for a list
        #[arg(value_name = "VALUE", required = true)]
        values: Vec<String>,
    },
}

/// `larder export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What to write.
    #[command(subcommand)]
    pub command: ExportCommand,
}

/// What can be written for other systems.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Write a crontab line, a launchd agent and a task of the Windows Task Scheduler
    Cron {
        /// Where to.
        #[command(flatten)]
        to: ExportTo,
        /// The larder that they run; this one where none is named
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
    /// Write dashboards for Grafana
    Dashboards {
        /// Where to.
        #[command(flatten)]
        to: ExportTo,
        /// Where the runbooks are published
        #[arg(long, value_name = "URL", default_value = crate::export::RUNBOOKS)]
        runbooks: String,
    },
    /// Write manifests for Kubernetes: a job, a daemon on every node, one beside a Redis
    Kubernetes {
        /// Where to.
        #[command(flatten)]
        to: ExportTo,
        /// The image that holds larder
        #[arg(long, value_name = "IMAGE", default_value = crate::export::IMAGE)]
        image: String,
    },
    /// Write what Fluentd, Filebeat and Elasticsearch need to take larder's log
    Logging {
        /// Where to.
        #[command(flatten)]
        to: ExportTo,
    },
    /// Write the OpenAPI description of the HTTP API
    Openapi {
        /// Where to.
        #[command(flatten)]
        to: ExportTo,
    },
    /// Write alerting and recording rules for Prometheus, with their tests
    Rules {
        /// Where to.
        #[command(flatten)]
        to: ExportTo,
        /// Where the runbooks are published
        #[arg(long, value_name = "URL", default_value = crate::export::RUNBOOKS)]
        runbooks: String,
    },
    /// Write the JSON Schema of every document that --json prints
    Schema {
        /// Folder to write to; made where it is missing
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Write units for systemd, for this machine's caches
    Systemd {
        /// Where to.
        #[command(flatten)]
        to: ExportTo,
        /// The larder that they run; this one where none is named
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
}

/// Where files for other systems go.
#[derive(Debug, Args)]
pub struct ExportTo {
    /// Folder to write to; made where it is missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Overwrite what was changed there
    #[arg(long)]
    pub force: bool,
}
