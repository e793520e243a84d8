//! Time travel over the memory store and the embedded one.

mod as_of;
mod bisect;
mod cart;
mod diff;
mod fork;
mod laws;
mod play;
mod what_if;
