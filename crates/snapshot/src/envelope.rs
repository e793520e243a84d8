//! What a snapshot's payload is: which events are folded in the state, and the state (docs/format/snapshot.md).

use annals_core::{Error, ErrorKind, Version};
use bytes::Bytes;

/// The form of the envelope itself.
const ENVELOPE: u8 = 1;
/// The envelope's form, the first version, the checksum.
const HEADER_BYTES: usize = 1 + 8 + 4;

/// The payload of a snapshot of a fold that begins at this version.
pub(crate) fn seal(begins_at: Version, state: &[u8]) -> Vec<u8> {
    let begins_at = begins_at.value().to_le_bytes();
    let mut payload = Vec::with_capacity(HEADER_BYTES + state.len());
    payload.push(ENVELOPE);
    payload.extend(begins_at);
    payload.extend(checksum(begins_at, state).to_le_bytes());
    payload.extend(state);
    payload
}

/// Where the fold of a payload begins, and the bytes of its state.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for bytes that [`seal`] did not make.
pub(crate) fn open(payload: &Bytes) -> Result<(Version, &[u8]), Error> {
    let (form, rest) = payload
        .split_first()
        .ok_or_else(|| damaged("it is empty"))?;
    if *form != ENVELOPE {
        return Err(damaged("its envelope is of an unknown form"));
    }
    let split = rest
        .split_first_chunk::<8>()
        .and_then(|(begins_at, rest)| Some((begins_at, rest.split_first_chunk::<4>()?)));
    let (begins_at, (sum, state)) = split.ok_or_else(|| damaged("it is cut short"))?;
    if u32::from_le_bytes(*sum) != checksum(*begins_at, state) {
        return Err(damaged("its checksum does not match"));
    }
    Ok((Version::new(u64::from_le_bytes(*begins_at)), state))
}

fn checksum(begins_at: [u8; 8], state: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&begins_at), state)
}

fn damaged(what: &'static str) -> Error {
    let message = "snapshot is not usable; the state is folded from its events";
    Error::new(ErrorKind::Corrupt, message)
        .during("load snapshot")
        .with("because", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_an_envelope_stay() {
        let sealed = seal(Version::new(3), br#"{"balance":5}"#);
        let golden = b"\x01\x03\0\0\0\0\0\0\0\x68\x9b\x1b\x30{\"balance\":5}";
        assert_eq!(sealed, golden);
        let payload = Bytes::from(sealed);
        let opened = open(&payload).unwrap();
        assert_eq!(opened, (Version::new(3), br#"{"balance":5}"#.as_slice()));
    }

    #[test]
    fn no_damage_goes_unseen() {
        let sealed = seal(Version::FIRST, b"state");
        for length in 0..sealed.len() {
            let cut = Bytes::copy_from_slice(&sealed[..length]);
            assert_eq!(
                open(&cut).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{length}"
            );
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            open(&Bytes::from(flipped)).unwrap_err();
        }
    }
}
