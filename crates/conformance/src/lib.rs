//! The contract of an annals event store as executable cases
