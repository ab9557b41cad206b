//! Who is told, by the settings; and what became of it.

use std::num::NonZeroU32;
use std::sync::mpsc::{self, Receiver as Inbox, Sender};
use std::time::Duration;

use larder_core::{Board, Notice, Severity};
use larder_notify::{
    Address, Attempts, Delivery, Dispatcher, Fate, Kind, Language, Links, Options, Rate, Receiver,
    Secret,
};

use super::base::Base;
use super::board_file;
use super::outbox::{Outbox, as_reminder, still_true};
use super::record::{Recorder, Step};
use crate::exit::{CliError, Exit};
use crate::settings::Settings;
use crate::settings_notify::NotifySettings;

/// Ids of notices that were delivered, so that a restart tells nobody twice.
const KEY: &str = "delivered";
/// So many of them are remembered.
const MOST: usize = 2000;

/// The receivers, and what they did.
pub(crate) struct Notifier {
    dispatcher: Dispatcher,
    receivers: Vec<Receiver>,
    links: Links,
    outbox: Outbox,
    records: Records,
}

/// What became of notices.
struct Records {
    tell: Sender<Delivery>,
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
        username: settings.username.clone(),
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
        let delivered = recorder
            .state(KEY)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let (tell, deliveries) = mpsc::channel();
        let records = Records { tell, deliveries, delivered };
        let outbox = Outbox::open(&recorder.shared_history());
        let links = Links { runbooks: base.settings().daemon.alert.runbooks, page };
        let dispatcher = dispatcher(&receivers, &links, &outbox, &records)?;
        Ok(Self { dispatcher, receivers, links, outbox, records })
    }

    /// Tells everybody; `board` takes it as told, and is kept with it before anybody is told.
    pub(crate) fn send(&self, notices: &[Notice], board: String) {
        let everybody: Vec<String> = self.receivers.iter().map(|one| one.name.clone()).collect();
        self.outbox.put(notices, &everybody, (board_file::KEY, board));
        for notice in notices {
            let told = self.dispatcher.send(notice);
            self.outbox.only(&notice.id, &told);
        }
    }

    /// Sends what was not sent before larder ended, or was killed.
    pub(crate) fn send_left(&self, base: &Base<'_>, recorder: &Recorder<'_>) {
        for left in self.outbox.left() {
            let kind = self.receivers.iter().find(|one| one.name == left.receiver).map(|r| r.kind);
            // These know a message again by its key, and take it once.
            let knows = matches!(kind, Some(Kind::Alertmanager | Kind::Pagerduty));
            let unsure = left.maybe && !knows;
            let again = if unsure { as_reminder(&left) } else { Some(left.notice.clone()) };
            let board = base.live.know().board.clone();
            let again = again.and_then(|notice| still_true(&notice, &board));
            let taken = again.as_ref().is_some_and(|n| self.dispatcher.send_to(&left.receiver, n));
            if unsure {
                let what = if taken { ", so it is reminded" } else { "" };
                let message =
                    format!("{} may have been told when larder ended{what}", left.receiver);
                let step = Step::new("notification-unknown", "", message).bad(Severity::Warning);
                recorder.say(step.with("notice", &left.notice.id));
            }
            if !taken || unsure {
                self.outbox.forget(&left.notice.id, &left.receiver);
            }
        }
    }

    /// Takes the receivers of new settings in place of these, or says why they cannot work; then
    /// all stays as it is. Who is as before goes on as before.
    pub(crate) fn renew(&mut self, settings: &Settings) -> Result<(), CliError> {
        let receivers = settings.notify.iter().map(receiver).collect::<Result<Vec<_>, _>>()?;
        let runbooks = settings.daemon.alert.runbooks.clone();
        let links = Links { runbooks, page: self.links.page.clone() };
        if receivers == self.receivers && links == self.links {
            return Ok(());
        }
        let new = dispatcher(&receivers, &links, &self.outbox, &self.records)?;
        self.links = links;
        let old = std::mem::replace(&mut self.dispatcher, new);
        let patience = self.receivers.iter().map(|one| one.timeout).max().unwrap_or_default();
        self.receivers = receivers;
        // One that hangs does not hold up the measuring; what it did not take goes to the new one.
        std::thread::spawn(move || old.stop(patience + Duration::from_secs(1)));
        Ok(())
    }

    /// Keeps what fires alive where it would be taken for over.
    pub(crate) fn resend(&self, firing: &Notice) {
        self.dispatcher.resend(firing);
    }

    /// Counters.
    pub(crate) fn counts(&self) -> Vec<larder_notify::ReceiverCounts> {
        self.dispatcher.counts()
    }

    /// Records what became of notices since the last time. What a receiver of earlier settings did
    /// not take goes to the one that has its name now.
    pub(crate) fn record(&mut self, board: &Board, recorder: &Recorder<'_>) {
        for (id, receiver) in self.records.record(recorder) {
            let all = self.outbox.left();
            let left = all.iter().find(|l| l.notice.id == id && l.receiver == receiver);
            let Some(left) = left else { continue };
            let again = still_true(&left.notice, board);
            if !again.is_some_and(|notice| self.dispatcher.send_to(&receiver, &notice)) {
                self.outbox.forget(&id, &receiver);
            }
        }
    }

    /// Sends what can be sent in that time, and ends. The rest is sent after the next start.
    pub(crate) fn stop(self, recorder: &Recorder<'_>, within: Duration) {
        let Self { dispatcher, mut records, .. } = self;
        dispatcher.stop(within);
        records.record(recorder);
    }
}

fn dispatcher(
    receivers: &[Receiver],
    links: &Links,
    outbox: &Outbox,
    records: &Records,
) -> Result<Dispatcher, CliError> {
    let (hears, settles, tell) = (outbox.clone(), outbox.clone(), records.tell.clone());
    let options = Options {
        links: links.clone(),
        attempts: Attempts::heard_by(move |attempt| hears.attempt(attempt)),
        ..Options::default()
    };
    let started = Dispatcher::start(receivers.to_vec(), &options, &records.delivered, move |one| {
        settles.settle(&one);
        // Once nobody listens any more, nobody needs to know.
        let _ = tell.send(one);
    });
    started.map_err(|error| CliError::because(Exit::Usage, &error))
}

impl Records {
    /// Notice and receiver of what was not sent.
    fn record(&mut self, recorder: &Recorder<'_>) -> Vec<(String, String)> {
        let (mut new, mut unsent) = (false, Vec::new());
        while let Ok(delivery) = self.deliveries.try_recv() {
            new |= delivery.fate == Fate::Sent && !delivery.resent;
            if matches!(delivery.fate, Fate::Unsent(_)) && !delivery.resent {
                unsent.push((delivery.notice.clone(), delivery.receiver.clone()));
            }
            self.take(delivery, recorder);
        }
        if new {
            let over = self.delivered.len().saturating_sub(MOST);
            self.delivered.drain(..over);
            recorder.keep(KEY, serde_json::to_string(&self.delivered).unwrap_or_default());
        }
        unsent
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
