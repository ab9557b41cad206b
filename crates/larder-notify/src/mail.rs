//! Mail over SMTP.
//!
//! `smtps://` is TLS from the first byte. `smtp://` turns to TLS with STARTTLS where the server
//! offers it; `?tls=required` fails where it does not, `?tls=never` does not ask. A password is
//! never sent in the clear, except to this machine. The user of a login stands in the URL, or is
//! the sender's address; its password is in the secret file.
//!
//! The mail library limits each read, not the whole. So an attempt runs beside the receiver's
//! thread, which gives it up when its time is over; no second one begins before the first ended.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use larder_core::Notice;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport as _};
use url::Url;

use crate::fit::{Limit, fit};
use crate::http::{decoded, is_local};
use crate::markup::Markup;
use crate::secret::{Scrub, host_of};
use crate::sign;
use crate::target::{Base, Letter, Target};
use crate::text::{lines, subject};
use crate::trouble::Trouble;

/// Bytes of a text; more is for nobody to read.
const ROOM: Limit = Limit::Bytes(256 * 1024);

pub(crate) struct Mail {
    base: Base,
    running: Option<JoinHandle<()>>,
}

impl Mail {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, running: None }
    }

    fn message(&self, letter: Letter<'_>) -> Result<Message, Trouble> {
        let bad = |why: &dyn std::fmt::Display| Trouble::never(format!("mail: {why}"));
        let style = self.base.style();
        let mailbox = |text: &str| {
            text.parse::<Mailbox>().map_err(|error| bad(&format!("{text:?}: {error}")))
        };
        let receiver = &self.base.receiver;
        let from = receiver.from.as_deref().ok_or_else(|| bad(&"there is no from"))?;
        let mut builder = Message::builder()
            .from(mailbox(from)?)
            .subject(subject(letter.content, style))
            .header(ContentType::TEXT_PLAIN)
            // So that no absence note comes back.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for to in &receiver.to {
            builder = builder.to(mailbox(to)?);
        }
        builder = threaded(builder, letter.content.notices);
        let text = fit(&lines(letter.content, style), Markup::Plain, ROOM, style.language);
        builder.body(text + "\n").map_err(|error| bad(&error))
    }

    fn transport(&self, url: &Url, timeout: Duration) -> Result<(SmtpTransport, Scrub), Trouble> {
        let host = url.host_str().ok_or_else(|| Trouble::never("its url names no host"))?;
        // An IPv6 address stands in brackets only in a URL.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let shown = host_of(url);
        let mut scrub = Scrub::default().url(url);
        let mut builder = SmtpTransport::builder_dangerous(host).timeout(Some(timeout));
        let password = match (self.base.secret()?, url.password()) {
            (Some(secret), _) => Some(secret.reveal().to_owned()),
            (None, password) => password.map(decoded),
        };
        if let Some(password) = &password {
            let receiver = &self.base.receiver;
            let user = match (url.username(), &receiver.username) {
                ("", Some(user)) => user.clone(),
                ("", None) => receiver.from.as_deref().map(address_of).unwrap_or_default(),
                (user, _) => decoded(user),
            };
            scrub = scrub.secret(password);
            builder = builder.credentials(Credentials::new(user, password.clone()));
        }
        let wish = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, wish)| wish);
        let secure = password.is_some() && !is_local(url);
        let parameters = || {
            TlsParameters::new(host.to_owned())
                .map_err(|error| Trouble::never(format!("{shown}: {error}")))
        };
        let (tls, port) = match (url.scheme(), wish.as_deref()) {
            ("smtps", _) => (Tls::Wrapper(parameters()?), 465),
            ("smtp", Some("never")) if secure => {
                let why = "a password is not sent without TLS";
                return Err(Trouble::never(format!("{shown}: {why}")));
            }
            ("smtp", Some("never")) => (Tls::None, 25),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), 25),
            ("smtp", None) if secure => (Tls::Required(parameters()?), 25),
            ("smtp", None) => (Tls::Opportunistic(parameters()?), 25),
            ("smtp", Some(_)) => {
                return Err(Trouble::never("tls in its url is neither required nor never"));
            }
            _ => return Err(Trouble::never("its url is neither smtp:// nor smtps://")),
        };
        builder = builder.tls(tls).port(url.port().unwrap_or(port));
        Ok((builder.build(), scrub))
    }
}

/// `team@example.test` of `Team <team@example.test>`.
fn address_of(mailbox: &str) -> String {
    mailbox.parse::<Mailbox>().map(|mailbox| mailbox.email.to_string()).unwrap_or_default()
}

/// A name for the mail, the same in each attempt, and one for the alert, under which mail
/// programs put together what belongs together.
fn threaded(builder: MessageBuilder, notices: &[Notice]) -> MessageBuilder {
    let Some(first) = notices.first() else { return builder };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let host = match &first.host {
        host if !host.is_empty() && host.chars().all(plain) => host.as_str(),
        _ => "larder",
    };
    let ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    let id = sign::hmac(b"notice", ids.join(" ").as_bytes());
    let builder = builder.message_id(Some(format!("<{id}@{host}>")));
    match (&first.alerts[..], notices.len()) {
        ([alert], 1) => {
            let (name, cache) = alert.key();
            let since = alert.since.unix();
            let thread = sign::hmac(b"alert", format!("{name} {cache} {since}").as_bytes());
            builder.references(format!("<{thread}@{host}>"))
        }
        _ => builder,
    }
}

impl Target for Mail {
    fn send(&mut self, letter: Letter<'_>) -> Result<(), Trouble> {
        self.running.take_if(|attempt| attempt.is_finished());
        if self.running.is_some() {
            return Err(Trouble::later("the attempt before this one has not ended"));
        }
        let url = self.base.url()?;
        let message = self.message(letter)?;
        let (transport, scrub) = self.transport(&url, letter.timeout)?;
        let (tell, told) = mpsc::channel();
        let attempt = std::thread::Builder::new().name("notify-mail".to_owned()).spawn(move || {
            // Nobody listens when the time is over.
            let _ = tell.send(transport.send(&message).map(drop));
        });
        self.running = Some(attempt.map_err(|error| Trouble::later(error.to_string()))?);
        let host = host_of(&url);
        match told.recv_timeout(letter.timeout) {
            Ok(sent) => {
                // It has nothing more to do.
                let _ = self.running.take().map(JoinHandle::join);
                sent.map_err(|error| refused(&host, &error, &scrub))
            }
            Err(_) => Err(Trouble::later(format!("{host}: no answer in time"))),
        }
    }
}

/// What the server, or the way to it, said.
fn refused(host: &str, error: &lettre::transport::smtp::Error, scrub: &Scrub) -> Trouble {
    use std::error::Error as _;
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        source = inner.source();
    }
    let why = format!("{host}: {}", scrub.clean(&why));
    if error.is_permanent() || error.is_client() || error.is_tls() {
        Trouble::never(why)
    } else {
        Trouble::later(why)
    }
}
