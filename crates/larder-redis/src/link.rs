//! One connection to one server, made again after it broke.
//!
//! Promises: it names itself, asks not to be evicted and not to touch what it reads; a command is
//! never sent twice; an error names the server and the command, and holds no argument.

use std::time::{Duration, Instant};

use redis::{Cmd, ConnectionLike, FromRedisValue, Pipeline, Value};

use crate::endpoint::Endpoint;
use crate::error::{RedisError, of_handshake};

/// What the server grants a guest that does not want to be noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Courtesies {
    /// Reads leave idle times and frequencies as they are (`CLIENT NO-TOUCH`, 7.2).
    pub no_touch: bool,
    /// Not the first to be disconnected when client buffers are full (`CLIENT NO-EVICT`, 7.0).
    pub no_evict: bool,
}

/// How long a connection has waited for answers so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// From sending to the end of the answer, all together.
    pub time: Duration,
    /// Round trips.
    pub trips: u32,
}

impl Waited {
    /// What came on top of `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            time: self.time.saturating_sub(before.time),
            trips: self.trips.saturating_sub(before.trips),
        }
    }
}

/// A connection.
pub struct Link {
    endpoint: Endpoint,
    purpose: String,
    client: redis::Client,
    connection: Option<redis::Connection>,
    courtesies: Courtesies,
    asking: bool,
    waited: Waited,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, logs in and selects the database. `purpose` becomes part of the client's name.
    pub fn open(endpoint: &Endpoint, purpose: &str) -> Result<Self, RedisError> {
        let setup = |why: String| RedisError::Setup { address: endpoint.address().to_owned(), why };
        if let Some(why) = endpoint.tls.problem() {
            return Err(setup(why.to_owned()));
        }
        let client = endpoint.client().map_err(|error| setup(error.to_string()))?;
        let mut link = Self {
            endpoint: endpoint.clone(),
            purpose: purpose.to_owned(),
            client,
            connection: None,
            courtesies: Courtesies::default(),
            asking: false,
            waited: Waited::default(),
        };
        link.connected()?;
        Ok(link)
    }

    /// `host:port` or the socket's path.
    pub fn address(&self) -> &str {
        self.endpoint.address()
    }

    /// What it connects to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the server granted when this connection was made.
    pub fn courtesies(&self) -> Courtesies {
        self.courtesies
    }

    /// Whether commands are about keys too whose slots are on their way to this node: each is
    /// preceded by `ASKING` (<https://redis.io/docs/latest/commands/asking/>).
    pub(crate) fn set_asking(&mut self, asking: bool) {
        self.asking = asking;
    }

    /// How long it has waited for answers so far: what the server was busy for, and the way there.
    pub fn waited(&self) -> Waited {
        self.waited
    }

    fn count(&mut self, begun: Instant) {
        self.waited.time += begun.elapsed();
        self.waited.trips += 1;
    }

    /// Sends a command and waits for its answer. Once the connection broke, the next command gets
    /// a new one.
    pub fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        if self.asking {
            let mut pipe = Pipeline::new();
            pipe.add_command(command.clone());
            let answer = self.ask_all(&pipe)?.pop().unwrap_or(Ok(Value::Nil))?;
            return self.read(answer, &name(command));
        }
        let within = self.endpoint.timeouts.answer;
        let connection = self.connected()?;
        let begun = Instant::now();
        let asked = command.query::<Value>(connection);
        self.count(begun);
        let value = asked.map_err(|error| self.failed(&name(command), within, &error));
        let value = value.inspect_err(|error| self.forget_after(error))?;
        self.read(value, &name(command))
    }

    /// Sends all at once and waits for an answer to each. An error that the server answers to one
    /// stands in that one's place.
    pub fn ask_all(
        &mut self,
        commands: &Pipeline,
    ) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let within = self.endpoint.timeouts.answer;
        let first = commands.cmd_iter().next().map_or_else(|| "PIPELINE".to_owned(), name);
        let sent = if self.asking { with_asking(commands) } else { commands.clone() };
        let packed = sent.get_packed_pipeline();
        let connection = self.connected()?;
        let begun = Instant::now();
        let asked = connection.req_packed_commands(&packed, 0, sent.len());
        self.count(begun);
        let values = asked.map_err(|error| self.failed(&first, within, &error));
        let values = values.inspect_err(|error| self.forget_after(error))?;
        let answers = values.into_iter().zip(sent.cmd_iter());
        Ok(answers
            .filter(|(_, command)| !self.asking || name(command) != ASKING)
            .map(|(value, command)| match value {
                Value::ServerError(error) => Err(RedisError::answered(
                    self.address(),
                    &name(command),
                    error.code(),
                    error.details().unwrap_or_default(),
                )),
                value => Ok(value),
            })
            .collect())
    }

    /// The time of a `PING`, in and out.
    pub fn ping(&mut self) -> Result<Duration, RedisError> {
        let begun = Instant::now();
        let _: Value = self.ask(&redis::cmd("PING"))?;
        Ok(begun.elapsed())
    }

    /// Reads an answer as `T`.
    pub fn read<T: FromRedisValue>(&self, value: Value, command: &str) -> Result<T, RedisError> {
        redis::from_redis_value(value).map_err(|error| RedisError::Garbage {
            address: self.address().to_owned(),
            command: command.to_owned(),
            // The library's words repeat the value, which may be anybody's data.
            why: error.to_string().split('(').next().unwrap_or_default().trim().to_owned(),
        })
    }

    fn forget_after(&mut self, error: &RedisError) {
        if error.breaks_link() || self.connection.as_ref().is_some_and(|c| !c.is_open()) {
            self.connection = None;
        }
    }

    fn connected(&mut self) -> Result<&mut redis::Connection, RedisError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn connect(&mut self) -> Result<redis::Connection, RedisError> {
        let timeouts = self.endpoint.timeouts;
        let connect = self.client.get_connection_with_timeout(timeouts.connect);
        let mut connection =
            connect.map_err(|error| self.failed("the login", timeouts.connect, &error))?;
        let limits = connection
            .set_read_timeout(Some(timeouts.answer))
            .and_then(|()| connection.set_write_timeout(Some(timeouts.answer)));
        limits.map_err(|error| self.failed("the login", timeouts.answer, &error))?;
        let mut hello = redis::pipe();
        hello.cmd("CLIENT").arg("SETNAME").arg(format!("larder:{}", self.purpose));
        hello.cmd("CLIENT").arg("NO-TOUCH").arg("ON");
        hello.cmd("CLIENT").arg("NO-EVICT").arg("ON");
        let answers = connection
            .req_packed_commands(&hello.get_packed_pipeline(), 0, 3)
            .map_err(|error| self.failed("CLIENT SETNAME", timeouts.answer, &error))?;
        let granted = |at: usize| matches!(answers.get(at), Some(Value::Okay));
        self.courtesies = Courtesies { no_touch: granted(1), no_evict: granted(2) };
        Ok(connection)
    }

    fn failed(&self, command: &str, within: Duration, error: &redis::RedisError) -> RedisError {
        let address = self.address().to_owned();
        let command = command.to_owned();
        if error.is_timeout() {
            return RedisError::TimedOut { address, command, within };
        }
        match error.kind() {
            redis::ErrorKind::AuthenticationFailed => RedisError::Login {
                address,
                answer: error.detail().unwrap_or("wrong user or password").to_owned(),
            },
            redis::ErrorKind::InvalidClientConfig => {
                RedisError::Setup { address, why: error.to_string() }
            }
            redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => {
                RedisError::Garbage { address, command, why: "not the protocol".to_owned() }
            }
            _ => match error.code() {
                Some(code) => self.answered(&command, code, error.detail().unwrap_or("")),
                None => match of_handshake(&error.to_string()) {
                    Some(why) => RedisError::Tls { address, why },
                    None => RedisError::Unreachable { address, why: error.to_string() },
                },
            },
        }
    }
}

impl Link {
    /// An error answer; a database that is not there is a matter of settings.
    fn answered(&self, command: &str, code: &str, detail: &str) -> RedisError {
        let database = self.endpoint.database;
        let why = if detail.contains("DB index is out of range") {
            format!("there is no database {database} on it")
        } else if detail.contains("SELECT is not allowed in cluster mode") {
            format!("there is no database {database} on it: a cluster has database 0 alone")
        } else {
            return RedisError::answered(self.address(), command, code, detail);
        };
        RedisError::Setup { address: self.address().to_owned(), why }
    }
}

const ASKING: &str = "ASKING";

/// With `ASKING` before each; what it grants lasts from `MULTI` until `EXEC`.
fn with_asking(commands: &Pipeline) -> Pipeline {
    let mut sent = Pipeline::with_capacity(commands.len() * 2);
    let mut within = false;
    for command in commands.cmd_iter() {
        if !within {
            sent.cmd(ASKING);
        }
        match name(command).as_str() {
            "MULTI" => within = true,
            "EXEC" | "DISCARD" => within = false,
            _ => {}
        }
        sent.add_command(command.clone());
    }
    sent
}

/// Commands whose second word is a part of the name.
const CONTAINERS: [&str; 14] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY",
    "OBJECT", "SCRIPT", "SENTINEL", "SLOWLOG", "XINFO",
];

/// Whether the second word of this command, in capitals, is a part of its name.
pub(crate) fn is_container(name: &str) -> bool {
    CONTAINERS.contains(&name)
}

/// The name of a command, with its subcommand and without any argument.
pub(crate) fn name(command: &Cmd) -> String {
    let word = |at: usize| {
        let mut words = command.args_iter().filter_map(|arg| match arg {
            redis::Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).to_ascii_uppercase()),
            _ => None,
        });
        words.nth(at).unwrap_or_default()
    };
    let first = word(0);
    if is_container(&first) { format!("{first} {}", word(1)) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commands_name_holds_no_argument() {
        assert_eq!(name(redis::cmd("config").arg("set").arg("requirepass").arg("x")), "CONFIG SET");
        assert_eq!(name(redis::cmd("AUTH").arg("hunter2")), "AUTH");
    }
}
