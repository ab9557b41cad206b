//! What each server of a Redis says of itself, for its own metrics.

use std::sync::Arc;

use larder_redis::{Deployment, Endpoint, Link, RedisError, Scraped, scrape, scrape_all};
use larder_server::{RedisExposed, RedisFacts};

/// Of every server of a cache; of several each with its place.
pub(super) fn of_cache(cache: &str, endpoint: &Endpoint) -> Vec<RedisExposed> {
    let one = |node, facts| RedisExposed { cache: cache.to_owned(), node, facts };
    let Ok(deployment) = Deployment::discover(endpoint) else { return vec![one(None, None)] };
    let several = deployment.nodes.len() > 1;
    let all = scrape_all(&deployment).into_iter();
    all.map(|(address, scraped)| {
        one(several.then_some(address), scraped.ok().map(|told| Arc::new(facts(&told))))
    })
    .collect()
}

/// Of one server: the one that is named, or the master that a Sentinel names.
pub(super) fn of_target(endpoint: &Endpoint) -> Result<Option<RedisFacts>, RedisError> {
    let deployment = Deployment::discover(endpoint)?;
    let named = |node: &&larder_redis::Node| node.address() == endpoint.address();
    let node = deployment.nodes.iter().find(named).or_else(|| deployment.nodes.first());
    let Some(node) = node else { return Ok(None) };
    let scraped = scrape(&mut Link::open(&node.endpoint, "probe")?)?;
    Ok(Some(facts(&scraped)))
}

fn facts(scraped: &Scraped) -> RedisFacts {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    RedisFacts {
        info: scraped.info.starting("").map(own).collect(),
        databases: scraped.databases,
        slowlog_length: scraped.slowlog_length,
        slowlog_last_id: scraped.slowlog_last_id,
        slowlog_last_took: scraped.slowlog_last_took,
    }
}
