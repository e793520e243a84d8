//! Aggregates, deciders and repositories over any annals event store
