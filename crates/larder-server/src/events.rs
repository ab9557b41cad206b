//! Events for those who listen: a bounded broadcast, and its form as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Promises: whoever publishes never waits. A reader that is too slow is told so and let go; it
//! comes back with `Last-Event-ID` and gets what it missed, as far as that is kept.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, watch};

use crate::state::until_closing;

/// How long a stream is silent at most: proxies cut what says nothing.
const PING: Duration = Duration::from_secs(15);
/// Events under way to one reader, beyond what the broadcast holds.
const UNDER_WAY: usize = 16;

/// One event on its way to listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEvent {
    /// Larger than that of every event before; the same as in the history.
    pub id: u64,
    /// The document, as `larder events --follow` prints it.
    pub data: Value,
}

/// Where events are published. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Events {
    shared: Arc<Channel>,
}

#[derive(Debug)]
struct Channel {
    kept: Mutex<Kept>,
    most: usize,
    sender: broadcast::Sender<(u64, Bytes)>,
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<(u64, Bytes)>,
    /// The newest event that is not kept.
    forgotten: u64,
}

impl Events {
    /// A place that keeps the last `most` events for those who come back, and lets a reader go
    /// that is as many behind. `newest` is the number of the last event before.
    pub fn new(most: usize, newest: u64) -> Self {
        let most = most.max(1);
        let (sender, _) = broadcast::channel(most);
        let kept = Mutex::new(Kept { events: VecDeque::new(), forgotten: newest });
        Self { shared: Arc::new(Channel { kept, most, sender }) }
    }

    /// Hands an event to everybody who listens. Never waits.
    pub fn publish(&self, event: &StreamEvent) {
        let framed = Bytes::from(format!("id: {}\ndata: {}\n\n", event.id, event.data));
        let mut kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.events.len() == self.shared.most {
            kept.forgotten = kept.events.pop_front().map_or(kept.forgotten, |(id, _)| id);
        }
        kept.events.push_back((event.id, framed.clone()));
        // Under the lock, so that who subscribes gets each event once. An error means that nobody
        // listens.
        let _ = self.shared.sender.send((event.id, framed));
    }

    /// What came after `last`, whether there was more that is no longer kept, and what comes next.
    fn subscribe(&self, last: Option<u64>) -> Subscription {
        let kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.shared.sender.subscribe();
        let Some(last) = last else {
            return Subscription { missed: Vec::new(), gap: false, receiver };
        };
        let missed = kept.events.iter().filter(|(id, _)| *id > last);
        let missed = missed.map(|(_, framed)| framed.clone()).collect();
        Subscription { missed, gap: kept.forgotten > last, receiver }
    }
}

struct Subscription {
    missed: Vec<Bytes>,
    gap: bool,
    receiver: broadcast::Receiver<(u64, Bytes)>,
}

/// The body of one stream.
pub(crate) struct EventBody {
    receiver: mpsc::Receiver<Bytes>,
}

impl EventBody {
    /// A stream that begins after `last`, and ends when the server stops or the reader is too
    /// slow. `place` is held as long.
    pub(crate) fn start(
        events: &Events,
        last: Option<u64>,
        place: OwnedSemaphorePermit,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let subscription = events.subscribe(last);
        tokio::spawn(async move {
            let _place = place;
            // An error means that the reader went away.
            let _ = feed(subscription, sender, closing).await;
        });
        Self { receiver }
    }
}

async fn feed(
    mut subscription: Subscription,
    sender: mpsc::Sender<Bytes>,
    mut closing: watch::Receiver<bool>,
) -> Result<(), mpsc::error::SendError<Bytes>> {
    sender.send(comment("events as they happen")).await?;
    if subscription.gap {
        sender.send(comment("events before these are no longer kept here")).await?;
    }
    for framed in subscription.missed {
        sender.send(framed).await?;
    }
    loop {
        let received = tokio::select! {
            received = tokio::time::timeout(PING, subscription.receiver.recv()) => received,
            () = until_closing(&mut closing) => {
                return sender.send(comment("the server stops")).await;
            }
            () = sender.closed() => return Ok(()),
        };
        match received {
            Ok(Ok((_, framed))) => sender.send(framed).await?,
            Ok(Err(RecvError::Lagged(missed))) => {
                let text = format!("too slow: {missed} events were not waited for, come back");
                return sender.send(comment(&text)).await;
            }
            Ok(Err(RecvError::Closed)) => return sender.send(comment("no more events")).await,
            Err(_) => sender.send(comment("still here")).await?,
        }
    }
}

fn comment(text: &str) -> Bytes {
    Bytes::from(format!(": {text}\n\n"))
}

impl HttpBody for EventBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.receiver.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(id: u64) -> StreamEvent {
        StreamEvent { id, data: json!({"message": "two\nlines"}) }
    }

    #[test]
    fn who_comes_back_gets_what_was_missed_as_far_as_it_is_kept() {
        let events = Events::new(3, 1);
        assert!(events.subscribe(Some(0)).gap);
        for id in [2, 4, 6, 8] {
            events.publish(&event(id));
        }
        let missed = |last| {
            let subscription = events.subscribe(last);
            let text: Vec<String> = subscription
                .missed
                .iter()
                .map(|framed| String::from_utf8_lossy(framed).lines().next().unwrap().to_owned())
                .collect();
            (text, subscription.gap)
        };
        assert_eq!(missed(None), (vec![], false));
        assert_eq!(missed(Some(8)), (vec![], false));
        assert_eq!(missed(Some(6)), (vec!["id: 8".to_owned()], false));
        assert_eq!(missed(Some(2)).0.len(), 3);
        assert!(missed(Some(1)).1);
        let framed = &events.subscribe(Some(7)).missed[0];
        assert_eq!(&framed[..], b"id: 8\ndata: {\"message\":\"two\\nlines\"}\n\n");
    }
}
