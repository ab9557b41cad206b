//! Looking closely at a key of the sample: when it ends, when it was used, how it is stored.
//!
//! Three questions a key, which leave its idle time alone but count as hits: `OBJECT ENCODING`
//! tells the type too, for all but a few encodings that need a fourth. So does a whole number,
//! which may be one value for many keys: then its use is that of none of them.

use std::time::Duration;

use redis::{Pipeline, Value};

use crate::deployment::Missing;
use crate::error::RedisError;
use crate::link::Link;
use crate::select::{Caused, integer, is_shared};

/// What was seen of a key.
#[derive(Clone, Debug)]
pub(crate) struct Close {
    pub key: Vec<u8>,
    /// What it takes.
    pub bytes: u64,
    /// Whether it never expires, where that is told.
    pub persistent: Option<bool>,
    /// What is left of its time, where it does.
    pub left: Option<Duration>,
    /// Since somebody last used it; `None` under an LFU policy.
    pub idle: Option<Duration>,
    /// The LFU counter, 0 to 255; `None` under any other policy.
    pub frequency: Option<u64>,
    /// As `listpack`; empty where that is not told.
    pub encoding: String,
    /// Its type; empty where that is not told.
    pub kind: String,
}

/// What a user may not ask, each once.
#[derive(Debug, Default)]
pub(crate) struct Denials(pub Vec<Missing>);

impl Denials {
    /// The answer; `None` where the question is not allowed, of which note is taken.
    pub(crate) fn sift(
        &mut self,
        what: &str,
        answer: Result<Value, RedisError>,
    ) -> Result<Option<Value>, RedisError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_missing_right() => {
                let missing = Missing { what: what.to_owned(), why: error.to_string() };
                if !self.0.contains(&missing) {
                    self.0.push(missing);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Looks at keys whose size is known, in three round trips at most. Those that are gone are left
/// out.
pub(crate) fn look(
    link: &mut Link,
    keys: Vec<(Vec<u8>, u64)>,
    frequency: bool,
    caused: &mut Caused,
    denials: &mut Denials,
) -> Result<Vec<Close>, RedisError> {
    let mut pipe = Pipeline::with_capacity(keys.len() * 3);
    for (key, _) in &keys {
        pipe.cmd("PTTL").arg(key);
        pipe.cmd("OBJECT").arg(if frequency { "FREQ" } else { "IDLETIME" }).arg(key);
        pipe.cmd("OBJECT").arg("ENCODING").arg(key);
    }
    let mut answers = link.ask_all(&pipe)?.into_iter();
    let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
    let mut close = Vec::with_capacity(keys.len());
    for (key, bytes) in keys {
        let left = denials.sift("times to live", next())?;
        // The policy may have changed a moment ago: then nothing is told.
        let used = match next() {
            Err(RedisError::Server { .. }) => None,
            answer => denials.sift("idle times", answer)?,
        };
        let encoding = denials.sift("encodings", next())?;
        let there = left.as_ref().and_then(integer) != Some(-2);
        let side = if there { &mut caused.hits } else { &mut caused.misses };
        *side += 3;
        if !there {
            continue;
        }
        let whole = |value: &Value| integer(value).and_then(|n| u64::try_from(n).ok());
        let used = used.as_ref().and_then(whole);
        let encoding = match encoding {
            Some(Value::BulkString(name)) => String::from_utf8_lossy(&name).into_owned(),
            _ => String::new(),
        };
        close.push(Close {
            key,
            bytes,
            persistent: left.as_ref().map(|left| whole(left).is_none()),
            left: left.as_ref().and_then(whole).map(Duration::from_millis),
            idle: used.filter(|_| !frequency).map(Duration::from_secs),
            frequency: used.filter(|_| frequency),
            kind: kind_of(&encoding).to_owned(),
            encoding,
        });
    }
    types(link, &mut close, caused, denials)?;
    shared(link, &mut close, caused, denials)?;
    Ok(close)
}

/// Takes the use away of what is not a key's own.
fn shared(
    link: &mut Link,
    close: &mut [Close],
    caused: &mut Caused,
    denials: &mut Denials,
) -> Result<(), RedisError> {
    let told = |key: &&mut Close| key.idle.is_some() || key.frequency.is_some();
    let open: Vec<_> = close.iter_mut().filter(|key| key.encoding == "int").filter(told).collect();
    let mut pipe = Pipeline::with_capacity(open.len());
    for key in &open {
        pipe.cmd("OBJECT").arg("REFCOUNT").arg(&key.key);
    }
    for (key, answer) in open.into_iter().zip(link.ask_all(&pipe)?) {
        let references = denials.sift("whether values are shared", answer)?;
        match &references {
            Some(Value::Nil) => caused.misses += 1,
            Some(_) => caused.hits += 1,
            None => {}
        }
        if references.as_ref().is_none_or(is_shared) {
            (key.idle, key.frequency) = (None, None);
        }
    }
    Ok(())
}

/// The type that only this encoding has; nothing for one that several have.
fn kind_of(encoding: &str) -> &'static str {
    match encoding {
        "int" | "embstr" | "raw" => "string",
        "quicklist" | "linkedlist" => "list",
        "intset" => "set",
        "skiplist" => "zset",
        "listpackex" => "hash",
        "stream" => "stream",
        _ => "",
    }
}

/// Asks for the types that the encoding leaves open.
fn types(
    link: &mut Link,
    close: &mut [Close],
    caused: &mut Caused,
    denials: &mut Denials,
) -> Result<(), RedisError> {
    let open: Vec<&mut Close> = close.iter_mut().filter(|key| key.kind.is_empty()).collect();
    let mut pipe = Pipeline::with_capacity(open.len());
    for key in &open {
        pipe.cmd("TYPE").arg(&key.key);
    }
    let answers = link.ask_all(&pipe)?;
    for (key, answer) in open.into_iter().zip(answers) {
        match denials.sift("types", answer)? {
            Some(Value::SimpleString(kind)) if kind != "none" => {
                caused.hits += 1;
                key.kind = kind;
            }
            Some(_) => caused.misses += 1,
            None => {}
        }
    }
    Ok(())
}
