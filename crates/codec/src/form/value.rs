//! Any value of serde in a form.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _};

use super::Form;
use crate::{Error, ErrorKind, Visit};

const NOT_THIS_VALUE: &str = "bytes are not this value; repair them, or read them as another type";

/// [`Format::write`](crate::Format::write) of a form.
pub(super) fn write<F: Form>(value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, Error> {
    let plain = super::Plain::begin();
    let written = super::write::<F, _>(value).map_err(|reason| {
        if let Some(error) = plain.refused() {
            return error;
        }
        let message = format!("value has no form in {}; correct it", F::NAME);
        Error::new(ErrorKind::Encode, message).with("reason", reason)
    })?;
    Ok(written.bytes)
}

/// [`Format::read`](crate::Format::read) of a form.
pub(super) fn read<F: Form>(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
    let plain = super::Plain::begin();
    super::read::<F, _>(bytes, VisitSeed(visit)).map_err(|damage| match plain.refused() {
        Some(error) => error,
        None => damage.error(F::NAME, NOT_THIS_VALUE, None),
    })
}

/// Hands the deserializer to a function that knows no type of it.
struct VisitSeed<'a, 'v>(&'a mut Visit<'v>);

impl<'de> DeserializeSeed<'de> for VisitSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut erased = <dyn erased_serde::Deserializer<'_>>::erase(deserializer);
        (self.0)(&mut erased).map_err(D::Error::custom)
    }
}
