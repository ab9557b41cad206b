//! What all connections share.

use std::sync::Arc;

use axum::body::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::endpoint::Endpoint;
use crate::events::Events;
use crate::guard::Gate;
use crate::kept::Kept;
use crate::server::{Limits, Say};
use crate::source::Source;
use crate::web::{Web, WebSettings};
use crate::work::Workers;

/// One server's parts.
pub(crate) struct Shared {
    pub(crate) source: Arc<dyn Source>,
    /// What was written of the last scrape.
    pub(crate) kept: Arc<Kept>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// The OpenAPI document.
    pub(crate) description: Bytes,
    pub(crate) events: Events,
    /// A place for each listener to events.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) gate: Gate,
    /// Whether it speaks TLS.
    pub(crate) tls: bool,
    pub(crate) web: Option<Arc<WebSettings>>,
    pub(crate) limits: Limits,
    pub(crate) work: Work,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) say: Say,
}

/// Threads that may block, by what for: a slow handler does not hold up a scrape.
pub(crate) struct Work {
    pub(crate) api: Workers,
    pub(crate) scrape: Workers,
    pub(crate) probe: Workers,
    pub(crate) hash: Workers,
    pub(crate) files: Workers,
}

impl Work {
    /// Threads of all of them together.
    pub(crate) const THREADS: usize = 8 + 4 + 4 + 2 + 1;

    pub(crate) fn new() -> Self {
        Self {
            api: Workers::new(8, 32),
            scrape: Workers::new(4, 64),
            probe: Workers::new(4, 8),
            hash: Workers::new(2, 32),
            files: Workers::new(1, 0),
        }
    }
}

impl Shared {
    /// The web settings in force, after a look at the files where the last one is old.
    pub(crate) async fn web_now(&self) -> Option<Arc<Web>> {
        let settings = self.web.as_ref()?;
        if settings.is_due() {
            let own = settings.clone();
            // Busy means that somebody looks right now.
            if let Ok(Some(text)) = self.work.files.run(move || own.look()).await {
                (self.say)(&text);
            }
        }
        Some(settings.now())
    }
}

/// Ends when the server is to stop.
pub(crate) async fn until_closing(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good.
    let _ = closing.wait_for(|closing| *closing).await;
}
