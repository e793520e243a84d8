//! Older names that are in use, or none.

use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    #[event(was = "closed")]
    Opened,
    Closed,
    #[event(was("frozen"))]
    Frozen,
    #[event(was("locked", "locked"))]
    Barred,
    #[event(was = "")]
    Nameless,
    #[event(was = 7)]
    Number,
}

fn main() {}
