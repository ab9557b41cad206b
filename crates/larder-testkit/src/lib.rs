//! Fixtures for larder's tests.
