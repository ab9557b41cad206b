//! Checks of the repository that a compiler cannot make, and the benchmarks.

fn main() {}
