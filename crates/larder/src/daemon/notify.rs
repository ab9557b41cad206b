//! Who is told, by the settings; and what became of it.

use std::num::NonZeroU32;
use std::sync::mpsc::{self, Receiver as Inbox};
use std::time::Duration;

use larder_core::{Notice, Severity};
use larder_notify::{
    Address, Delivery, Dispatcher, Fate, Kind, Language, Links, Options, Rate, Receiver, Secret,
};

use super::base::Base;
use super::record::{Recorder, Step};
use crate::exit::{CliError, Exit};
use crate::settings_notify::NotifySettings;

/// Ids of notices that were delivered, so that a restart tells nobody twice.
const KEY: &str = "delivered";
/// So many of them are remembered.
const MOST: usize = 2000;

/// The receivers, and what they did.
pub(crate) struct Notifier {
    dispatcher: Dispatcher,
    records: Records,
}

/// What became of notices.
struct Records {
    deliveries: Inbox<Delivery>,
    delivered: Vec<(String, String)>,
}

/// A receiver as its settings have it.
pub(crate) fn receiver(settings: &NotifySettings) -> Result<Receiver, CliError> {
    let kind = Kind::from_name(settings.kind).ok_or_else(|| {
        CliError::usage(format!(
            "notify.{}: no receiver is of kind {:?}",
            settings.name, settings.kind
        ))
    })?;
    let template = match &settings.template_file {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| CliError::io("read", path, &error).with_exit(Exit::Usage))?,
        ),
    };
    let url = settings.url.as_ref().map(|url| Address::Url(Secret::new(url.clone())));
    let file =
        settings.file.as_ref().map(|file| Address::Url(Secret::new(file.display().to_string())));
    let receiver = Receiver {
        address: settings.url_file.clone().map(Address::File).or(url).or(file),
        secret_file: settings.secret_file.clone(),
        from: settings.from.clone(),
        to: settings.to.clone(),
        template,
        argv: settings.command.clone(),
        language: if settings.chinese { Language::Zh } else { Language::En },
        at_least: settings.least,
        timeout: settings.timeout,
        rate: settings.per_minute.and_then(NonZeroU32::new).map(Rate::PerMinute),
        ..Receiver::new(settings.name.clone(), kind)
    };
    let bad = receiver.check();
    if bad.is_empty() {
        return Ok(receiver);
    }
    let details = bad.iter().map(ToString::to_string);
    Err(CliError::usage(format!("notify.{} cannot work", settings.name)).details(details))
}

impl Notifier {
    /// Starts the receivers of the settings. What of them cannot work is said, and the rest works.
    pub(crate) fn start(
        base: &Base<'_>,
        recorder: &Recorder<'_>,
        page: Option<String>,
    ) -> Result<Self, CliError> {
        let mut receivers = Vec::new();
        for settings in &base.settings().notify {
            match receiver(settings) {
                Ok(receiver) => receivers.push(receiver),
                Err(error) => recorder.say(
                    Step::new("receiver-failed", "", format!("{error}")).bad(Severity::Warning),
                ),
            }
        }
        let delivered: Vec<(String, String)> = recorder
            .state(KEY)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let (tell, deliveries) = mpsc::channel();
        let options = Options { links: Links { docs: None, page }, ..Options::default() };
        let dispatcher = Dispatcher::start(receivers, &options, &delivered, move |delivery| {
            // Once nobody listens any more, nobody needs to know.
            let _ = tell.send(delivery);
        });
        let dispatcher = dispatcher.map_err(|error| CliError::because(Exit::Usage, &error))?;
        Ok(Self { dispatcher, records: Records { deliveries, delivered } })
    }

    /// Tells everybody.
    pub(crate) fn send(&self, notice: &Notice) {
        self.dispatcher.send(notice);
    }

    /// Keeps what fires alive where it would be taken for over.
    pub(crate) fn resend(&self, firing: &Notice) {
        self.dispatcher.resend(firing);
    }

    /// Counters.
    pub(crate) fn counts(&self) -> Vec<larder_notify::ReceiverCounts> {
        self.dispatcher.counts()
    }

    /// Records what became of notices since the last time.
    pub(crate) fn record(&mut self, recorder: &Recorder<'_>) {
        self.records.record(recorder);
    }

    /// Sends what can be sent in that time, and ends.
    pub(crate) fn stop(self, recorder: &Recorder<'_>, within: Duration) {
        let Self { dispatcher, mut records } = self;
        dispatcher.stop(within);
        records.record(recorder);
    }
}

impl Records {
    fn record(&mut self, recorder: &Recorder<'_>) {
        let mut new = false;
        while let Ok(delivery) = self.deliveries.try_recv() {
            new |= delivery.fate == Fate::Sent && !delivery.resent;
            self.take(delivery, recorder);
        }
        if new {
            let over = self.delivered.len().saturating_sub(MOST);
            self.delivered.drain(..over);
            recorder.keep(KEY, serde_json::to_string(&self.delivered).unwrap_or_default());
        }
    }

    fn take(&mut self, delivery: Delivery, recorder: &Recorder<'_>) {
        // What only keeps an alert alive is news where it failed.
        if delivery.resent && delivery.fate == Fate::Sent {
            return;
        }
        let (kind, severity) = match delivery.fate {
            Fate::Sent => ("notified", Severity::Info),
            Fate::Replaced => ("notification-replaced", Severity::Info),
            Fate::Failed(_) => ("notification-failed", Severity::Warning),
            Fate::Dropped => ("notification-dropped", Severity::Warning),
            Fate::Unsent(_) => ("notification-unsent", Severity::Warning),
        };
        let why = match &delivery.fate {
            Fate::Failed(why) | Fate::Unsent(Some(why)) => format!(": {why}"),
            _ => String::new(),
        };
        let was = if delivery.fate == Fate::Sent { "was told" } else { "was not told" };
        let (receiver, occasion) = (&delivery.receiver, delivery.occasion.name());
        let message = format!("{receiver} {was} ({occasion}){why}");
        let cache = delivery.alerts.first().map(|(_, cache)| cache.clone());
        let trace = recorder.trace_of(&delivery.notice);
        let mut step = Step::new(kind, &trace, message)
            .bad(severity)
            .with("receiver", &delivery.receiver)
            .with("notice", &delivery.notice)
            .with("attempts", delivery.attempts)
            .with("took_millis", delivery.took.as_millis());
        step.cache = cache.as_deref();
        recorder.say(step);
        if delivery.fate == Fate::Sent && !delivery.resent {
            self.delivered.push((delivery.receiver, delivery.notice));
        }
    }
}
