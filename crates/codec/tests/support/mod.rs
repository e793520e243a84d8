//! Every codec of a form, as a table.

use annals_codec::{EventCodec, Format};
use annals_core::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A form, as both contracts have it.
#[derive(Debug)]
pub(crate) struct Form<E> {
    pub(crate) codec: Box<dyn EventCodec<E>>,
    pub(crate) format: Box<dyn Format>,
}

impl<E> Form<E> {
    pub(crate) fn new<C: EventCodec<E> + Format + Copy + 'static>(codec: C) -> Self {
        Self {
            codec: Box::new(codec),
            format: Box::new(codec),
        }
    }

    /// The last word of its content type: `json`, `vnd.msgpack`.
    pub(crate) fn name(&self) -> String {
        let content_type = self.format.content_type();
        let name = content_type.as_str().strip_prefix("application/");
        name.unwrap_or_default().to_owned()
    }

    pub(crate) fn is_json(&self) -> bool {
        self.name() == "json"
    }
}

/// Every form whose feature is on.
pub(crate) fn forms<E: Event + Serialize + DeserializeOwned>() -> Vec<Form<E>> {
    let forms = vec![
        #[cfg(feature = "json")]
        Form::new(annals_codec::JsonCodec),
        #[cfg(feature = "messagepack")]
        Form::new(annals_codec::MessagePackCodec),
        #[cfg(feature = "cbor")]
        Form::new(annals_codec::CborCodec),
        #[cfg(feature = "bincode")]
        Form::new(annals_codec::BincodeCodec),
        #[cfg(feature = "postcard")]
        Form::new(annals_codec::PostcardCodec),
    ];
    // JSON is known by its name.
    assert!(
        forms
            .iter()
            .all(|form: &Form<E>| form.is_json() == (form.name() == "json"))
    );
    forms
}
