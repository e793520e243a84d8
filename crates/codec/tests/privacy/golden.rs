//! The bytes of envelopes, which are for good.

use super::*;
use annals_codec::EventCodecExt;
use annals_codec::JsonCodec;
use annals_codec::privacy::EncryptedFields;
use annals_core::{AppendId, EventId};

#[derive(Debug)]
struct OneId;

impl Ids for OneId {
    fn event_id(&self) -> EventId {
        "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    fn append_id(&self) -> AppendId {
        AppendId::parse("a").unwrap()
    }
}

#[test]
fn envelopes_have_these_bytes() {
    let keys = Arc::new(MemoryKeys::with_entropy(Arc::new(Counting::default())));
    let codec = EncryptedFields::new(JsonCodec, keys)
        .with_ids(Arc::new(OneId))
        .with_entropy(Arc::new(Counting(AtomicU64::new(1_000))));
    let event = registered(42, "Ada");
    let named = codec.encode(&event).unwrap();
    assert_eq!(std::str::from_utf8(named.payload()).unwrap(), GOLDEN);
    let tags: Vec<&str> = named.tags().iter().map(annals_core::Tag::as_str).collect();
    assert_eq!(tags, ["customer:42", GOLDEN_TAG]);
    let decoded: CustomerEvent = codec.decode_one(named.content()).unwrap();
    assert_eq!(decoded, event);
}

const GOLDEN: &str = concat!(
    r#"{"customer_id":42,"name":""#,
    "AcZlA6E_3nwauFb1kzHPbQwIpkXjgR--XPqYNtVzEa9N7IooxmUDoT-G4FW5C8qcZBvy34qFsxVNY5hyn9I",
    r#"","born-in":""#,
    "AcZlA6E_3nwauFb1kzHPbQzdfBq4VvSTMc9tDKpI5oQjwV_9nDrYdhQ7EFhOGqIkTKfKjU8MIq7SaZeLxQ",
    r#""}"#,
);
const GOLDEN_TAG: &str = "personal:c66503a13fde7c1ab856f59331cf6d0c";
