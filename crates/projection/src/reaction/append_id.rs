//! Append ids that follow from an event.

use annals_core::{AppendId, EventId};
use sha2::{Digest, Sha256};

/// The id of the append of this number that one event causes, for whoever goes by this name.
///
/// The same for ever, so that what is appended again after a crash is known as a retry: the text `caused-` and
/// 32 hexadecimal digits, which are the first 16 bytes of the SHA-256 hash of
///
/// | bytes | what |
/// |---|---|
/// | 22 | `annals caused append 1`, in ASCII |
/// | 8 | how many bytes the name has, the most significant first, as in all numbers here |
/// | n | the name, in UTF-8 |
/// | 16 | the event id |
/// | 4 | which of the events that the recorded one reads as, from 0 |
/// | 4 | the number |
pub(crate) fn caused_by(name: &str, event: EventId, part: u32, number: u32) -> AppendId {
    let mut hash = Sha256::new();
    hash.update(b"annals caused append 1");
    hash.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(name.as_bytes());
    hash.update(event.number().to_be_bytes());
    hash.update(part.to_be_bytes());
    hash.update(number.to_be_bytes());
    in_text("caused-", &hash.finalize())
}

/// The id of an append to the record of what is parked, after this version of it.
pub(super) fn of_record(stream: &str, version: u64, content: &[u8]) -> AppendId {
    let mut hash = Sha256::new();
    hash.update(b"annals parked record 1");
    hash.update(
        u64::try_from(stream.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes(),
    );
    hash.update(stream.as_bytes());
    hash.update(version.to_be_bytes());
    hash.update(content);
    in_text("parked-", &hash.finalize())
}

#[expect(
    clippy::expect_used,
    reason = "a word of 7 letters and 32 digits are within the limit"
)]
fn in_text(word: &str, hash: &[u8]) -> AppendId {
    use std::fmt::Write as _;
    let mut text = word.to_owned();
    for byte in hash.iter().take(16) {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    AppendId::parse(&text).expect("39 plain characters")
}
