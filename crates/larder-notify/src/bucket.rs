//! A receiver's rate limit: a bucket of tokens, one for each message.
//!
//! Promises: in no minute, wherever it begins, more messages than the limit. So the bucket holds a
//! quarter of the limit and three quarters flow in: what it holds plus what flows in within a
//! minute is the limit.

use std::time::Duration;

use crate::receiver::Rate;

/// The time is handed in, as time passed since any fixed point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// `None` where there is no limit.
    flow: Option<Flow>,
    level: f64,
    at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    most: f64,
    per_second: f64,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(rate: Rate, now: Duration) -> Self {
        let flow = match rate {
            Rate::Unlimited => None,
            Rate::PerMinute(limit) => {
                let limit = f64::from(limit.get());
                let most = (limit / 4.0).floor().max(1.0);
                // A limit of one leaves nothing to flow in, so it is one a minute.
                let flows = if limit > most { limit - most } else { 1.0 };
                Some(Flow { most, per_second: flows / 60.0 })
            }
        };
        Self { flow, level: flow.map_or(0.0, |flow| flow.most), at: now }
    }

    /// How many messages may be sent now.
    pub(crate) fn tokens(&mut self, now: Duration) -> usize {
        let Some(flow) = &self.flow else { return usize::MAX };
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = passed.mul_add(flow.per_second, self.level).min(flow.most);
        self.at = self.at.max(now);
        // What rounding took from a whole token is given back.
        let whole = (self.level + 1e-6).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to most")]
        let tokens = whole as usize;
        tokens
    }

    /// How long until one may be sent.
    pub(crate) fn wait(&mut self, now: Duration) -> Duration {
        let tokens = self.tokens(now);
        match &self.flow {
            Some(flow) if tokens == 0 => {
                let missing = (1.0 - self.level).max(0.0);
                Duration::from_secs_f64(missing / flow.per_second) + Duration::from_millis(1)
            }
            _ => Duration::ZERO,
        }
    }

    /// Sends one.
    pub(crate) fn take(&mut self) {
        self.level = (self.level - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn sent(limit: u32, for_seconds: u64) -> Vec<f64> {
        let mut bucket =
            Bucket::new(Rate::PerMinute(NonZeroU32::new(limit).unwrap()), Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        while now < Duration::from_secs(for_seconds) {
            match bucket.wait(now) {
                Duration::ZERO => {
                    bucket.take();
                    sent.push(now.as_secs_f64());
                }
                wait => now += wait,
            }
        }
        sent
    }

    #[test]
    fn no_minute_has_more_than_the_limit() {
        for limit in [1, 2, 3, 20, 30, 100, 600] {
            let sent = sent(limit, 600);
            for (index, begin) in sent.iter().enumerate() {
                let within = sent[index..].iter().take_while(|at| **at < begin + 60.0).count();
                assert!(within <= limit as usize, "{within} in a minute, of {limit}");
            }
            // And it does not starve: half of it at least, over ten minutes.
            assert!(sent.len() >= limit as usize * 5, "{} of {limit}", sent.len());
        }
    }

    #[test]
    fn what_was_not_used_is_kept_up_to_its_size() {
        let mut bucket = Bucket::new(Rate::PerMinute(NonZeroU32::new(20).unwrap()), Duration::ZERO);
        assert_eq!(bucket.tokens(Duration::from_hours(10)), 5);
        (0..5).for_each(|_| bucket.take());
        assert_eq!(bucket.wait(Duration::from_hours(10)).as_secs(), 4);
        // A clock that went back gives nothing.
        assert_eq!(bucket.tokens(Duration::from_hours(9)), 0);
        assert_eq!(Bucket::new(Rate::Unlimited, Duration::ZERO).tokens(Duration::ZERO), usize::MAX);
    }
}
