//! Held against real servers.

mod audit;
mod clean;
mod connect;
mod du;
mod expire;
mod glob;
mod link;
mod measure;
mod moving;
mod throttle;
mod undo;

use larder_core::KeySelection;
use larder_redis::{Endpoint, Selection};
use larder_testkit::RedisServer;

fn endpoint(server: &RedisServer) -> Endpoint {
    Endpoint::parse(&server.url()).unwrap()
}

fn matching(pattern: &str) -> Selection {
    KeySelection { pattern: pattern.into(), ..KeySelection::default() }.into()
}
