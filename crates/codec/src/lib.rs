//! Typed events to named bytes and back, for annals
