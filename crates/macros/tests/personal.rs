//! What `personal` declares, run.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use annals_codec::privacy::{Personal, PersonalEvent, PersonalFields};
use annals_macros::Event;

#[derive(Event)]
#[event(category = "customer")]
enum CustomerEvent {
    Registered {
        customer_id: u64,
        #[event(personal(subject = "customer_id"))]
        name: Personal<String>,
        #[event(personal(subject = "type"))]
        mails: Vec<Option<Personal<String>>>,
        r#type: String,
    },
    Called(
        #[event(personal(subject = "1"))] Personal<u8>,
        #[event(tag = "customer")] u64,
        #[event(personal(subject = "1"))] Box<Personal<u8>>,
    ),
    Left,
}

#[derive(Event)]
#[event(category = "note", version = 2, upcast(1 => |old: u8| old))]
struct Noted<T> {
    #[event(personal(subject = "of"))]
    text: Personal<T>,
    of: &'static str,
}

fn fields(event: &impl PersonalEvent) -> usize {
    let mut fields = PersonalFields::new();
    event.personal_fields(&mut fields).unwrap();
    fields.len()
}

#[test]
fn every_personal_field_is_told() {
    let registered = CustomerEvent::Registered {
        customer_id: 1,
        name: Personal::Erased,
        mails: Vec::new(),
        r#type: "t".to_owned(),
    };
    let called = CustomerEvent::Called(Personal::Known(1), 2, Box::new(Personal::Erased));
    let counts = [&registered, &called, &CustomerEvent::Left].map(fields);
    assert_eq!(counts, [2, 2, 0]);
    assert_eq!(
        fields(&Noted {
            text: Personal::Known(1_u8),
            of: "a"
        }),
        1
    );
}

#[test]
fn a_subject_without_text_is_refused() {
    let noted = Noted {
        text: Personal::Known(1_u8),
        of: "",
    };
    let refused = noted.personal_fields(&mut PersonalFields::new());
    assert_eq!(
        refused.unwrap_err().kind(),
        annals_codec::ErrorKind::BadSubject
    );
}
