//! A server whose slow log is looked at, once or again and again.

use std::path::Path;

use larder_redis::clients::Roster;
use larder_redis::slowlog::{self, SlowEntry};
use larder_redis::{Endpoint, Info, Link, RedisError};

use crate::slow_kept::Kept;

/// A server, and what is known of its slow log.
pub(crate) struct Watched {
    link: Link,
    run_id: String,
    url: String,
    roster: Roster,
    kept: Kept,
    /// How often it did not answer, since it last did.
    failures: u32,
}

impl Watched {
    /// Looks at a server for the first time: what is new, and how many came and went unseen.
    pub(crate) fn open(
        state: &Path,
        server: &Endpoint,
    ) -> Result<(Self, Vec<SlowEntry>, u64), RedisError> {
        let mut link = Link::open(server, "slowlog")?;
        let run_id = Info::ask(&mut link)?.run_id().to_owned();
        let url = server.url();
        let kept = Kept::read(state, &url);
        let roster = kept.roster(&run_id);
        let mut one = Self { link, run_id, url, roster, kept, failures: 0 };
        let (entries, lost) = one.look()?;
        one.write(state);
        Ok((one, entries, lost))
    }

    /// What is new, and how many came and went unseen.
    pub(crate) fn look(&mut self) -> Result<(Vec<SlowEntry>, u64), RedisError> {
        let found = self.look_now();
        match &found {
            Ok(_) => self.failures = 0,
            Err(_) => self.failures += 1,
        }
        found
    }

    /// Whether it had answered before the last look, which failed.
    pub(crate) fn is_news(&self) -> bool {
        self.failures == 1
    }

    /// Everything on record, the oldest first.
    pub(crate) fn entries(&self) -> Vec<SlowEntry> {
        self.kept.entries(self.link.address())
    }

    /// Keeps what was seen for the next larder.
    pub(crate) fn write(&self, state: &Path) {
        self.kept.write(state, &self.url);
    }

    fn look_now(&mut self) -> Result<(Vec<SlowEntry>, u64), RedisError> {
        if self.failures > 0 {
            // It may be another run of the server, whose numbers begin anew.
            let run_id = Info::ask(&mut self.link)?.run_id().to_owned();
            if run_id != self.run_id {
                self.roster = Roster::default();
                self.run_id = run_id;
            }
        }
        let from = self.kept.next(&self.run_id);
        let look = slowlog::look(&mut self.link, from, &mut self.roster)?;
        self.kept.add(&self.run_id, &look, &self.roster);
        Ok((look.entries, look.lost))
    }
}
