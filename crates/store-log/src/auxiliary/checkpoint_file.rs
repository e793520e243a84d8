//! The bytes of the checkpoint file.
//!
//! Numbers are little-endian; a text is its length in bytes (u32), then UTF-8.
//!
//! | field | bytes |
//! |---|---|
//! | magic `ANNALSCP` | 8 |
//! | format, 1 | 4 |
//! | identity of the log | 16 |
//! | count of checkpoints | 4 |
//! | each, in the order of their names: name (text), revision (8), whether there is a cursor (1), cursor (text, empty when there is none) | |
//! | CRC32C of all before it | 4 |

use std::collections::BTreeMap;

use annals_core::{CheckpointName, Cursor};

use annals_log::LogId;

const MAGIC: &[u8; 8] = b"ANNALSCP";
/// The newest format that is read, and the one that is written.
pub(super) const FORMAT: u32 = 1;

/// The checkpoints of a store, by name.
pub(super) type Saved = BTreeMap<CheckpointName, SavedCheckpoint>;

/// What is kept of a name: its newest revision, for ever, and where its reader stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SavedCheckpoint {
    pub(super) revision: u64,
    pub(super) cursor: Option<Cursor>,
}

/// Why bytes are no checkpoint file of this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadFile {
    /// What is wrong with them.
    Damaged(&'static str),
    OtherStore,
    /// Written by a later version, in this format.
    Newer(u32),
}

/// The file that holds these.
pub(super) fn encode(log: LogId, saved: &Saved) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&log.to_bytes());
    put_count(saved.len(), &mut bytes);
    for (name, SavedCheckpoint { revision, cursor }) in saved {
        put_text(name.as_str(), &mut bytes);
        bytes.extend_from_slice(&revision.to_le_bytes());
        bytes.push(u8::from(cursor.is_some()));
        let cursor = cursor.as_ref().map(ToString::to_string);
        put_text(&cursor.unwrap_or_default(), &mut bytes);
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What the file holds, once every byte of it is found right.
pub(super) fn parse(log: LogId, bytes: &[u8]) -> Result<Saved, BadFile> {
    let mut file = Fields(bytes);
    if file.array() != Some(*MAGIC) {
        return Err(BadFile::Damaged("it begins as no checkpoint file does"));
    }
    let cut = BadFile::Damaged("it is cut short");
    let format = file.array().map(u32::from_le_bytes).ok_or(cut)?;
    let (content, checksum) = bytes.split_last_chunk().ok_or(cut)?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return Err(BadFile::Damaged("its checksum is wrong"));
    }
    // A later format keeps magic, format and checksum where they are.
    if format > FORMAT {
        return Err(BadFile::Newer(format));
    }
    if file.array() != Some(log.to_bytes()) {
        return Err(BadFile::OtherStore);
    }
    let rows = rows(file).ok_or(BadFile::Damaged("its checkpoints don't parse"))?;
    Ok(rows)
}

/// The rest of the file after its head.
fn rows(mut file: Fields<'_>) -> Option<Saved> {
    let count = u32::from_le_bytes(file.array()?);
    let mut saved = Saved::new();
    for _ in 0..count {
        let name = CheckpointName::parse(file.text()?).ok()?;
        let revision = u64::from_le_bytes(file.array()?);
        let [there] = file.array()?;
        let cursor = match (there, file.text()?) {
            (0, "") => None,
            (1, text) => Some(text.parse().ok()?),
            _ => return None,
        };
        saved.insert(name, SavedCheckpoint { revision, cursor });
    }
    let only_the_checksum = file.0.len() == size_of::<u32>();
    (only_the_checksum && saved.len() == usize::try_from(count).ok()?).then_some(saved)
}

/// What is left to read of the file.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u32::from_le_bytes(self.array()?);
        let (text, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

fn put_text(text: &str, bytes: &mut Vec<u8>) {
    put_count(text.len(), bytes);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_count(count: usize, bytes: &mut Vec<u8>) {
    // Names and files have limits far below; a count that were cut would be refused when read.
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&count.to_le_bytes());
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing {
    use super::{CheckpointName, LogId, SavedCheckpoint, encode, parse};

    /// What parses is written again with the same checkpoints.
    pub(crate) fn check_checkpoint_file(log: LogId, bytes: &[u8]) {
        if let Ok(saved) = parse(log, bytes) {
            assert_eq!(parse(log, &encode(log, &saved)), Ok(saved));
        }
    }

    /// A file of a reader that goes on and of one that was forgotten.
    pub(crate) fn sample_checkpoint_file(log: LogId) -> Vec<u8> {
        let rows = [("balances", 3, "17".parse().ok()), ("gone", 4, None)];
        let saved = rows.map(|(name, revision, cursor)| {
            let name = CheckpointName::from_static(name);
            (name, SavedCheckpoint { revision, cursor })
        });
        encode(log, &saved.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId::from_bytes([7; 16]);

    fn sample() -> Saved {
        let rows = [
            ("balances", 3, Some("17")),
            ("gone", u64::MAX, None),
            ("partitioned \u{e9}", 1, Some("1.2.3")),
        ];
        let saved = rows.map(|(name, revision, cursor)| {
            let cursor = cursor.map(|text| text.parse().unwrap());
            let name = CheckpointName::parse(name).unwrap();
            (name, SavedCheckpoint { revision, cursor })
        });
        saved.into_iter().collect()
    }

    #[test]
    fn checkpoints_survive_their_file() {
        for saved in [Saved::new(), sample()] {
            assert_eq!(parse(LOG, &encode(LOG, &saved)), Ok(saved));
        }
    }

    #[test]
    fn every_damage_is_noticed() {
        let bytes = encode(LOG, &sample());
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[index] ^= 1 << bit;
                let found = parse(LOG, &flipped);
                assert!(matches!(found, Err(BadFile::Damaged(_))), "{index}.{bit}");
            }
            let cut = parse(LOG, &bytes[..index]);
            assert!(matches!(cut, Err(BadFile::Damaged(_))), "cut at {index}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(parse(LOG, &longer).is_err());
    }

    #[test]
    fn right_bytes_may_still_be_the_wrong_file() {
        let sealed = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 4);
            let checksum = crc32c::crc32c(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            bytes
        };
        let mut newer = encode(LOG, &sample());
        newer[8] = 2;
        let mut more = encode(LOG, &sample());
        more[28] += 1;
        let mut fewer = encode(LOG, &sample());
        fewer[28] -= 1;
        for (bytes, expected) in [
            (sealed(newer), BadFile::Newer(2)),
            (
                encode(LogId::from_bytes([8; 16]), &sample()),
                BadFile::OtherStore,
            ),
            (
                sealed(more),
                BadFile::Damaged("its checkpoints don't parse"),
            ),
            (
                sealed(fewer),
                BadFile::Damaged("its checkpoints don't parse"),
            ),
        ] {
            assert_eq!(parse(LOG, &bytes), Err(expected));
        }
    }
}
