//! Where alerts go: Alertmanager, webhooks, chat robots, mail, a log file, a command.
//!
//! Promises: whoever tells something is never held up; each receiver has a thread and a bounded
//! queue of its own, so that a slow one delays nobody else; what is dropped is counted and told; a
//! success is what the receiver's own protocol calls one; nobody outside can put a mention or a
//! link into a message through the name of a key; a secret is in no error, record or `Debug`.
//!
//! Leaves out: when an alert is raised, reminded of or over, and where deliveries are kept. The
//! caller decides the former and gets the latter one by one.

mod alertmanager;
mod attempt;
mod backoff;
mod bucket;
mod clock;
mod command;
mod counts;
mod delivery;
mod dingtalk;
mod discord;
mod dispatcher;
mod document;
mod feishu;
mod fit;
mod http;
mod lane;
mod lane_state;
mod log;
mod mail;
mod markup;
mod pagerduty;
mod queue;
mod receiver;
mod robot;
mod secret;
mod sentences;
mod sign;
mod slack;
mod target;
mod teams;
mod test_notice;
mod text;
mod trouble;
mod webhook;
mod wecom;
mod words;

pub use attempt::{Attempt, Attempts};
pub use backoff::Patience;
pub use clock::{Clock, SystemClock};
pub use counts::ReceiverCounts;
pub use delivery::{Delivery, Fate};
pub use dispatcher::{Dispatcher, Options, StartError};
pub use document::{AlertDoc, NoticeDoc, ReasonDoc, SCHEMA};
pub use receiver::{Address, BadReceiver, Kind, Language, Rate, Receiver};
pub use secret::Secret;
pub use test_notice::test_notice;
pub use text::{Links, markdown, plain};
