//! A snapshot as the value of a row.
//!
//! The key of the row is the snapshot's stream, fold and version. Numbers are little-endian.
//!
//! | field | bytes |
//! |---|---|
//! | format, 1 | 1 |
//! | whether the payload stands in chunks (1) or here (0) | 1 |
//! | taken at, in microseconds since 1970 | 8 |
//! | payload length | 8 |
//! | number of its chunks' rows, 0 when it stands here | 8 |
//! | payload CRC32C | 4 |
//! | content type: length, then UTF-8 | 2 + n |
//! | CRC32C of the key and all before it | 4 |
//! | payload, when it stands here | |

use annals_core::limits::SNAPSHOT_BYTES_MAX;
use annals_core::{ContentType, Snapshot, SnapshotKey, Timestamp, Version};
use bytes::Bytes;

const FORMAT: u8 = 1;

/// What a row says of a snapshot; its key and these fields were found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    taken_at: Timestamp,
    content_type: ContentType,
    pub(super) payload_bytes: usize,
    payload_checksum: u32,
    /// The number under which the payload's chunks stand; `None` when it stands in the row.
    pub(super) chunks: Option<u64>,
}

impl Head {
    /// Of a snapshot whose payload stands in its row, or in the chunks of this number.
    pub(super) fn of(snapshot: &Snapshot, chunks: Option<u64>) -> Self {
        Self {
            taken_at: snapshot.taken_at(),
            content_type: snapshot.content_type().clone(),
            payload_bytes: snapshot.payload().len(),
            payload_checksum: crc32c::crc32c(snapshot.payload()),
            chunks,
        }
    }

    /// The row without the payload.
    pub(super) fn encode(&self, key: &SnapshotKey, version: Version) -> Vec<u8> {
        let mut row = vec![FORMAT, u8::from(self.chunks.is_some())];
        row.extend_from_slice(&self.taken_at.as_micros().to_le_bytes());
        row.extend_from_slice(&(self.payload_bytes as u64).to_le_bytes());
        row.extend_from_slice(&self.chunks.unwrap_or(0).to_le_bytes());
        row.extend_from_slice(&self.payload_checksum.to_le_bytes());
        let content_type = self.content_type.as_str().as_bytes();
        // A content type is a name of at most 1 KiB.
        let length = u16::try_from(content_type.len()).unwrap_or(u16::MAX);
        row.extend_from_slice(&length.to_le_bytes());
        row.extend_from_slice(content_type);
        let checksum = checksum(key, version, &row);
        row.extend_from_slice(&checksum.to_le_bytes());
        row
    }

    /// What the row under this key says, and the bytes after its head; `None` when it is damaged.
    pub(super) fn parse<'a>(
        key: &SnapshotKey,
        version: Version,
        row: &'a [u8],
    ) -> Option<(Self, &'a [u8])> {
        let (&[FORMAT, form @ (0 | 1)], rest) = row.split_first_chunk()? else {
            return None;
        };
        let (taken_at, rest) = rest.split_first_chunk()?;
        let (payload_bytes, rest) = rest.split_first_chunk()?;
        let (chunks, rest) = rest.split_first_chunk()?;
        let (payload_checksum, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (content_type, rest) =
            rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let head = row.get(..row.len() - rest.len())?;
        let (found, payload) = rest.split_first_chunk()?;
        if checksum(key, version, head) != u32::from_le_bytes(*found) {
            return None;
        }
        let content_type = std::str::from_utf8(content_type).ok()?;
        let head = Self {
            taken_at: Timestamp::from_micros(i64::from_le_bytes(*taken_at)),
            content_type: ContentType::parse(content_type).ok()?,
            payload_bytes: usize::try_from(u64::from_le_bytes(*payload_bytes)).ok()?,
            payload_checksum: u32::from_le_bytes(*payload_checksum),
            chunks: (form == 1).then_some(u64::from_le_bytes(*chunks)),
        };
        (head.payload_bytes <= SNAPSHOT_BYTES_MAX).then_some((head, payload))
    }

    /// The snapshot with this payload; `None` when the payload is not its own.
    pub(super) fn snapshot(
        self,
        key: &SnapshotKey,
        version: Version,
        payload: Vec<u8>,
    ) -> Option<Snapshot> {
        let right = payload.len() == self.payload_bytes
            && crc32c::crc32c(&payload) == self.payload_checksum;
        if !right {
            return None;
        }
        let payload = Bytes::from(payload);
        Snapshot::new(
            key.clone(),
            version,
            self.content_type,
            payload,
            self.taken_at,
        )
        .ok()
    }
}

/// Over the key as well, so that a row in a wrong place is found out. No name holds a zero byte.
fn checksum(key: &SnapshotKey, version: Version, row: &[u8]) -> u32 {
    let parts = [
        key.stream.as_str().as_bytes(),
        &[0],
        key.fold.as_str().as_bytes(),
        &[0],
        &version.value().to_le_bytes(),
        row,
    ];
    let begin = 0;
    parts.into_iter().fold(begin, crc32c::crc32c_append)
}

#[cfg(test)]
mod tests {
    use annals_core::{FoldId, StreamId};

    use super::*;

    fn key() -> SnapshotKey {
        SnapshotKey {
            stream: StreamId::parse("account-42").unwrap(),
            fold: FoldId::parse("balance.1").unwrap(),
        }
    }

    fn row() -> (Snapshot, Vec<u8>) {
        let taken_at = Timestamp::from_seconds(-12);
        let version = Version::new(9);
        let payload = "the state";
        let snapshot = Snapshot::new(key(), version, ContentType::JSON, payload, taken_at).unwrap();
        let mut row = Head::of(&snapshot, None).encode(&key(), version);
        row.extend_from_slice(payload.as_bytes());
        (snapshot, row)
    }

    fn parse(key: &SnapshotKey, version: u64, row: &[u8]) -> Option<Snapshot> {
        let version = Version::new(version);
        let (head, payload) = Head::parse(key, version, row)?;
        head.snapshot(key, version, payload.to_vec())
    }

    #[test]
    fn a_snapshot_survives_its_row() {
        let (snapshot, row) = row();
        assert_eq!(parse(&key(), 9, &row), Some(snapshot.clone()));
        let head = Head::of(&snapshot, Some(3));
        let row = head.encode(&key(), Version::new(9));
        let parsed = Head::parse(&key(), Version::new(9), &row);
        assert_eq!(parsed, Some((head, &[][..])));
    }

    #[test]
    fn every_damage_is_noticed() {
        let (_, row) = row();
        for index in 0..row.len() {
            for bit in 0..8 {
                let mut flipped = row.clone();
                flipped[index] ^= 1 << bit;
                assert_eq!(parse(&key(), 9, &flipped), None, "{index}.{bit}");
            }
            assert_eq!(parse(&key(), 9, &row[..index]), None, "cut at {index}");
        }
    }

    #[test]
    fn a_row_of_another_key_is_noticed() {
        let (_, row) = row();
        let mut other_stream = key();
        other_stream.stream = StreamId::parse("account-43").unwrap();
        let mut other_fold = key();
        other_fold.fold = FoldId::parse("balance.2").unwrap();
        assert_eq!(parse(&other_stream, 9, &row), None);
        assert_eq!(parse(&other_fold, 9, &row), None);
        assert_eq!(parse(&key(), 8, &row), None);
    }
}
