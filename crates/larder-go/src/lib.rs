//! The Go caches: where they are, what is in them, what a project needs of them.
//!
//! Every rule here is the go command's own, with the file of its source named at the rule. The
//! go command itself is never run: larder works where none is installed.

pub mod build_age;
pub mod build_archive;
pub mod build_binary;
pub mod build_clean;
pub mod build_entry;
pub mod build_kind;
pub mod build_layout;
pub mod build_names;
pub mod build_origin;
pub mod build_orphans;
pub mod build_owner;
mod build_peek;
pub mod build_remove;
pub mod build_rows;
pub mod build_scan;
pub mod build_totals;
pub mod extract;
pub mod folder_hash;
pub mod fuzz;
pub mod go_sum;
pub mod gomod;
pub mod gomod_lexer;
mod goroot;
pub mod gowork;
pub mod h1;
pub mod leftovers;
pub mod locate;
pub mod mod_clean;
pub mod mod_layout;
pub mod mod_list;
pub mod mod_names;
pub mod mod_remove;
mod mod_remove_path;
pub mod mod_scan;
mod mod_times;
pub mod mod_units;
pub mod mod_verify;
mod mod_verify_version;
mod mod_walk;
mod modgraph;
mod modstore;
pub mod module_path;
pub mod module_zip;
pub mod needs;
mod project_files;
mod root_state;
pub mod running;
pub mod semver;
pub mod toolchain;
pub mod trim;
pub mod vcs;
mod vendoring;
pub mod zip_rules;
