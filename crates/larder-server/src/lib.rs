//! HTTP: metrics, the API with its description, events as a stream.
