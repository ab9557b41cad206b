//! Everything that a server tells of itself in one round trip: for metrics and for history, which
//! want every figure and no opinion.

use std::time::Duration;

use redis::{Pipeline, Value};

use crate::deployment::{Deployment, Missing};
use crate::error::RedisError;
use crate::info::Info;
use crate::link::Link;
use crate::measure_denied::setting;
use crate::select::integer;

/// What one server told.
#[derive(Clone, Debug)]
pub struct Scraped {
    /// `host:port` or the socket's path.
    pub address: String,
    /// Every section of `INFO`, those that it leaves out by default too: `cmdstat_*`,
    /// `latency_percentiles_usec_*`, `errorstat_*`, modules. Empty where it is not allowed.
    pub info: Info,
    /// Entries in the slow log.
    pub slowlog_length: Option<u64>,
    /// The id of the newest of them; `None` where there is none.
    pub slowlog_last_id: Option<u64>,
    /// How long that one took.
    pub slowlog_last_took: Option<Duration>,
    /// How many databases it has; `None` where its settings may not be read.
    pub databases: Option<u16>,
    /// What could not be asked, with the grant that it takes.
    pub missing: Vec<Missing>,
}

/// Asks one server, over a connection that may be kept for the next time: one round trip, and one
/// more where the server is too old to tell everything at once.
pub fn scrape(link: &mut Link) -> Result<Scraped, RedisError> {
    let mut pipe = Pipeline::with_capacity(4);
    pipe.cmd("INFO").arg("everything");
    pipe.cmd("SLOWLOG").arg("LEN");
    pipe.cmd("SLOWLOG").arg("GET").arg(1);
    pipe.cmd("CONFIG").arg("GET").arg("databases");
    let mut answers = link.ask_all(&pipe)?.into_iter();
    let mut scraped = Scraped {
        address: link.address().to_owned(),
        info: Info::default(),
        slowlog_length: None,
        slowlog_last_id: None,
        slowlog_last_took: None,
        databases: None,
        missing: Vec::new(),
    };
    let mut next = |what: &str| match answers.next().unwrap_or(Ok(Value::Nil)) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing_right() => {
            let (what, why) = (what.to_owned(), error.to_string());
            if scraped.missing.iter().all(|missing| missing.what != what) {
                scraped.missing.push(Missing { what, why });
            }
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let info = next("INFO")?;
    let length = next("the slow log")?;
    let newest = next("the slow log")?;
    // Hosted servers have no such command, and nobody misses it.
    let databases = answers.next().and_then(Result::ok);
    if let Some(answer) = databases
        && let Ok(pairs) = link.read::<Vec<(String, String)>>(answer, "CONFIG")
    {
        let found = pairs.iter().find(|(name, _)| name == "databases");
        scraped.databases = found.and_then(|(_, number)| number.parse().ok());
    }
    if let Some(info) = info {
        let text: Vec<u8> = link.read(info, "INFO")?;
        scraped.info = Info::parse(&String::from_utf8_lossy(&text));
        if scraped.info.get("redis_version").is_none() {
            // Before 7.0 a word that is no section's name is answered with nothing.
            scraped.info = Info::ask_sections(link, Some("all"))?;
        }
        before_6_2(link, &mut scraped)?;
    }
    let whole = |value: &Value| integer(value).and_then(|number| u64::try_from(number).ok());
    scraped.slowlog_length = length.as_ref().and_then(whole);
    if let Some(Value::Array(entries)) = newest
        && let Some(Value::Array(entry)) = entries.first()
    {
        scraped.slowlog_last_id = entry.first().and_then(whole);
        scraped.slowlog_last_took = entry.get(2).and_then(whole).map(Duration::from_micros);
    }
    Ok(scraped)
}

/// Adds what `INFO` tells since 6.2 alone. Where it may not be asked, it is not told.
fn before_6_2(link: &mut Link, scraped: &mut Scraped) -> Result<(), RedisError> {
    if scraped.info.get("maxclients").is_none() {
        let most = setting(link, "maxclients", &mut scraped.missing)?;
        scraped.info.add("maxclients", most);
    }
    if scraped.info.get("server_time_usec").is_none() {
        let time: Result<(u64, u64), RedisError> = link.ask(&redis::cmd("TIME"));
        let micros = time.ok().map(|(seconds, micros)| seconds * 1_000_000 + micros);
        scraped.info.add("server_time_usec", micros);
    }
    Ok(())
}

/// Asks all masters at once, each over a connection of its own.
pub fn scrape_all(deployment: &Deployment) -> Vec<(String, Result<Scraped, RedisError>)> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = deployment
            .nodes
            .iter()
            .map(|node| {
                let ask = || scrape(&mut Link::open(&node.endpoint, "metrics")?);
                (node.address().to_owned(), scope.spawn(ask))
            })
            .collect();
        let joined = asked.into_iter().map(|(address, thread)| {
            let broke_off = RedisError::Setup {
                address: address.clone(),
                why: "asking it broke off by a defect of larder".to_owned(),
            };
            (address, thread.join().unwrap_or(Err(broke_off)))
        });
        joined.collect()
    })
}
