//! Redis as a cache: what is in it, what it costs, and how it is cleaned without being felt.
