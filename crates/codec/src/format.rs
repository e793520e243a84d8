//! The forms of bytes themselves, for any value of serde.

use std::fmt;

use annals_core::ContentType;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The name that a value without a type is read under.
pub(crate) const VALUE_NAME: &str = "annals::Value";

/// A form of bytes for any value of serde: what events are written in, and what an upcaster reads old ones
/// from.
///
/// Small and object-safe: hold it as `&dyn Format` or `Arc<dyn Format>`. A caller finds typed methods in
/// [`FormatExt`]. Every codec of a form implements it, with the same limits as for events.
///
/// The law: what `write` gives, `read` reads as an equal value, if its type is read as it is written. `write`
/// refuses values without a form, but unlike a codec does not read back what it wrote, as it does not know the
/// type: `tag` and its like of serde in a form that does not describe itself pass.
pub trait Format: fmt::Debug + Send + Sync {
    /// The name under which bytes of this form are recorded.
    fn content_type(&self) -> ContentType;

    /// Whether the bytes tell of which fields and types they are, so that they can be read without the
    /// type that they were written from.
    fn describes_itself(&self) -> bool;

    /// The value as bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`](crate::ErrorKind::Encode) for a value without a form in these bytes.
    fn write(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, Error>;

    /// Hands `visit` a deserializer of the bytes, once, and checks that it took all of them.
    ///
    /// What `visit` reads it puts where its caller finds it; [`FormatExt::from_bytes`] does so.
    ///
    /// # Errors
    /// [`ErrorKind::BadBytes`](crate::ErrorKind::BadBytes) when `visit` fails, whatever for, and
    /// [`ErrorKind::TrailingBytes`](crate::ErrorKind::TrailingBytes) when bytes are left over.
    fn read(&self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;
}

/// What reads a value from the deserializer of a form.
pub type Visit<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// Conveniences over [`Format`], there for every form.
///
/// ```
/// use annals_codec::{FormatExt, JsonCodec};
///
/// let bytes = JsonCodec.to_bytes(&("Ada", 7))?;
/// assert_eq!(bytes, br#"["Ada",7]"#);
/// let read: (String, u8) = JsonCodec.from_bytes(&bytes)?;
/// assert_eq!(read, ("Ada".to_owned(), 7));
/// # Ok::<(), annals_codec::Error>(())
/// ```
pub trait FormatExt: Format {
    /// The value as bytes.
    ///
    /// # Errors
    /// As for [`Format::write`].
    fn to_bytes<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, Error> {
        self.write(&value)
    }

    /// The value that the bytes are.
    ///
    /// # Errors
    /// As for [`Format::read`].
    #[expect(
        clippy::wrong_self_convention,
        reason = "it is read from bytes by this form"
    )]
    fn from_bytes<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Error> {
        let mut found = None;
        self.read(bytes, &mut |deserializer| {
            found = Some(erased_serde::deserialize(deserializer)?);
            Ok(())
        })?;
        found.ok_or_else(|| {
            let message = "form of bytes did not hand out a deserializer; correct its `read`";
            Error::new(crate::ErrorKind::BadBytes, message)
        })
    }
}

impl<F: Format + ?Sized> FormatExt for F {}
