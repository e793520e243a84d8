//! An upcaster that takes what no payload is.

use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 2, upcast(1 => from_borrowed))]
    Opened { owner: u64 },
}

struct Opaque;

fn from_borrowed(_: Opaque) -> u64 {
    7
}

fn main() {}
