//! The law of every codec: what it writes, it reads again as the same value.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
use annals_core::Event;
use annals_tests::ledger::LedgerEvent;
use annals_tests::strategies::event;
use proptest::prelude::*;

fn check(codec: &dyn EventCodec<LedgerEvent>, event: &LedgerEvent) {
    let content = codec.encode(event).unwrap();
    assert_eq!(content.event_type(), event.kind().event_type());
    assert_eq!(content.schema_version(), event.kind().schema_version());
    assert_eq!(content.content_type(), &codec.content_type());
    assert_eq!(&codec.decode_one(content.content()).unwrap(), event);
}

proptest! {
    #[test]
    fn json_reads_what_it_writes(event in event()) {
        check(&JsonCodec, &event);
    }
}
