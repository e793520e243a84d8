//! A step that is missing, doubled or too high, and what is none.

use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 4, upcast(1 => same, 3 => same))]
    Missing,
    #[event(version = 3, upcast(1 => same, 1 => same, 2 => same))]
    Doubled,
    #[event(version = 2, upcast(1 => same, 2 => same))]
    TooHigh,
    #[event(upcast(0 => same))]
    Nought,
    #[event(version = 2, upcast = "same")]
    NoSteps,
    #[event(version = 2, upcast(1, same))]
    NoArrow,
    #[event(upcast())]
    Empty,
}

fn same(old: u64) -> u64 {
    old
}

fn main() {}
