//! Event sourcing for Rust: an application's state as a fold over its recorded history
