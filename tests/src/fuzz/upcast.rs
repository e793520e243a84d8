//! Hostile payloads of old events.

use std::sync::{Arc, OnceLock};

use annals_codec::{
    BincodeCodec, CborCodec, EventCodec, EventCodecExt, Evolution, Evolving, Format, JsonCodec,
    MessagePackCodec, PostcardCodec,
};
use annals_core::{EventType, NewEvent, SchemaVersion};

use crate::evolving::{
    DepositedV1, DepositedV2, Moved, OpenedV1, Paid, PurseEvent, Recorded, chained, on_values,
};

/// What may be stored: types and versions, one that is newer and one that is unknown among them.
const SCHEMAS: [(&str, u32); 8] = [
    ("opened", 1),
    ("deposited", 1),
    ("deposited", 2),
    ("deposited", 3),
    ("moved", 1),
    ("paid", 1),
    ("deposited", 4),
    ("frozen", 1),
];

/// The first byte chooses the form and the kind of upcasters, the second the schema.
pub(super) fn check(input: &[u8]) {
    let [choice, schema, payload @ ..] = input else {
        return;
    };
    let Some((event_type, version)) = SCHEMAS.get(usize::from(*schema) % SCHEMAS.len()) else {
        return;
    };
    let on_values = choice & 8 != 0;
    match choice % 5 {
        0 => run(JsonCodec, on_values, (event_type, *version), payload),
        1 => run(MessagePackCodec, on_values, (event_type, *version), payload),
        2 => run(CborCodec, on_values, (event_type, *version), payload),
        3 => run(BincodeCodec, false, (event_type, *version), payload),
        _ => run(PostcardCodec, false, (event_type, *version), payload),
    }
}

fn run<C>(codec: C, with_values: bool, (event_type, version): (&'static str, u32), payload: &[u8])
where
    C: EventCodec<PurseEvent> + Format + Copy,
{
    static CHAINED: OnceLock<Arc<Evolution<PurseEvent>>> = OnceLock::new();
    static ON_VALUES: OnceLock<Arc<Evolution<PurseEvent>>> = OnceLock::new();
    let evolution = if with_values {
        ON_VALUES.get_or_init(|| Arc::new(on_values()))
    } else {
        CHAINED.get_or_init(|| Arc::new(chained()))
    };
    let evolving = Evolving::new(codec, evolution.clone());
    assert!(evolving.is_ok(), "the upcasters fit the form");
    let Ok(evolving) = evolving else { return };
    let event_type = EventType::from_static(event_type);
    let content_type = Format::content_type(&codec);
    let Ok(content) = NewEvent::new(event_type, content_type, payload.to_vec()) else {
        return;
    };
    let content = content.with_schema_version(SchemaVersion::from_static(version));
    let Ok(decoded) = evolving.decode_content(content.content()) else {
        return;
    };
    for event in decoded {
        let again = codec
            .encode(&event)
            .and_then(|again| evolving.decode_one(again.content()));
        assert_eq!(again.ok(), Some(event));
    }
}

/// One of each old schema, in each form.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let recorded = [
        Recorded::OpenedV1(OpenedV1 {
            owner: "Ada".to_owned(),
        }),
        Recorded::DepositedV1(DepositedV1 { euros: 5 }),
        Recorded::DepositedV2(DepositedV2 { cents: 500 }),
        Recorded::Present(PurseEvent::Deposited {
            cents: 5,
            note: Some("a".to_owned()),
        }),
        Recorded::Moved(Moved {
            outward: 7,
            inward: 8,
        }),
        Recorded::Paid(Paid {
            euros: 5,
            by: "Ben".to_owned(),
        }),
    ];
    let mut seeds = Vec::new();
    for (schema, recorded) in (0_u8..).zip(&recorded) {
        let forms = [
            recorded.record(&JsonCodec),
            recorded.record(&MessagePackCodec),
            recorded.record(&CborCodec),
            recorded.record(&BincodeCodec),
            recorded.record(&PostcardCodec),
        ];
        for (choice, new) in (0_u8..).zip(forms) {
            for choice in [choice, choice + 40] {
                let mut seed = vec![choice, schema];
                seed.extend_from_slice(new.payload());
                seeds.push(seed);
            }
        }
    }
    seeds
}
