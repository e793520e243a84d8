//! The dictionary of kinds as bytes beside an index: for each kind its note, after the note's length.

use annals_core::Error;

use super::error::corrupt;
use crate::record::{Kinds, Note, encode_kind};

/// The dictionary as bytes.
pub(crate) fn encode(kinds: &Kinds) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut note = Vec::new();
    for (code, kind) in kinds.iter() {
        note.clear();
        encode_kind(code, kind, &mut note);
        let length = u32::try_from(note.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&note);
    }
    bytes
}

/// The dictionary of such bytes.
pub(crate) fn decode(mut bytes: &[u8]) -> Result<Kinds, Error> {
    let mut kinds = Kinds::default();
    while !bytes.is_empty() {
        let (note, rest) = next(bytes).ok_or_else(damaged)?;
        let Ok(Note::Kind(code, kind)) = Note::parse(note) else {
            return Err(damaged());
        };
        kinds.insert(code, kind).map_err(|_| damaged())?;
        bytes = rest;
    }
    Ok(kinds)
}

fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn damaged() -> Error {
    corrupt("index file holds no dictionary of kinds; remove it, and it is built again")
}

#[cfg(test)]
mod tests {
    use annals_core::{ContentType, EventType, NewEvent};

    use super::*;
    use crate::record::EventKind;

    #[test]
    fn a_dictionary_comes_back() {
        let mut kinds = Kinds::default();
        for name in ["opened", "closed"] {
            let event = NewEvent::new(EventType::parse(name).unwrap(), ContentType::JSON, "{}");
            let code = kinds.next_code().unwrap();
            kinds.insert(code, EventKind::of(&event.unwrap())).unwrap();
        }
        let bytes = encode(&kinds);
        let decoded = decode(&bytes).unwrap();
        assert!(decoded.iter().eq(kinds.iter()));
        for end in 1..bytes.len() {
            let cut = bytes.get(..end).unwrap();
            assert!(decode(cut).is_err() || decode(cut).unwrap().iter().count() < 2);
        }
    }
}
