//! The law of every codec: what it writes, it reads again as the same value.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::sync::OnceLock;

use annals_codec::{
    BincodeCodec, CborCodec, Codecs, Compressed, EventCodec, EventCodecExt, JsonCodec,
    MessagePackCodec, PostcardCodec,
};
use annals_core::Event;
use annals_tests::ledger::LedgerEvent;
use annals_tests::strategies::event;
use proptest::prelude::*;

fn check(codec: &dyn EventCodec<LedgerEvent>, event: &LedgerEvent) {
    let content = codec.encode(event).unwrap();
    assert_eq!(content.event_type(), event.kind().event_type());
    assert_eq!(content.schema_version(), event.kind().schema_version());
    let content_type = codec.content_type();
    let form = content.content_type().as_str();
    assert!(content_type.as_str().starts_with(form), "{form}");
    assert_eq!(&codec.decode_one(content.content()).unwrap(), event);
}

type Codec = Box<dyn EventCodec<LedgerEvent>>;

/// Every codec, and every wrapper around every codec; made once, as contexts of zstd are dear.
fn codecs() -> &'static [Codec] {
    fn with_wrappers<C: EventCodec<LedgerEvent> + Copy + 'static>(codec: C) -> [Codec; 4] {
        let codecs = Codecs::writing(codec).reading(JsonCodec);
        [
            Box::new(codec),
            Box::new(codecs.clone()),
            Box::new(Compressed::new(codec).threshold_bytes(0)),
            Box::new(Compressed::new(codecs).threshold_bytes(0)),
        ]
    }
    static CODECS: OnceLock<Vec<Codec>> = OnceLock::new();
    CODECS.get_or_init(|| {
        let forms = [
            with_wrappers(JsonCodec),
            with_wrappers(MessagePackCodec),
            with_wrappers(CborCodec),
            with_wrappers(BincodeCodec),
            with_wrappers(PostcardCodec),
        ];
        forms.into_iter().flatten().collect()
    })
}

proptest! {
    #[test]
    fn a_codec_reads_what_it_writes(event in event()) {
        for codec in codecs() {
            check(codec, &event);
        }
    }
}
