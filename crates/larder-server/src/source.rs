//! What the server answers from: handed in by whoever starts it.

use std::sync::Arc;

use crate::exposed::{Exposed, RedisFacts};

/// Where answers come from. Every method may be called from several threads at once, and may
/// block; all but [`Source::probe`] should give what is known already.
pub trait Source: Send + Sync {
    /// What there is to show. A scrape never measures, so that this gives the last samples.
    fn exposed(&self) -> Arc<Exposed>;

    /// Whether it can do its work; why not, for everybody to read.
    fn ready(&self) -> Result<(), String>;

    /// What `/probe` may ask: names such as `redis:sessions`, and addresses such as
    /// `redis://10.0.0.7:6379`, without passwords.
    fn probe_targets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Asks one of [`Source::probe_targets`] now; why there is no answer, for the log alone.
    fn probe(&self, target: &str) -> Result<RedisFacts, String> {
        Err(format!("{target} cannot be asked"))
    }
}
