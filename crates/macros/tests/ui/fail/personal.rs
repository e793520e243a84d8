//! A personal field whose subject is none, and one that would be written in the clear.

use annals_codec::privacy::Personal;
use annals_macros::Event;

#[derive(Event)]
#[event(category = "customer")]
enum CustomerEvent {
    Misspelt {
        customer_id: u64,
        #[event(personal(subject = "custmer_id"))]
        name: Personal<String>,
    },
    OfItself {
        #[event(personal(subject = "name"))]
        name: Personal<String>,
    },
    OfAPersonalOne {
        customer_id: u64,
        #[event(personal(subject = "mail"))]
        name: Personal<String>,
        #[event(personal(subject = "customer_id"))]
        mail: Personal<String>,
    },
    Tagged {
        customer_id: u64,
        #[event(tag, personal(subject = "customer_id"))]
        name: Personal<String>,
    },
    Beyond(u64, #[event(personal(subject = "2"))] Personal<String>),
    NoSubject(u64, #[event(personal)] Personal<String>),
    OtherWord(u64, #[event(personal(of = "0"))] Personal<String>),
    #[event(personal(subject = "0"))]
    Misplaced(u64),
}

fn main() {}
