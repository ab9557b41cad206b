//! What to do about a sick Redis: decisions only, each with its reason, also those not to act.
//!
//! The way is the seed's: blocking commands in the slow log? Then their sender is limited and the
//! developers are told; otherwise the distribution of keys is analysed. Each step only where the
//! settings allow it. Where keys had to go because memory is full, room is what it lacks, whoever
//! else there is to blame: that is told with what makes room, and never done by itself.

use std::time::Duration;

use larder_core::count::grouped;
use larder_core::size::Units;
use larder_core::time::Age;

use crate::trigger::Held;

/// Blocking commands of one shape from one sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// `KEYS report:*`.
    pub pattern: String,
    /// The ACL user, where it is known.
    pub user: Option<String>,
    /// Who it is, for people: address, name.
    pub sender: String,
    /// How often, within the time that was looked at.
    pub count: u64,
    /// How long the server did nothing else.
    pub total: Duration,
}

impl Offence {
    /// `KEYS report:* from 10.0.0.7, user batch, 31 times, 480 ms each`.
    pub fn sentence(&self) -> String {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!(", user {user}"));
        let each = self.total.as_secs_f64() * 1000.0 / self.count.max(1) as f64;
        let times =
            if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        format!("{} from {}{user}, {times}, {each:.0} ms each", self.pattern, self.sender)
    }
}

/// Keys that had to go because memory is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evictions {
    /// How many, within the time that was looked at.
    pub keys: u64,
    /// That time.
    pub over: Duration,
    /// Which go: `allkeys-lru`, where that is known.
    pub policy: Option<String>,
    /// Bytes in use, where that is known.
    pub used: Option<u64>,
    /// `maxmemory`, bytes, where there is a limit.
    pub max: Option<u64>,
}

impl Evictions {
    /// `1,200 keys were evicted in 2 min by allkeys-lru, 63.9 MB of 64.0 MB are used`.
    pub fn sentence(&self, units: Units) -> String {
        let (keys, over) = (grouped(self.keys), Age(self.over));
        let verb = if self.keys == 1 { "key was" } else { "keys were" };
        let by = self.policy.as_ref().map_or_else(String::new, |policy| format!(" by {policy}"));
        let full = match (self.used, self.max) {
            (Some(used), Some(max)) => {
                format!(", {} of {} are used", units.show(used), units.show(max))
            }
            _ => String::new(),
        };
        format!("{keys} {verb} evicted in {over}{by}{full}")
    }
}

/// What was seen of a sick Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who blocks it.
    pub offences: Vec<Offence>,
    /// Whether its memory is full.
    pub evictions: Option<Evictions>,
}

/// What the settings allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Users that may be limited.
    pub throttle_users: Vec<String>,
    /// Whether keys may be analysed.
    pub analyse: bool,
    /// The user that larder itself logs in as.
    pub own_user: Option<String>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Limit this user.
    Throttle {
        /// Whom.
        user: String,
        /// Why.
        offence: Offence,
    },
    /// Leave the sender alone.
    Leave {
        /// Of what.
        offence: Offence,
        /// Why, one sentence without a full stop.
        why: String,
    },
    /// Analyse the distribution of keys.
    Analyse,
    /// Tell that its memory is full and what makes room, which is for a person to decide.
    MakeRoom {
        /// What shows it.
        evictions: Evictions,
    },
    /// Nothing blocks, and keys are not to be analysed.
    Nothing,
}

/// Decides. At most one user is limited at a time: the worst. Where memory is full, keys are analysed
/// too, as far as that is allowed, so that what makes room can be named.
pub fn decide(seen: &Seen, allowed: &Allowed, held: Option<Held>) -> Vec<Decision> {
    let mut decisions = about_senders(&seen.offences, allowed, held);
    let full = seen.evictions.as_ref();
    if allowed.analyse && (full.is_some() || seen.offences.is_empty()) {
        decisions.push(Decision::Analyse);
    }
    decisions.extend(full.map(|full| Decision::MakeRoom { evictions: full.clone() }));
    if decisions.is_empty() {
        decisions.push(Decision::Nothing);
    }
    decisions
}

fn about_senders(offences: &[Offence], allowed: &Allowed, held: Option<Held>) -> Vec<Decision> {
    let mut worst: Vec<&Offence> = offences.iter().collect();
    worst.sort_by(|a, b| (b.total, &a.pattern).cmp(&(a.total, &b.pattern)));
    let mut limited = false;
    worst
        .into_iter()
        .map(|offence| match refusal(offence, allowed, held, limited) {
            Some(why) => Decision::Leave { offence: offence.clone(), why },
            None => {
                limited = true;
                let user = offence.user.clone().unwrap_or_default();
                Decision::Throttle { user, offence: offence.clone() }
            }
        })
        .collect()
}

fn refusal(
    offence: &Offence,
    allowed: &Allowed,
    held: Option<Held>,
    limited: bool,
) -> Option<String> {
    let Some(user) = &offence.user else {
        return Some("its ACL user is not known: the client has gone".to_owned());
    };
    if user == "default" {
        return Some("it is the default user, and limiting that would stop everybody".to_owned());
    }
    if allowed.own_user.as_ref() == Some(user) {
        return Some("it is the user that larder itself logs in as".to_owned());
    }
    if !allowed.throttle_users.contains(user) {
        return Some(format!("{user} is not among respond.throttle-users"));
    }
    if limited {
        return Some("one user at a time is enough".to_owned());
    }
    held.map(|held| held.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offence(user: Option<&str>, millis: u64) -> Offence {
        Offence {
            pattern: "KEYS report:*".into(),
            user: user.map(str::to_owned),
            sender: "10.0.0.7".into(),
            count: 31,
            total: Duration::from_millis(millis),
        }
    }

    fn seen(offences: &[Offence]) -> Seen {
        Seen { offences: offences.to_vec(), evictions: None }
    }

    fn allowed() -> Allowed {
        Allowed {
            throttle_users: vec!["batch".into(), "default".into(), "us".into()],
            analyse: true,
            own_user: Some("us".into()),
        }
    }

    fn whys(decisions: &[Decision]) -> Vec<&str> {
        decisions
            .iter()
            .map(|decision| match decision {
                Decision::Throttle { user, .. } => user.as_str(),
                Decision::Leave { why, .. } => why.as_str(),
                Decision::Analyse => "analyse",
                Decision::MakeRoom { .. } => "make room",
                Decision::Nothing => "nothing",
            })
            .collect()
    }

    #[test]
    fn the_worst_that_may_be_limited_is_and_the_others_are_left_with_a_reason() {
        let offences = [
            offence(Some("batch"), 100),
            offence(Some("web"), 9000),
            offence(Some("batch"), 5000),
            offence(None, 300),
            offence(Some("default"), 200),
            offence(Some("us"), 150),
        ];
        let decisions = decide(&seen(&offences), &allowed(), None);
        assert_eq!(
            whys(&decisions),
            [
                "web is not among respond.throttle-users",
                "batch",
                "its ACL user is not known: the client has gone",
                "it is the default user, and limiting that would stop everybody",
                "it is the user that larder itself logs in as",
                "one user at a time is enough",
            ]
        );
        assert!(
            matches!(&decisions[1], Decision::Throttle { offence, .. } if offence.total.as_secs() == 5)
        );
    }

    #[test]
    fn a_cool_down_holds_and_nothing_blocking_is_analysed() {
        let held = Some(Held::TooOften { times: 5 });
        let decisions = decide(&seen(&[offence(Some("batch"), 1)]), &allowed(), held);
        assert_eq!(whys(&decisions), ["it was done 5 times in a day already"]);
        assert_eq!(decide(&Seen::default(), &allowed(), None), [Decision::Analyse]);
        assert_eq!(decide(&Seen::default(), &Allowed::default(), None), [Decision::Nothing]);
    }

    #[test]
    fn where_memory_is_full_room_is_what_it_lacks_whoever_blocks_it() {
        let evictions = Evictions {
            keys: 1200,
            over: Duration::from_mins(2),
            policy: Some("allkeys-lru".into()),
            used: Some(63_900_000),
            max: Some(64_000_000),
        };
        let full =
            |offences: &[Offence]| Seen { evictions: Some(evictions.clone()), ..seen(offences) };
        let offences = [offence(Some("batch"), 100)];
        let decisions = decide(&full(&offences), &allowed(), None);
        assert_eq!(whys(&decisions), ["batch", "analyse", "make room"]);
        assert_eq!(whys(&decide(&full(&[]), &allowed(), None)), ["analyse", "make room"]);
        assert_eq!(whys(&decide(&full(&[]), &Allowed::default(), None)), ["make room"]);
        assert_eq!(
            evictions.sentence(Units::default()),
            "1,200 keys were evicted in 2 min by allkeys-lru, 63.9 MB of 64.0 MB are used"
        );
    }

    #[test]
    fn a_sentence_for_people() {
        assert_eq!(
            offence(Some("batch"), 14_880).sentence(),
            "KEYS report:* from 10.0.0.7, user batch, 31 times, 480 ms each"
        );
    }
}
