//! Identities that follow from what an event is the cause of.

use annals_core::{AppendId, CausationId, CorrelationId, Error, EventId, Metadata, RecordedEvent};
use sha2::{Digest, Sha256};

/// How many bytes of the digest are kept: with the event's own id they tell apart what one event causes.
const DIGEST_BYTES: usize = 12;

/// The append id of the thing with this number that somebody of this name does about an event.
///
/// The event's id in its text form, a slash, and in hexadecimal the first 12 bytes of the SHA-256 digest of the
/// purpose, the name, and the part and the number, each of the two as 8 bytes, the most significant first; the texts
/// each end in a byte 0. It stays so for good: a process of a later version knows what an earlier one did.
#[expect(
    clippy::expect_used,
    reason = "a uuid, a slash and 24 digits are within APPEND_ID_BYTES_MAX"
)]
pub(crate) fn append_id(
    purpose: &str,
    name: &str,
    event: EventId,
    part: u64,
    number: u64,
) -> AppendId {
    let mut digest = Sha256::new();
    for text in [purpose, name] {
        digest.update(text);
        digest.update([0]);
    }
    digest.update(part.to_be_bytes());
    digest.update(number.to_be_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    let mut text = format!("{event}/");
    for byte in digest.iter().take(DIGEST_BYTES) {
        text.push_str(&format!("{byte:02x}"));
    }
    AppendId::parse(&text).expect("a plain text of 61 bytes is an append id")
}

/// The context of what an event causes: the event is the cause, and the correlation is its own, or begins with it.
pub(crate) fn caused_by(event: &RecordedEvent) -> Result<Metadata, Error> {
    let correlation = event.metadata().correlation_id();
    Metadata::EMPTY
        .with_correlation_id(correlation.unwrap_or_else(|| CorrelationId::from(event.id())))?
        .with_causation_id(CausationId::from(event.id()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_derived_id_stays_the_same_for_good() {
        let event: EventId = "018f7e70-0000-7000-8000-000000000001".parse().unwrap();
        let id = append_id("command", "fulfilment", event, 0, 1);
        assert_eq!(
            id.as_str(),
            "018f7e70-0000-7000-8000-000000000001/GOLDEN"
        );
    }

    #[test]
    fn whatever_differs_makes_another_id() {
        let events = ["018f7e70-0000-7000-8000-000000000001", "018f7e70-0000-7000-8000-000000000002"];
        let mut ids = HashSet::new();
        for event in events {
            let event: EventId = event.parse().unwrap();
            for purpose in ["command", "input"] {
                for name in ["", "a", "ab"] {
                    for part in [0, 1] {
                        for number in [0, 1, u64::MAX] {
                            assert!(ids.insert(append_id(purpose, name, event, part, number)));
                        }
                    }
                }
            }
        }
        assert_eq!(ids.len(), 2 * 2 * 3 * 2 * 3);
    }
}
