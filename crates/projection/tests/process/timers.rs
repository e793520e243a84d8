//! What timers do.
