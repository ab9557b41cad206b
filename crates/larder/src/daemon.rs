//! What runs by itself, in one page: sample → score → plan → check → (apply | wait for approval) →
//! record → notify.
//!
//! Three threads. The one here ticks: it measures, judges, tells, and decides what is due; it never
//! waits for work. Another works: full scans, prunes, plans that were approved, verifications, one
//! after the other. The third answers a sick Redis, which must not wait for a build. Receivers of
//! notices and HTTP have threads of their own, so that nobody slow holds up the measuring.

mod alerts;
mod apart;
mod base;
mod board_file;
mod cleaning;
mod disk_alerts;
mod due;
mod evictions;
mod frugal;
mod handed;
mod hooks;
mod judging;
mod live;
mod lock;
mod log;
mod notify;
mod outbox;
mod own_work;
mod record;
mod redis_facts;
mod respond;
mod sampler;
mod serve;
mod signals;
mod silences;
mod systemd;
mod telling;
mod ticker;
mod triggering;
mod usual;
mod work;

use std::sync::mpsc;

pub(crate) use base::Mode;
pub(crate) use board_file::{KEY as BOARD, read as read_board};
pub(crate) use hooks::{NAME as TRIGGER, check as check_trigger};
pub(crate) use live::{Live, Wish};
pub(crate) use lock::running;
pub(crate) use notify::receiver;
pub(crate) use silences::{KEY as SILENCES, Silences};
pub(crate) use work::DU_BY;

use crate::args::GlobalArgs;
use crate::exit::{CliError, Exit};
use crate::printer::Printer;

use base::Base;
use ticker::{Serving, Ticker};

/// Runs until it is asked to stop, or once through the cycle.
pub(crate) fn run(global: &GlobalArgs, printer: &Printer, mode: &Mode) -> Result<Exit, CliError> {
    if !matches!(mode, Mode::Once { .. }) {
        frugal::begin();
    }
    let base = Base::load(global, printer)?;
    let state = base.state_folder()?;
    let _lock = match (lock::take(&state, mode)?, mode) {
        (Some(lock), _) => lock,
        (None, Mode::Once { trigger }) => return hooks::leave(&state, trigger.as_deref(), printer),
        (None, _) => return Err(lock::taken(&state)),
    };
    if matches!(mode, Mode::Once { .. }) {
        hooks::accept(&state);
    }
    let recorder = record::Recorder::open(&base, &state)?;
    let (jobs, inbox) = mpsc::sync_channel(work::QUEUE);
    let (answers, sick) = mpsc::sync_channel(work::QUEUE);
    let (results, done) = mpsc::channel();
    std::thread::scope(|scope| {
        let working = [(inbox, results.clone()), (sick, results)].map(|(inbox, results)| {
            let worker = work::Worker::new(&base, &recorder, results);
            scope.spawn(move || worker.run(&inbox))
        });
        let handed = handed::Handed::new(jobs, answers, done);
        let ticked = Ticker::new(&base, &recorder, handed).and_then(|ticker| match mode {
            Mode::Once { trigger } => ticker.once(trigger.as_deref()),
            Mode::Watch => ticker.forever(&Serving::Not),
            Mode::Serve { listen } => ticker.forever(&Serving::At(*listen)),
        });
        if ticked.is_err() {
            // A job that waits for builds would hold up the end for as long as they go on.
            base.meter.stop();
        }
        // The queues are gone with the ticker, so each worker ends after what it is at.
        if working.map(|worker| worker.join().is_err()).contains(&true) {
            return Err(CliError::new(Exit::Partly, "the work broke off by a defect of larder"));
        }
        ticked
    })
}
