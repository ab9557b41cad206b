//! Changing keys that nobody else changes meanwhile: they are watched, read, kept where there is
//! an undo, and changed in a transaction that any change in between undoes.
//!
//! A server that is out of memory takes no transaction; there a script compares each key with what
//! was read and changes all of them or none, which is as good and takes the server longer.
//!
//! What somebody keeps changing is tried a few times and then left alone, with its reason. In a
//! cluster a transaction holds one key, since its keys have to lie in one slot.

use redis::{Pipeline, Value};

use crate::change::{Kept, KeyState, Undo, UndoFailed};
use crate::error::RedisError;
use crate::expire_keys::SLACK;
use crate::link::Link;
use crate::select::Caused;

/// What became of the keys of a batch.
#[derive(Debug, Default)]
pub(crate) struct Did {
    pub changed: u64,
    pub unchanged: u64,
    pub skipped: Vec<(Vec<u8>, String)>,
    pub caused: Caused,
}

/// What is ready to be done with watched keys.
#[derive(Default)]
pub(crate) struct Ready {
    /// Without `MULTI` and `EXEC`; nothing where nothing is to be done.
    pub commands: Pipeline,
    /// The same key by key; nothing where it is not known what they were like.
    pub singles: Vec<Single>,
    pub kept: Option<Kept>,
}

/// What is done with a key that is still as it was.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub key: Vec<u8>,
    pub state: KeyState,
    pub verb: &'static str,
    pub argument: Option<u64>,
}

/// What is done in a transaction.
pub(crate) trait Guarded {
    /// Reads the keys over the link that watches them, and keeps what is needed to undo it.
    fn ready(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        undo: Option<&dyn Undo>,
        did: &mut Did,
    ) -> Result<Ready, UndoFailed>;

    /// Whether there is another way to do what was not allowed.
    fn otherwise(&mut self, _denied: &RedisError) -> bool {
        false
    }

    /// How many keys were changed, by an answer of the transaction.
    fn count(&self, answer: &Value) -> u64;
}

/// Keys of one transaction where they may lie anywhere.
const TOGETHER: usize = 256;
/// How often keys are tried that somebody changes, together and in the end each alone.
const TRIES: [u32; 2] = [3, 10];

/// Does `what` with these keys; `cluster` where each lies in a slot of its own.
pub(crate) fn guarded(
    link: &mut Link,
    keys: &[Vec<u8>],
    cluster: bool,
    what: &mut dyn Guarded,
    undo: Option<&dyn Undo>,
    did: &mut Did,
) -> Result<(), UndoFailed> {
    for some in keys.chunks(if cluster { 1 } else { TOGETHER }) {
        match some_of_them(link, some, what, undo, did) {
            // The key is elsewhere now: whoever got it is gone through again.
            Err(UndoFailed::Redis(error)) if error.is_redirect() => {
                let _: Value = link.ask(&redis::cmd("UNWATCH"))?;
            }
            other => other?,
        }
    }
    Ok(())
}

fn some_of_them(
    link: &mut Link,
    keys: &[Vec<u8>],
    what: &mut dyn Guarded,
    undo: Option<&dyn Undo>,
    did: &mut Did,
) -> Result<(), UndoFailed> {
    for _ in 0..TRIES[usize::from(keys.len() == 1)] {
        let mut watch = redis::cmd("WATCH");
        for key in keys {
            watch.arg(key);
        }
        let _: Value = link.ask(&watch)?;
        let mut here = Did::default();
        let ready = what.ready(link, keys, undo, &mut here)?;
        let kept = ready.kept.as_ref().map(|kept| kept.caused).unwrap_or_default();
        did.caused = did.caused + here.caused + kept;
        let done = if ready.commands.is_empty() {
            let _: Value = link.ask(&redis::cmd("UNWATCH"))?;
            Ok(Some(0))
        } else {
            match transaction(link, &ready.commands, what) {
                Err(full @ RedisError::OutOfMemory { .. }) => {
                    compared(link, &ready.singles, full, &mut did.caused)
                }
                done => done,
            }
        };
        match done {
            Ok(Some(changed)) => {
                did.changed += changed;
                did.unchanged += here.unchanged;
                return Ok(());
            }
            Ok(None) => void(undo, ready.kept.as_ref())?,
            Err(error) => {
                // Nothing of a transaction is done that a server refused. What broke on the way
                // may have been done, and what was kept of it stays.
                if !error.breaks_link() {
                    void(undo, ready.kept.as_ref())?;
                }
                return Err(error.into());
            }
        }
    }
    if let [key] = keys {
        did.skipped.push((key.clone(), "somebody keeps changing it".to_owned()));
        return Ok(());
    }
    for half in keys.chunks(keys.len().div_ceil(2)) {
        some_of_them(link, half, what, undo, did)?;
    }
    Ok(())
}

fn void(undo: Option<&dyn Undo>, kept: Option<&Kept>) -> Result<(), UndoFailed> {
    match (undo, kept) {
        (Some(undo), Some(kept)) => undo.void(kept),
        _ => Ok(()),
    }
}

/// `MULTI`, the commands, `EXEC`: how many keys were changed; `None` where a watched key was, or
/// there is another way to do it.
fn transaction(
    link: &mut Link,
    commands: &Pipeline,
    what: &mut dyn Guarded,
) -> Result<Option<u64>, RedisError> {
    let mut pipe = Pipeline::with_capacity(commands.len() + 2);
    pipe.cmd("MULTI");
    for command in commands.cmd_iter() {
        pipe.add_command(command.clone());
    }
    pipe.cmd("EXEC");
    let mut answers = link.ask_all(&pipe)?;
    let exec = answers.pop().unwrap_or(Ok(Value::Nil));
    if let Some(denied) = answers.into_iter().find_map(Result::err) {
        // A refused command makes EXEC give up: nothing was done.
        return if what.otherwise(&denied) { Ok(None) } else { Err(denied) };
    }
    match exec? {
        Value::Array(answers) => Ok(Some(answers.iter().map(|answer| what.count(answer)).sum())),
        _ => Ok(None),
    }
}

/// All of it or nothing: -1 where a key is not what it was. Before 7.0 there is no `PEXPIRETIME`,
/// and the end of a key is some milliseconds off, as it was when it was read; how many, comes last.
const COMPARE: &str = "
local slack = tonumber(ARGV[#KEYS * 5 + 1])
local function ends(key, at)
  local exact = redis.pcall('PEXPIRETIME', key)
  if type(exact) == 'number' then return exact == at end
  local left = redis.call('PTTL', key)
  if left < 0 or at < 0 then return left == at end
  local time = redis.call('TIME')
  return math.abs(time[1] * 1000 + time[2] / 1000 + left - at) <= slack
end
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  if not ends(key, tonumber(ARGV[at + 1])) then return -1 end
  if ARGV[at + 2] ~= '' then
    local dump = redis.call('DUMP', key)
    if not dump or #dump ~= tonumber(ARGV[at + 2]) then return -1 end
    if string.sub(dump, -8) ~= ARGV[at + 3] then return -1 end
  end
end
local changed = 0
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 5
  if ARGV[at + 5] == '' then
    changed = changed + redis.call(ARGV[at + 4], key)
  else
    changed = changed + redis.call(ARGV[at + 4], key, ARGV[at + 5])
  end
end
return changed
";

/// The same without a transaction: how many keys were changed; `None` where one is not what it
/// was. Where no script may be run either, `full` is what is wrong.
fn compared(
    link: &mut Link,
    singles: &[Single],
    full: RedisError,
    caused: &mut Caused,
) -> Result<Option<u64>, RedisError> {
    if singles.is_empty() {
        return Err(full);
    }
    let mut command = redis::cmd("EVAL");
    command.arg(COMPARE).arg(singles.len());
    for single in singles {
        command.arg(&single.key);
    }
    for Single { state, verb, argument, .. } in singles {
        let end = state.end.and_then(|end| i64::try_from(end).ok()).unwrap_or(-1);
        let (length, checksum) = match state.value {
            Some((length, checksum)) => (length.to_string(), checksum.to_vec()),
            None => (String::new(), Vec::new()),
        };
        let argument = argument.map_or_else(String::new, |argument| argument.to_string());
        command.arg(end).arg(length).arg(checksum).arg(*verb).arg(argument);
    }
    command.arg(SLACK);
    match link.ask::<i64>(&command) {
        Ok(changed) => {
            let looks =
                if singles.iter().any(|single| single.state.value.is_some()) { 2 } else { 1 };
            caused.hits += looks * singles.len() as u64;
            Ok(u64::try_from(changed).ok())
        }
        Err(error) if error.breaks_link() || error.is_redirect() => Err(error),
        Err(_) => Err(full),
    }
}
