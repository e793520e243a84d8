//! A personal field of a type that is not encrypted, and a subject that is no text.

use annals_codec::privacy::Personal;
use annals_macros::Event;

struct Opaque;

#[derive(Event)]
#[event(category = "customer")]
enum CustomerEvent {
    InTheClear {
        customer_id: u64,
        #[event(personal(subject = "customer_id"))]
        name: String,
    },
    Unnamed {
        customer_id: Opaque,
        #[event(personal(subject = "customer_id"))]
        name: Personal<String>,
    },
}

fn main() {}
