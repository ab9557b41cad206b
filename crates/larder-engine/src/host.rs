//! The machine's name, as plans record it.

/// The host name; `unknown` where the system does not tell one.
pub(crate) fn name() -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    if name.is_empty() { "unknown".to_owned() } else { name }
}
