//! What is known of a receiver: the settings of one `[notify.NAME]`, resolved.
//!
//! Promises: `Debug` shows no secret. What cannot work is found by [`Receiver::check`] before the
//! first alert, as far as it can be told without sending anything.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use larder_core::Severity;

use crate::secret::Secret;
use crate::webhook;

/// What a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Prometheus Alertmanager, API v2.
    Alertmanager,
    /// Any HTTP server: a JSON document, or what a template makes of it.
    Webhook,
    /// A Slack incoming webhook.
    Slack,
    /// A `DingTalk` custom robot.
    Dingtalk,
    /// A Feishu or Lark custom robot.
    Feishu,
    /// A `WeCom` group robot.
    Wecom,
    /// A Discord webhook.
    Discord,
    /// A Microsoft Teams workflow.
    Teams,
    /// `PagerDuty` Events API v2.
    Pagerduty,
    /// Mail over SMTP.
    Mail,
    /// ECS JSON lines at the end of a file.
    Log,
    /// A command that gets the JSON document on its standard input.
    Command,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Alertmanager,
        Self::Webhook,
        Self::Slack,
        Self::Dingtalk,
        Self::Feishu,
        Self::Wecom,
        Self::Discord,
        Self::Teams,
        Self::Pagerduty,
        Self::Mail,
        Self::Log,
        Self::Command,
    ];

    /// The word in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Wecom => "wecom",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::Pagerduty => "pagerduty",
            Self::Mail => "mail",
            Self::Log => "log",
            Self::Command => "command",
        }
    }

    /// The kind of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How many messages a minute it bears. The robots' figures are those of their
    /// documentation (`DingTalk` and `WeCom` 20, Feishu 100, Discord 30); the others' are what a
    /// person, or a server that others use too, can be expected to bear.
    pub(crate) fn rate(self) -> Rate {
        let per_minute = match self {
            Self::Dingtalk | Self::Wecom => 20,
            Self::Discord | Self::Mail => 30,
            Self::Slack | Self::Teams => 60,
            Self::Feishu => 100,
            Self::Command | Self::Pagerduty => 120,
            Self::Alertmanager | Self::Webhook => 600,
            Self::Log => return Rate::Unlimited,
        };
        NonZeroU32::new(per_minute).map_or(Rate::Unlimited, Rate::PerMinute)
    }
}

/// The language of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Chinese, simplified.
    Zh,
}

impl Language {
    /// The word in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The language of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::En, Self::Zh].into_iter().find(|language| language.name() == name)
    }
}

/// Where a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `url`: hidden, since that of a chat robot is its key.
    Url(Secret),
    /// `url-file`: the file that holds it, read for each message.
    File(PathBuf),
}

/// The most that a receiver is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// So many messages in any minute.
    PerMinute(NonZeroU32),
    /// As many as there are.
    Unlimited,
}

/// One receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The NAME of `[notify.NAME]`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is: an HTTP URL; for mail `smtp://` or `smtps://`; for the log a path or a `file:`
    /// URL. `PagerDuty` has a usual one; a command has none.
    pub address: Option<Address>,
    /// The file of its secret: the signing key of a robot or webhook, `PagerDuty`'s routing key, the
    /// password of mail, the bearer token of Alertmanager.
    pub secret_file: Option<PathBuf>,
    /// Mail: who logs in, where the url does not say; the sender's address otherwise.
    pub username: Option<String>,
    /// Mail: who sends it.
    pub from: Option<String>,
    /// Mail: who gets it.
    pub to: Vec<String>,
    /// Webhook: the body as a Jinja template, in place of the JSON document.
    pub template: Option<String>,
    /// Command: the program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// The language of what people read.
    pub language: Language,
    /// What is less bad is not sent.
    pub at_least: Severity,
    /// How long one attempt may take as a whole.
    pub timeout: Duration,
    /// In place of what its kind usually bears.
    pub rate: Option<Rate>,
}

/// Settings of a receiver that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("notify.{name}: {why}")]
pub struct BadReceiver {
    /// The receiver.
    pub name: String,
    /// The setting it is about: `url`, `from`, `template`, ….
    pub setting: &'static str,
    /// What is wrong with it, without its value.
    pub why: String,
}

impl Receiver {
    /// A receiver with nothing but the defaults: English, every severity, ten seconds.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            address: None,
            secret_file: None,
            username: None,
            from: None,
            to: Vec::new(),
            template: None,
            argv: Vec::new(),
            language: Language::En,
            at_least: Severity::Info,
            timeout: Duration::from_secs(10),
            rate: None,
        }
    }

    /// All that cannot work, without sending anything or reading a secret.
    pub fn check(&self) -> Vec<BadReceiver> {
        let mut bad = Vec::new();
        let mut say = |setting, why: String| {
            bad.push(BadReceiver { name: self.name.clone(), setting, why });
        };
        let kind = self.kind.name();
        match (self.kind, &self.address) {
            (Kind::Command | Kind::Pagerduty, None) => {}
            (Kind::Command, Some(_)) => say("url", "a command has no url".to_owned()),
            (_, None) => say("url", format!("{kind} takes url or url-file")),
            (_, Some(Address::Url(url))) => {
                if let Err(why) = self.check_url(url.reveal()) {
                    say("url", why);
                }
            }
            (_, Some(Address::File(_))) => {}
        }
        if self.kind == Kind::Mail {
            let is_address = |text: &str| text.parse::<lettre::message::Mailbox>().is_ok();
            match &self.from {
                None => say("from", "mail takes from".to_owned()),
                Some(from) if !is_address(from) => {
                    say("from", format!("{from:?} is no mail address"));
                }
                Some(_) => {}
            }
            if self.to.is_empty() {
                say("to", "mail takes to".to_owned());
            }
            for to in self.to.iter().filter(|to| !is_address(to)) {
                say("to", format!("{to:?} is no mail address"));
            }
        }
        if self.kind == Kind::Pagerduty && self.secret_file.is_none() {
            say("secret-file", "pagerduty takes secret-file, with its routing key".to_owned());
        }
        if self.kind == Kind::Command && self.argv.is_empty() {
            say("command", "command takes the program and its arguments".to_owned());
        }
        if let Some(template) = &self.template {
            if self.kind != Kind::Webhook {
                say("template", format!("{kind} takes no template"));
            } else if let Err(why) = webhook::check_template(template) {
                say("template", why);
            }
        }
        if self.timeout.is_zero() {
            say("timeout", "a time limit of nothing is always over".to_owned());
        }
        bad
    }

    fn check_url(&self, text: &str) -> Result<(), String> {
        if self.kind == Kind::Log {
            return crate::log::path_of(text).map(drop);
        }
        let url = url::Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        let schemes: &[&str] = match self.kind {
            Kind::Mail => &["smtp", "smtps"],
            _ => &["http", "https"],
        };
        if !schemes.contains(&url.scheme()) {
            return Err(format!("must begin with {}://", schemes.join(":// or ")));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_url(kind: Kind, url: &str) -> Receiver {
        Receiver { address: Some(Address::Url(Secret::new(url))), ..Receiver::new("a", kind) }
    }

    #[test]
    fn names_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(Kind::from_name("pager"), None);
        assert_eq!(Language::from_name("zh"), Some(Language::Zh));
    }

    #[test]
    fn what_cannot_work_is_found_before_the_first_alert() {
        let settings = |receiver: &Receiver| -> Vec<&'static str> {
            receiver.check().into_iter().map(|bad| bad.setting).collect()
        };
        assert_eq!(settings(&Receiver::new("a", Kind::Slack)), ["url"]);
        assert_eq!(settings(&Receiver::new("a", Kind::Mail)), ["url", "from", "to"]);
        assert_eq!(settings(&Receiver::new("a", Kind::Pagerduty)), ["secret-file"]);
        assert_eq!(settings(&Receiver::new("a", Kind::Command)), ["command"]);
        assert_eq!(settings(&with_url(Kind::Slack, "ftp://h/x")), ["url"]);
        assert_eq!(settings(&with_url(Kind::Log, "alerts.json")), ["url"]);
        assert_eq!(settings(&with_url(Kind::Slack, "https://h/x")), [""; 0]);
        let mut mail = with_url(Kind::Mail, "smtp://h:25");
        mail.from = Some("nobody".to_owned());
        mail.to = vec!["Team <team@example.test>".to_owned(), "@".to_owned()];
        assert_eq!(settings(&mail), ["from", "to"]);
        let mut webhook = with_url(Kind::Webhook, "https://h/x");
        webhook.template = Some("{{ title ".to_owned());
        assert_eq!(settings(&webhook), ["template"]);
        webhook.template = Some("{{ titel }}".to_owned());
        assert_eq!(settings(&webhook), ["template"]);
        webhook.template = Some("{\"text\": {{ title|tojson }}}".to_owned());
        assert_eq!(settings(&webhook), [""; 0]);
    }

    #[test]
    fn no_url_is_shown() {
        let receiver = with_url(Kind::Slack, "https://h/T0123456");
        assert!(!format!("{receiver:?}").contains("T0123456"));
        let bad = with_url(Kind::Slack, "hppts//T0123456").check();
        assert!(!bad[0].to_string().contains("T0123456"), "{}", bad[0]);
    }
}
