//! What every kind of receiver has in common: a message goes in, a success or a trouble comes out.

use std::time::Duration;

use larder_core::Time;
use url::Url;

use crate::http::{Answer, Post, Poster};
use crate::receiver::{Address, Kind, Receiver};
use crate::secret::{Scrub, Secret};
use crate::text::{Content, Links, Style};
use crate::trouble::Trouble;

/// One message on its way.
#[derive(Clone, Copy)]
pub(crate) struct Letter<'a> {
    pub(crate) content: Content<'a>,
    /// The time that it is sent, for signatures.
    pub(crate) now: Time,
    /// What the attempt may take.
    pub(crate) timeout: Duration,
}

/// A receiver that can be sent to. It is used by one thread.
pub(crate) trait Target: Send {
    /// Sends one message, once.
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble>;

    /// Whether one message may hold several notices.
    fn groups(&self) -> bool {
        true
    }
}

/// What targets are made of.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) receiver: Receiver,
    pub(crate) links: Links,
}

impl Base {
    pub(crate) fn style(&self) -> Style<'_> {
        Style { language: self.receiver.language, links: &self.links }
    }

    /// Where it is, read now.
    pub(crate) fn address(&self) -> Result<Option<Secret>, Trouble> {
        match &self.receiver.address {
            None => Ok(None),
            Some(Address::Url(url)) => Ok(Some(url.clone())),
            Some(Address::File(path)) => Secret::read("url-file", path).map(Some),
        }
    }

    /// The address as a URL.
    pub(crate) fn url(&self) -> Result<Url, Trouble> {
        let address = self.address()?.ok_or_else(|| Trouble::never("there is no url"))?;
        // The parser's words hold nothing of what it read.
        Url::parse(address.reveal())
            .map_err(|error| Trouble::never(format!("its url is none: {error}")))
    }

    /// The secret, read now, where there is one.
    pub(crate) fn secret(&self) -> Result<Option<Secret>, Trouble> {
        let file = self.receiver.secret_file.as_ref();
        file.map(|path| Secret::read("secret-file", path)).transpose()
    }
}

/// A POST of JSON with nothing special about it.
pub(crate) fn post_json(
    poster: &Poster,
    url: &Url,
    letter: Letter<'_>,
    body: &serde_json::Value,
) -> Result<Answer, Trouble> {
    poster.post(Post {
        url,
        content_type: "application/json; charset=utf-8",
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
        timeout: letter.timeout,
        now: letter.now,
        scrub: Scrub::default(),
    })
}

/// The target of a receiver.
pub(crate) fn open(base: Base) -> Box<dyn Target> {
    match base.receiver.kind {
        Kind::Alertmanager => Box::new(crate::alertmanager::Alertmanager::new(base)),
        Kind::Webhook => Box::new(crate::webhook::Webhook::new(base)),
        Kind::Slack => Box::new(crate::slack::Slack::new(base)),
        Kind::Dingtalk => Box::new(crate::dingtalk::Dingtalk::new(base)),
        Kind::Feishu => Box::new(crate::feishu::Feishu::new(base)),
        Kind::Wecom => Box::new(crate::wecom::Wecom::new(base)),
        Kind::Discord => Box::new(crate::discord::Discord::new(base)),
        Kind::Teams => Box::new(crate::teams::Teams::new(base)),
        Kind::Pagerduty => Box::new(crate::pagerduty::Pagerduty::new(base)),
        Kind::Mail => Box::new(crate::mail::Mail::new(base)),
        Kind::Log => Box::new(crate::log::Log::new(base)),
        Kind::Command => Box::new(crate::command::Run::new(base)),
    }
}
