//! Changing keys that nobody else changes meanwhile: they are watched, read, kept where there is
//! an undo, and changed in a transaction that any change in between undoes.
//!
//! What somebody keeps changing is tried a few times and then left alone, with its reason. In a
//! cluster a transaction holds one key, since its keys have to lie in one slot.

use redis::{Pipeline, Value};

use crate::change::{Kept, Undo, UndoFailed};
use crate::error::RedisError;
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
#[derive(Debug)]
pub(crate) struct Ready {
    /// Without `MULTI` and `EXEC`; nothing where nothing is to be done.
    pub commands: Pipeline,
    pub kept: Option<Kept>,
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
/// How often keys are tried that somebody changes.
const TRIES: u32 = 3;

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
    for _ in 0..TRIES {
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
            transaction(link, &ready.commands, what)
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
