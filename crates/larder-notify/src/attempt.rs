//! That a message is on its way, for whoever must know after a kill what may have arrived.

use std::sync::Arc;

/// An attempt to send a message.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The receiver.
    pub receiver: &'a str,
    /// The ids of the notices in it.
    pub notices: &'a [String],
    /// It is about to begin; otherwise it came to nothing. That it arrived is a
    /// [`crate::Delivery`].
    pub begins: bool,
}

type Hears = dyn Fn(Attempt<'_>) + Send + Sync;

/// Who hears of attempts, if anybody does.
#[derive(Clone, Default)]
pub struct Attempts(Option<Arc<Hears>>);

impl Attempts {
    /// This one hears of them.
    pub fn heard_by(hears: impl Fn(Attempt<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hears)))
    }

    pub(crate) fn tell(&self, attempt: Attempt<'_>) {
        if let Some(hears) = self.0.as_ref().filter(|_| !attempt.notices.is_empty()) {
            hears(attempt);
        }
    }
}
