//! `larder events`.

use std::time::Duration;

use larder_core::Event;
use larder_history::{EventFilter, KeptEvent, Reader};

use crate::args::EventsArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::wire_events::{EventsDoc, WireEvent};
use crate::{history_open, render_events};

/// Shown where nobody says since when.
const LAST: usize = 100;
/// Handed over at once while events are followed.
const BATCH: usize = 1000;
/// How often there is a look for new ones.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(context: &Context<'_>, args: &EventsArgs) -> Result<Exit, CliError> {
    let reader = history_open::reader(context)?;
    let filter = EventFilter {
        since: args.since.map(|since| context.now.minus(since)),
        kinds: args.kind.clone(),
        cache: args.cache.clone(),
        limit: args.since.is_none().then_some(LAST),
        ..EventFilter::default()
    };
    if args.follow {
        return follow(context, &reader, filter);
    }
    let events = find(context, &reader, &filter)?;
    context.printer.show(
        || EventsDoc::new(&events),
        || render_events::events(&events, &filter, &context.screen()),
    );
    Ok(Exit::Done)
}

fn find(
    context: &Context<'_>,
    reader: &Reader,
    filter: &EventFilter,
) -> Result<Vec<KeptEvent>, CliError> {
    reader.events(filter).map_err(|error| history_open::unreadable(context, &error))
}

/// Shows what was since then, and then events as they come.
fn follow(
    context: &Context<'_>,
    reader: &Reader,
    mut filter: EventFilter,
) -> Result<Exit, CliError> {
    let mut last =
        reader.last_event_id().map_err(|error| history_open::unreadable(context, &error))?;
    if filter.since.is_some() {
        for kept in find(context, reader, &filter)? {
            last = last.max(kept.id);
            show(context, &kept);
        }
    }
    // What comes is shown whatever its time is: it may be told later than it happened.
    filter.since = None;
    filter.limit = Some(BATCH);
    while !context.meter.stopped() {
        std::thread::sleep(LOOK);
        // The file was set aside and its numbers begin anew.
        let newest =
            reader.last_event_id().map_err(|error| history_open::unreadable(context, &error))?;
        if newest < last {
            last = 0;
        }
        if newest > last {
            for kept in
                find(context, reader, &EventFilter { after_id: Some(last), ..filter.clone() })?
            {
                last = last.max(kept.id);
                show(context, &kept);
            }
        }
    }
    Ok(Exit::Done)
}

fn show(context: &Context<'_>, kept: &KeptEvent) {
    let event: &Event = &kept.event;
    if context.printer.is_json() {
        let line = serde_json::to_string(&WireEvent::from(kept)).unwrap_or_default();
        context.printer.raw(format!("{line}\n").as_bytes());
    } else {
        context.printer.answer(&render_events::event(event));
    }
}
