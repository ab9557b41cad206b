//! Samples, events and state kept over time.
