//! Which fold a snapshot is of.

use annals_core::{ContentType, Error, FoldId};
use serde::de::DeserializeOwned;

use crate::schema::{self, schema_of};

/// What the application declares of a fold: the version of the code that folds, and a name where two folds
/// of one stream have the same fields.
///
/// Together with the schema of the state, which is found out from its `Deserialize`, and the form of its
/// bytes it makes the fold's fingerprint. A change of the state's fields changes the fingerprint by itself.
/// **Raise the version when `apply`, or an upcaster below it, gives another state for the same events**: no
/// program can see that in the types, but [verification](crate#is-it-right) finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    name: String,
    version: u32,
}

/// A fold's own id, and the id under which the folds of its name are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoldIds {
    pub(crate) fold: FoldId,
    pub(crate) list: FoldId,
}

impl Fold {
    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 256;

    /// The fold by this version of the code.
    pub fn version(version: u32) -> Self {
        Self {
            name: "state".to_owned(),
            version,
        }
    }

    /// The same under this name in place of `state`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](annals_core::ErrorKind::Invalid) for what is no name, or is longer than
    /// [`NAME_BYTES_MAX`](Self::NAME_BYTES_MAX).
    pub fn named(mut self, name: &str) -> Result<Self, Error> {
        FoldId::parse(name)?;
        if name.len() > Self::NAME_BYTES_MAX {
            let message = "name of a fold is over 256 bytes; shorten it";
            return Err(Error::new(annals_core::ErrorKind::Invalid, message).with("name", name));
        }
        name.clone_into(&mut self.name);
        Ok(self)
    }

    /// The ids of this fold into a state of this type, kept in this form.
    #[expect(
        clippy::expect_used,
        reason = "the name was parsed and is short, and the rest is digits and letters"
    )]
    pub(crate) fn ids<S: DeserializeOwned>(self, form: &ContentType) -> FoldIds {
        let Self { name, version } = self;
        let schema = schema::with_word(schema_of::<S>(), form.as_str());
        let id = |text: String| FoldId::parse(&text).expect("a valid name");
        FoldIds {
            fold: id(format!("{name}.v{version}.{schema:016x}")),
            list: id(format!("{name}.folds")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_name_version_form_and_schema_apart() {
        let id = |fold: Fold, form| fold.ids::<u64>(&form).fold;
        let first = id(Fold::version(1), ContentType::JSON);
        assert_eq!(first, id(Fold::version(1), ContentType::JSON));
        let named = Fold::version(1).named("balance").unwrap();
        for other in [
            id(Fold::version(2), ContentType::JSON),
            id(named, ContentType::JSON),
            id(
                Fold::version(1),
                ContentType::from_static("application/cbor"),
            ),
            Fold::version(1).ids::<u32>(&ContentType::JSON).fold,
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(first.as_str(), "state.v1.0f08b98cf2c44861");
        Fold::version(1).named(&"n".repeat(257)).unwrap_err();
        Fold::version(1).named("").unwrap_err();
    }
}
