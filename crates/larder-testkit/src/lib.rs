//! Fixtures for larder's tests and benchmarks: a sandbox in which the real go command runs,
//! module proxies made of folders, servers that lie, snapshots of trees, and synthetic caches of any size.
//!
//! Promises: nothing here reads or writes the caches, home folder or settings of whoever runs
//! the tests; the one thing kept between runs is the shared folder of [`cache_dir`], which holds
//! what is slow to make. What fails, fails by panicking with a sentence, as a test does.
//!
//! Leaves out: anything that larder itself does. A fixture that shared code with what it tests
//! would be wrong in the same way.

#![expect(clippy::missing_panics_doc, reason = "fixtures fail by panicking, as tests do")]
#![expect(clippy::format_push_string, reason = "plain to read, and speed is not the point here")]

mod alertmanager;
mod corpus;
pub mod fake_sumdb;
mod gomod;
mod proxy;
mod real;
mod redis;
mod redis_program;
mod redis_sentinel;
mod redis_tls;
mod rng;
mod sandbox;
pub mod server;
mod shared;
mod snapshot;
mod test_proxy;
mod trees;
mod txtar;
mod warm;

pub use alertmanager::Alertmanager;
pub use corpus::replay;
pub use gomod::{dir_hash, escape, h1, mod_hash};
pub use proxy::{FileProxy, ModuleMaker};
pub use real::{REAL_MODULES, RealModules, module_source, real_modules};
pub use redis::{Answer, Keys, RedisClient, RedisCluster, RedisServer, free_port};
pub use redis_program::RedisProgram;
pub use redis_sentinel::RedisSentinel;
pub use redis_tls::{Certificates, tls_server};
pub use sandbox::{GoSandbox, has_go};
pub use shared::{built_once, cache_dir};
pub use snapshot::{Entry, EntryKind, Snapshot, diff, snapshot, timeless};
pub use test_proxy::TestProxy;
pub use trees::{
    FakeBuildCache, FakeModCache, FakeModule, copy_tree, fake_gocache, fake_gomodcache,
    fake_projects,
};
pub use txtar::Txtar;
