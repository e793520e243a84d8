//! Parts against a plain model, under generated entries.

mod memtables;
mod model;
