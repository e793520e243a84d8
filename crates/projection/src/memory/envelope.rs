//! What the payload of a saved model is (docs/format/read-model.md).

use annals_codec::{Format, FormatExt};
use annals_core::{Cursor, Error, ErrorKind, Snapshot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::contract::parked::ParkedEvents;

/// The form of the envelope itself.
const ENVELOPE: u8 = 1;

/// A model as it is written.
#[derive(Serialize)]
pub(super) struct Written<'a, S> {
    pub(super) cursor: &'a Cursor,
    pub(super) parked: &'a ParkedEvents,
    pub(super) state: &'a S,
}

/// A model as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Read<S> {
    pub(super) cursor: Cursor,
    pub(super) parked: ParkedEvents,
    pub(super) state: S,
}

/// The payload of a model in this form.
pub(super) fn seal<S: Serialize>(
    form: &dyn Format,
    model: &Written<'_, S>,
) -> Result<Vec<u8>, Error> {
    let model = form.to_bytes(model)?;
    let mut payload = vec![ENVELOPE];
    payload.extend(crc32c::crc32c(&model).to_le_bytes());
    payload.extend(model);
    Ok(payload)
}

/// The model that a snapshot has.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for what [`seal`] did not make; [`ErrorKind::Unsupported`] for what a later version or
/// another form made; as the form has it.
pub(super) fn open<S: DeserializeOwned>(
    form: &dyn Format,
    snapshot: &Snapshot,
) -> Result<Read<S>, Error> {
    let (envelope, rest) = snapshot.payload().split_first().ok_or_else(damaged)?;
    if *envelope != ENVELOPE {
        let message = "saved model is of a form that this version does not read, or damaged";
        return Err(Error::new(ErrorKind::Unsupported, message).with("form", envelope));
    }
    let (checksum, model) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(model) {
        return Err(damaged());
    }
    if *snapshot.content_type() != form.content_type() {
        let message = "saved model is of another form than the one that is asked for";
        let error = Error::new(ErrorKind::Unsupported, message);
        return Err(error.with("content type", snapshot.content_type()));
    }
    Ok(form.from_bytes(model)?)
}

fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "saved model is damaged")
}

#[cfg(test)]
mod tests {
    use annals_codec::JsonCodec;
    use annals_core::{
        Category, ContentType, FoldId, Position, SnapshotKey, StreamId, Timestamp, Version,
    };

    use super::*;
    use crate::contract::parked::{ParkedCause, ParkedEvent, SkippedEvent};

    const GOLDEN: &str = concat!(
        r#"{"cursor":"9","parked":{"events":[{"position":5,"stream":"order-7","version":2,"key":"order-7","#,
        r#""cause":{"failed":{"error":"no such item","attempts":3}}},{"position":6,"stream":"order-7","#,
        r#""version":3,"key":"order-7","cause":"waits"}],"skipped":[{"position":4,"stream":"order-7","#,
        r#""version":1,"error":"no order"}],"skipped_count":1},"state":[3,"tea"]}"#,
    );

    type State = (u64, String);

    fn parked() -> ParkedEvents {
        let stream = StreamId::parse("order-7").unwrap();
        let parked = |position, version, cause| ParkedEvent {
            position: Position::new(position),
            stream: stream.clone(),
            version: Version::new(version),
            key: "order-7".to_owned(),
            cause,
        };
        let failed = ParkedCause::Failed {
            error: "no such item".to_owned(),
            attempts: 3,
        };
        let skipped = SkippedEvent {
            position: Position::new(4),
            stream: stream.clone(),
            version: Version::new(1),
            error: "no order".to_owned(),
        };
        let events = vec![parked(5, 2, failed), parked(6, 3, ParkedCause::Waits)];
        ParkedEvents::from_parts(events, vec![skipped], 1)
    }

    fn sealed() -> Vec<u8> {
        let (cursor, parked) = (Cursor::at(Position::new(9)), parked());
        let written = Written {
            cursor: &cursor,
            parked: &parked,
            state: &(3_u64, "tea"),
        };
        seal(&JsonCodec, &written).unwrap()
    }

    fn opened(payload: Vec<u8>, form: ContentType) -> Result<Read<State>, Error> {
        let category = Category::from_static("projection");
        let key = SnapshotKey {
            stream: StreamId::new(&category, "orders").unwrap(),
            fold: FoldId::parse("read-model.v1").unwrap(),
        };
        let snapshot = Snapshot::new(key, Version::new(9), form, payload, Timestamp::EPOCH);
        open(&JsonCodec, &snapshot.unwrap())
    }

    #[test]
    fn the_bytes_of_a_saved_model_stay() {
        let sealed = sealed();
        let (header, model) = sealed.split_at(5);
        assert_eq!(std::str::from_utf8(model).unwrap(), GOLDEN);
        assert_eq!(header, b"\x01\x90\x4d\xf8\x72");
        let read = opened(sealed, ContentType::JSON).unwrap();
        assert_eq!(read.cursor, Cursor::at(Position::new(9)));
        assert_eq!((read.parked, read.state), (parked(), (3, "tea".to_owned())));
    }

    #[test]
    fn no_damage_goes_unseen() {
        let sealed = sealed();
        for length in 0..sealed.len() {
            opened(sealed[..length].to_vec(), ContentType::JSON).unwrap_err();
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            opened(flipped, ContentType::JSON).unwrap_err();
        }
    }

    #[test]
    fn what_is_newer_or_of_another_form_is_not_read() {
        let mut newer = sealed();
        newer[0] = 2;
        let newer = opened(newer, ContentType::JSON).unwrap_err();
        assert_eq!(newer.kind(), ErrorKind::Unsupported);
        let other = opened(sealed(), ContentType::from_static("application/cbor"));
        assert_eq!(other.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
