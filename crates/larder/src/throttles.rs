//! shim
use crate::context::Context;
use crate::exit::CliError;
use crate::redis_target::RedisTarget;
use larder_core::Event;
use std::collections::BTreeMap;
use std::time::Duration;
pub(crate) fn limit_user(
    _: &Context<'_>,
    _: &RedisTarget,
    _: &str,
    _: Duration,
    _: &str,
    _: &dyn Fn(Event),
) -> Result<(), CliError> {
    Ok(())
}
pub(crate) fn lift_overdue(_: &Context<'_>, _: &dyn Fn(Event)) {}
pub(crate) fn in_force(_: &Context<'_>) -> BTreeMap<String, u64> {
    BTreeMap::new()
}
