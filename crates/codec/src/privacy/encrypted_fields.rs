//! Events whose personal fields are encrypted.

use std::sync::Arc;

use annals_core::{ContentRef, ContentType, Ids, NewEvent, Tag, Tags, UuidIds};

use super::entropy::{Entropy, SystemEntropy};
use super::fields::{PersonalEvent, PersonalFields};
use super::key::KeyId;
use super::key_store::KeyStore;
use super::scope;
use crate::{Decoded, Error, ErrorKind, EventCodec};

/// Another codec's events, their [`Personal`](super::Personal) fields encrypted, each with the key of its subject.
///
/// Put it around all other codecs: around `Compressed`, around [`Evolving`](crate::Evolving), around
/// [`Codecs`](crate::Codecs). The content type stays the inner codec's, as the form does: where a value stood,
/// there is an envelope, as base64 text in JSON and as bytes in the binary forms. Upcasters hand envelopes on as
/// they are, or read them typed, as a [`Personal`](super::Personal).
///
/// An event with personal fields gets its identity here, as its envelopes are bound to it and do not open in
/// another event: give it no other id afterwards. For each key it gets a tag, `personal:<key id>`, by which an
/// [`Eraser`](super::Eraser) finds it.
///
/// # Retries
/// Encoding the same event twice gives different bytes. So a retry sends the append that it sent before, as
/// repositories do; a process that has lost it and would encode again asks the store for the
/// [receipt](annals_core::EventStore::receipt) first, as repositories do for commands with a fixed append id.
/// Encoded again under the same append id, an append that was recorded is refused, never recorded twice.
///
/// ```
/// use std::sync::Arc;
/// use annals_codec::privacy::{EncryptedFields, KeyStore, MemoryKeys, Personal, Subject};
/// use annals_codec::{EventCodec, EventCodecExt, JsonCodec};
/// use annals_core::Timestamp;
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
/// #[event(category = "customer")]
/// struct Registered {
///     customer_id: u64,
///     #[event(personal(subject = "customer_id"))]
///     name: Personal<String>,
/// }
///
/// let keys = Arc::new(MemoryKeys::new());
/// let codec = EncryptedFields::new(JsonCodec, keys.clone());
/// let ada = Registered { customer_id: 42, name: Personal::Known("Ada".to_owned()) };
/// let named = codec.encode(&ada)?;
/// let decoded: Registered = codec.decode_one(named.content())?;
/// assert_eq!(decoded, ada);
///
/// keys.erase(&Subject::new("42")?, Timestamp::EPOCH)?;
/// let erased: Registered = codec.decode_one(named.content())?;
/// assert_eq!(erased, Registered { customer_id: 42, name: Personal::Erased });
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncryptedFields<C> {
    inner: C,
    keys: Arc<dyn KeyStore>,
    ids: Arc<dyn Ids>,
    entropy: Arc<dyn Entropy>,
}

impl<C> EncryptedFields<C> {
    /// Events of this codec, with keys from here; ids and nonces come from the machine.
    pub fn new(inner: C, keys: Arc<dyn KeyStore>) -> Self {
        Self {
            inner,
            keys,
            ids: Arc::new(UuidIds::default()),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// The same with the identities of events from here.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// The same with nonces from here.
    #[must_use]
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }
}

#[deny(clippy::missing_trait_methods)]
impl<E: PersonalEvent, C: EventCodec<E>> EventCodec<E> for EncryptedFields<C> {
    fn content_type(&self) -> ContentType {
        self.inner.content_type()
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        let named = |error: Error| error.with("event type", event.kind().event_type());
        let mut fields = PersonalFields::new();
        event.personal_fields(&mut fields).map_err(named)?;
        let id = self.ids.event_id();
        let keys = Arc::clone(&self.keys);
        let guard = scope::write(keys, Arc::clone(&self.entropy), id, fields);
        let encoded = self.inner.encode(event);
        let outcome = guard.end();
        if let Some(error) = outcome.error {
            return Err(named(error));
        }
        let encoded = encoded?;
        if outcome.keys.is_empty() {
            return Ok(encoded);
        }
        Ok(tagged(encoded, &outcome.keys)?.with_id(id))
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        let guard = scope::read(Arc::clone(&self.keys), content.id);
        let decoded = self.inner.decode_content(content);
        match guard.end().error {
            Some(error) => Err(error.with("event type", content.event_type)),
            None => decoded,
        }
    }
}

/// The tag of events that hold data under this key.
pub(super) fn tag_of(key: KeyId) -> Result<Tag, Error> {
    Tag::from_parts("personal", key)
        .map_err(|error| Error::new(ErrorKind::Encode, "key id makes no tag").caused_by(error))
}

/// The event with the tags of these keys too.
pub(super) fn tagged(event: NewEvent, keys: &[KeyId]) -> Result<NewEvent, Error> {
    let of_keys: Result<Vec<Tag>, Error> = keys.iter().map(|key| tag_of(*key)).collect();
    let tags = Tags::new(event.tags().iter().cloned().chain(of_keys?)).map_err(|error| {
        let message = "event can't be tagged with its keys; let it be about fewer people";
        Error::new(ErrorKind::Encode, message)
            .with("event type", event.event_type())
            .caused_by(error)
    })?;
    Ok(event.with_tags(tags))
}
