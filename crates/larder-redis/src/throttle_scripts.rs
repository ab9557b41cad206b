//! Scripts and functions that run for too long are ended
//! (<https://redis.io/docs/latest/commands/script-kill/>).
//!
//! Promises: only what has written nothing yet is ended, since the server ends nothing else; a
//! server is never shut down for it.
//!
//! Limits of the server: for its first `busy-reply-threshold` (5 s) of a script it answers nobody,
//! so nothing is ended earlier, and while it is busy it does not say who sent it.

use std::time::{Duration, Instant};

use redis::Value;

use crate::error::RedisError;
use crate::link::Link;

/// What a look at a server found or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptLook {
    /// Nothing runs for too long.
    Idle,
    /// Something runs, for at least this long, and may go on.
    Running(Duration),
    /// It was told to end, after at least this long.
    Ended(Duration),
    /// It has written, so that only waiting helps; it runs for at least this long.
    Unkillable(Duration),
}

/// A server whose scripts are watched.
#[derive(Debug)]
pub struct ScriptWatch {
    link: Link,
    /// From how long on it says that it is busy.
    threshold: Duration,
    /// Since when it has been busy.
    busy: Option<Instant>,
}

impl ScriptWatch {
    /// Watches the server behind this link. How long a script has run is known from the server's
    /// own threshold, which has to be asked while it answers; else its default is taken.
    pub fn new(mut link: Link) -> Self {
        let mut threshold = Duration::from_secs(5);
        for name in ["busy-reply-threshold", "lua-time-limit"] {
            let answer: Result<Vec<String>, _> =
                link.ask(redis::cmd("CONFIG").arg("GET").arg(name));
            let millis = answer.ok().and_then(|pair| pair.get(1)?.parse().ok());
            if let Some(millis) = millis {
                threshold = Duration::from_millis(millis);
                break;
            }
        }
        Self { link, threshold, busy: None }
    }

    /// `host:port` or the socket's path.
    pub fn address(&self) -> &str {
        self.link.address()
    }

    /// From how long on the server says that it is busy.
    pub fn threshold(&self) -> Duration {
        self.threshold
    }

    /// Looks, and ends what runs for longer than `limit`.
    pub fn look(&mut self, limit: Duration) -> Result<ScriptLook, RedisError> {
        let answer = match self.link.ask::<Value>(&redis::cmd("PING")) {
            Err(RedisError::Busy { answer, .. }) => answer,
            Ok(_) => {
                self.busy = None;
                return Ok(ScriptLook::Idle);
            }
            Err(error) => return Err(error),
        };
        let since = *self.busy.get_or_insert_with(Instant::now);
        let ran = self.threshold + since.elapsed();
        if ran < limit {
            return Ok(ScriptLook::Running(ran));
        }
        // Which of the two it is stands in the answer: the other one answers that it is busy.
        let first = if answer.contains("FUNCTION KILL") { "FUNCTION" } else { "SCRIPT" };
        let killed = self.link.ask::<Value>(redis::cmd(first).arg("KILL"));
        match killed {
            Ok(_) => {
                self.busy = None;
                Ok(ScriptLook::Ended(ran))
            }
            Err(RedisError::Server { answer, .. }) if answer.starts_with("NOTBUSY") => {
                self.busy = None;
                Ok(ScriptLook::Idle)
            }
            Err(RedisError::Server { answer, .. }) if answer.starts_with("UNKILLABLE") => {
                Ok(ScriptLook::Unkillable(ran))
            }
            Err(error) => Err(error),
        }
    }
}
