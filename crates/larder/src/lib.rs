//! larder's command line: arguments, settings, commands, screens and exit codes.
//!
//! Arguments are read raw, settings are resolved into types, and only then a command parses,
//! calls the engine and renders. stdout is the answer, stderr is prose. What caches are and what
//! may be removed is decided elsewhere: nothing here walks or removes a file of a cache.

pub mod args;
pub mod args_clean;
pub mod args_settings;
pub mod args_trash;
pub mod caches;
pub mod exit;
mod help;
pub mod policy;
pub mod settings;
pub mod settings_file;
pub mod settings_keys;
pub mod settings_places;
pub mod settings_value;
