//! A limit is held until its time is over, somebody presses Ctrl-C, or somebody else ends it; and
//! then it is given back, also by a server that is down just then.

use std::time::{Duration, Instant};

use larder_redis::throttle::Throttle;

use crate::context::Context;
use crate::exit::CliError;
use crate::throttle_store::ThrottleStore;
use crate::throttles::{self, Hands, Returned, complete};

/// Why it is held no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its time is over.
    Over,
    /// Ctrl-C or a termination signal.
    Interrupted,
    /// Another larder ended it.
    Elsewhere,
}

/// How often is looked whether it should end.
const STEP: Duration = Duration::from_millis(200);

/// How long a server that is down is waited for when the time is over.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// And where a person waits for the answer.
pub(crate) const LITTLE_PATIENCE: Duration = Duration::from_secs(5);

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Holds it; `step` is done again and again meanwhile. Somebody else may make it longer.
pub(crate) fn hold(
    context: &Context<'_>,
    store: &ThrottleStore,
    throttle: &Throttle,
    mut step: impl FnMut(),
) -> Why {
    // A clock that is set meanwhile makes it neither longer nor shorter.
    let left = |until: larder_core::Time| Instant::now() + until.since(larder_fs::now());
    let mut until = throttle.until;
    let mut deadline = left(until);
    loop {
        if context.meter.stopped() {
            return Why::Interrupted;
        }
        match store.get(&throttle.id) {
            Ok(None) => return Why::Elsewhere,
            Ok(Some(now)) if now.until != until => {
                until = now.until;
                deadline = left(until);
            }
            // What cannot be read now is in the way at the end, and is said then.
            Ok(Some(_)) | Err(_) => {}
        }
        let Some(left) = deadline.checked_duration_since(Instant::now()) else { return Why::Over };
        if left.is_zero() {
            return Why::Over;
        }
        step();
        std::thread::sleep(STEP.min(left));
    }
}

/// Gives back what was taken away. A server that does not take it is asked again for a while, and
/// that is said at once. `None`: somebody else has done it.
pub(crate) fn give_back(
    context: &Context<'_>,
    hands: &Hands<'_>,
    id: &str,
    patience: Duration,
) -> Result<Option<Returned>, CliError> {
    let begun = Instant::now();
    let mut given: Returned = Vec::new();
    let mut first = true;
    loop {
        let Some(returned) = throttles::end(hands, id)? else {
            return Ok(Some(given).filter(|given| !given.is_empty()));
        };
        for (address, lifted) in returned {
            if let Err(error) = lifted.as_ref().map_err(ToString::to_string).map(|_| ())
                && first
            {
                context.printer.warning(&format!("not given back yet: {error}; it is tried again"));
            }
            given.retain(|(known, _)| *known != address);
            given.push((address, lifted));
        }
        first = false;
        let patience = if context.meter.stopped() { LITTLE_PATIENCE } else { patience };
        if complete(&given) || begun.elapsed() >= patience {
            return Ok(Some(given));
        }
        std::thread::sleep(PAUSE);
    }
}
