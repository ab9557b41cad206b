//! What became of a notice at one receiver.

use std::time::Duration;

use larder_core::{Notice, Occasion, Time};

/// One notice at one receiver: told once, when its fate is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The receiver.
    pub receiver: String,
    /// The notice's id.
    pub notice: String,
    /// Why it was sent.
    pub occasion: Occasion,
    /// What it was about: name and cache of each alert.
    pub alerts: Vec<(String, String)>,
    /// When its fate was known.
    pub at: Time,
    /// How often it was tried.
    pub attempts: u32,
    /// How long the last attempt took.
    pub took: Duration,
    /// Whether it was only sent again to keep an alert alive ([`crate::Dispatcher::resend`]). There
    /// is one such delivery for each time, so history keeps those that failed.
    pub resent: bool,
    /// What became of it.
    pub fate: Fate,
}

/// The end of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The receiver took it.
    Sent,
    /// It was given up; why, without secrets.
    Failed(String),
    /// The queue had no room for it.
    Dropped,
    /// A newer occasion of the same alerts came before it was sent.
    Replaced,
    /// larder stopped before it was sent; why the last attempt failed, where there was one. It may
    /// be handed in again after the start.
    Unsent(Option<String>),
}

impl Fate {
    /// The word in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed(_) => "failed",
            Self::Dropped => "dropped",
            Self::Replaced => "replaced",
            Self::Unsent(_) => "unsent",
        }
    }
}

/// Name and cache of each alert.
pub(crate) fn subjects(notice: &Notice) -> Vec<(String, String)> {
    let key = |alert: &larder_core::Alert| (alert.name.clone(), alert.cache.clone());
    notice.alerts.iter().map(key).collect()
}
