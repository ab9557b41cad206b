//! Caches of which nobody is told for a time.

use larder_core::Time;
use serde::{Deserialize, Serialize};

/// Where they are kept in the history.
pub(crate) const KEY: &str = "silences";

/// Those in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Silences {
    pub silences: Vec<Silence>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Silence {
    pub cache: String,
    /// Nanoseconds since 1970.
    pub until: i64,
    pub reason: String,
}

impl Silences {
    /// From text; what cannot be read is as good as none. What is over is left out.
    pub(crate) fn read(text: Option<&str>, now: Time) -> Self {
        let mut all: Self =
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        all.silences.retain(|silence| Time::from_unix_nanos(silence.until) > now);
        all
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Silences a cache in place of what there was of it.
    pub(crate) fn add(&mut self, cache: &str, until: Time, reason: &str) {
        self.remove(cache);
        let (cache, reason) = (cache.to_owned(), reason.to_owned());
        self.silences.push(Silence { cache, until: until.unix_nanos(), reason });
    }

    /// Ends one; whether there was one.
    pub(crate) fn remove(&mut self, cache: &str) -> bool {
        let before = self.silences.len();
        self.silences.retain(|silence| silence.cache != cache);
        self.silences.len() < before
    }

    /// Whether nobody is told of this cache.
    pub(crate) fn hold(&self, cache: &str) -> bool {
        self.silences.iter().any(|silence| silence.cache == cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_ends_by_itself_and_by_hand() {
        let at = Time::from_unix;
        let mut all = Silences::default();
        all.add("redis:a", at(100), "moving it");
        all.add("redis:a", at(200), "it takes longer");
        all.add("build", at(50), "");
        let text = all.text();
        let later = Silences::read(Some(&text), at(60));
        assert!(later.hold("redis:a") && !later.hold("build"));
        assert!(!Silences::read(Some(&text), at(200)).hold("redis:a"));
        assert!(all.remove("redis:a") && !all.remove("redis:a"));
        assert_eq!(Silences::read(Some("{"), at(0)), Silences::default());
    }
}
