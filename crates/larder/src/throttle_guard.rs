//! A process of its own that ends a limit when its time is over, should nobody else: a daemon that
//! was killed may never be started again, and the server knows no limit that ends by itself.
//!
//! It is larder itself, `unthrottle --when-over`, and waits for the limit's file to go or its time
//! to come. Ended by a signal, as a service manager does with all that a service left, it gives
//! back at once. Beyond a machine that is switched off it does not reach; the next larder does.

use std::process::{Command, Stdio};
use std::time::Duration;

use larder_redis::throttle::Throttle;

use crate::context::Context;
use crate::exit::CliError;
use crate::throttle_hold::{PATIENCE, Why, give_back, hold};
use crate::throttles::{Hands, Returned, complete};

/// So long after the time it is left to the daemon, which tells of it.
const GRACE: Duration = Duration::from_secs(2);
/// A server that is down is tried for so many minutes.
const MINUTES: u32 = 24 * 60;

/// Starts one for what limits this user. Where it cannot be started, the daemon and the next larder
/// end the limit all the same.
pub(crate) fn post(context: &Context<'_>, cache: &str, user: &str) {
    let Ok(larder) = std::env::current_exe() else { return };
    let mut command = Command::new(larder);
    command.args(["unthrottle", cache, "--user", user, "--when-over"]);
    if let Some(config) = &context.global.config {
        command.arg("--config").arg(config);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    if let Ok(mut guard) = command.spawn() {
        // Waited for, so that none is left as a zombie of a daemon that lives on.
        std::thread::spawn(move || guard.wait());
    }
}

/// What the guard does. `None`: somebody else has ended it.
pub(crate) fn stand(
    context: &Context<'_>,
    hands: &Hands<'_>,
    throttle: &Throttle,
) -> Result<Option<Returned>, CliError> {
    match hold(context, hands.store, throttle, || {}) {
        Why::Elsewhere => return Ok(None),
        Why::Over => std::thread::sleep(GRACE),
        Why::Interrupted => {}
    }
    let mut returned = give_back(context, hands, &throttle.id, PATIENCE)?;
    for _ in 0..MINUTES {
        if context.meter.stopped() || returned.as_ref().is_none_or(complete) {
            break;
        }
        returned = give_back(context, hands, &throttle.id, PATIENCE)?;
    }
    Ok(returned)
}
