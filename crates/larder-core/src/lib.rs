//! larder's nouns and decisions.
//!
//! Everything here is a value or a pure function: what a cache is, how big and how old its parts
//! are, what a policy wants gone and why, whether a plan may be applied. No file descriptor, no
//! socket, no clock: `now` is handed in. Wire formats live at the edge, so nothing here derives
//! `Serialize`.

pub mod alert;
pub mod alert_board;
pub mod baseline;
pub mod build_inventory;
pub mod build_planner;
pub mod cache;
pub mod check;
pub mod count;
pub mod event;
pub mod finding;
pub mod forecast;
pub mod health;
pub mod keys;
pub mod outcome;
pub mod plan;
pub mod point;
pub mod policy;
pub mod progress;
pub mod sample;
pub mod size;
pub mod slope;
pub mod stitch;
pub mod time;
pub mod trend;
pub mod unit;
pub mod unit_planner;
pub mod verification;

pub use alert::{Alert, Notice, Occasion, Reason};
pub use alert_board::{Board, Judged, Thresholds, Verdict};
pub use build_inventory::{Action, ActionRef, BuildInventory, EntryKey, Output, OutputRef, Shard};
pub use cache::{CacheKind, RootKind};
pub use check::{CheckedPlan, Observed, Refusal, check};
pub use event::Event;
pub use finding::{Finding, Severity};
pub use forecast::Forecast;
pub use health::{GoVitals, RedisVitals, Score, go_score, redis_score};
pub use keys::{ExpireIf, Expiry, KeyChange, KeySelection, KeysItem};
pub use outcome::{Failed, Outcome, Removed, Skipped};
pub use plan::{EntryId, Kept, Plan, PlanItem, Target};
pub use point::Point;
pub use policy::Policy;
pub use progress::Meter;
pub use sample::{RedisSample, Sample};
pub use size::{Allocated, Logical, Size};
pub use stitch::Cleanup;
pub use time::Time;
pub use trend::Trend;
pub use unit::{Need, Unit};
pub use verification::{Bad, Check, Unverifiable, Verification};
