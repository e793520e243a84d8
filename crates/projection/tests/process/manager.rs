//! What a process manager does.
