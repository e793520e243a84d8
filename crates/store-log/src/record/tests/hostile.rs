//! Bytes that nobody wrote give an error or another event, never a panic.
