//! Events that are encrypted whole.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use annals_core::{ContentRef, ContentType, EventType, Ids, NewEvent, SchemaVersion, UuidIds};

use super::cipher::Plain;
use super::encrypted_fields::tagged;
use super::entropy::{Entropy, SystemEntropy, draw};
use super::envelope::{self, Envelope, Use};
use super::key_store::{KeyState, KeyStore, Tombstone};
use super::scope::not_authentic;
use super::subject::Subject;
use crate::{Decoded, Error, ErrorKind, EventCodec};

/// What the content type says of a payload in an envelope.
const SUFFIX: &str = "+sealed";

/// Another codec's events, the whole payload of each encrypted with the key of its subject.
///
/// For events that are personal altogether, and for types that hold no [`Personal`](super::Personal). Which
/// subject an event is about, a function tells; an event that is about none stays as it is. An encrypted one is
/// recorded under the inner codec's content type and `+sealed`, with the tag `personal:<key id>`. Its type, version
/// and tags stay readable.
///
/// An event whose subject was erased is passed over: it reads as [`Decoded::Skipped`], for the reason
/// [`ErrorKind::Erased`], or as what [`on_erased`](Self::on_erased) makes of it. Identities and retries are as for
/// [`EncryptedFields`](super::EncryptedFields).
///
/// ```
/// use std::sync::Arc;
/// use annals_codec::privacy::{EncryptedEvents, KeyStore, MemoryKeys, Subject};
/// use annals_codec::{Decoded, EventCodec, JsonCodec};
/// use annals_core::Timestamp;
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Event, Serialize, Deserialize)]
/// #[event(category = "letter")]
/// struct Written { to: u64, text: String }
///
/// let keys = Arc::new(MemoryKeys::new());
/// let codec = EncryptedEvents::new(JsonCodec, keys.clone(), |letter: &Written| {
///     Some(letter.to.to_string())
/// });
/// let named = codec.encode(&Written { to: 42, text: "Dear Ada".to_owned() })?;
/// assert_eq!(named.content_type().as_str(), "application/json+sealed");
/// assert!(matches!(codec.decode_content(named.content())?, Decoded::One(_)));
///
/// keys.erase(&Subject::new("42")?, Timestamp::EPOCH)?;
/// assert!(matches!(codec.decode_content(named.content())?, Decoded::Skipped(_)));
/// # Ok::<(), annals_codec::Error>(())
/// ```
pub struct EncryptedEvents<E, C> {
    inner: C,
    keys: Arc<dyn KeyStore>,
    ids: Arc<dyn Ids>,
    entropy: Arc<dyn Entropy>,
    subject: Arc<SubjectOf<E>>,
    on_erased: Option<Arc<Replace<E>>>,
}

/// Tells whom an event is about.
type SubjectOf<E> = dyn Fn(&E) -> Option<String> + Send + Sync;

/// Makes what is read in place of an erased event.
type Replace<E> = dyn Fn(ErasedEvent) -> Option<E> + Send + Sync;

/// What is left of an event whose subject was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasedEvent {
    /// The recorded name of its kind.
    pub event_type: EventType,
    /// The version of its schema.
    pub schema_version: SchemaVersion,
    /// The key, and when it was erased.
    pub tombstone: Tombstone,
}

impl<E, C> EncryptedEvents<E, C> {
    /// Events of this codec, with keys from here, for the subject that the function tells, if any; ids and nonces
    /// come from the machine.
    pub fn new(
        inner: C,
        keys: Arc<dyn KeyStore>,
        subject: impl Fn(&E) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            keys,
            ids: Arc::new(UuidIds::default()),
            entropy: Arc::new(SystemEntropy),
            subject: Arc::new(subject),
            on_erased: None,
        }
    }

    /// The same, with what is read in place of an event whose subject was erased; where the function gives
    /// nothing, the event is passed over.
    #[must_use]
    pub fn on_erased(
        mut self,
        make: impl Fn(ErasedEvent) -> Option<E> + Send + Sync + 'static,
    ) -> Self {
        self.on_erased = Some(Arc::new(make));
        self
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

    fn seal(&self, plain: NewEvent, subject: String) -> Result<NewEvent, Error> {
        let key = self.keys.key_for(&Subject::new(subject)?)?;
        let id = plain.id().unwrap_or_else(|| self.ids.event_id());
        let nonce = draw(&*self.entropy)?;
        let sealed = envelope::seal(Use::Payload, &key, id, &nonce, plain.payload())?;
        let content_type = sealed_type(plain.content_type())?;
        let sealed = plain.with_payload(content_type, sealed).map_err(|error| {
            let message = "event can't be recorded encrypted; make it smaller";
            Error::new(ErrorKind::Encode, message).caused_by(error)
        })?;
        Ok(tagged(sealed, &[key.id()])?.with_id(id))
    }

    /// The payload, or the tombstone of its key.
    fn open(&self, content: ContentRef<'_>) -> Result<Result<Plain, Tombstone>, Error> {
        let damaged = |message| Error::new(ErrorKind::EnvelopeDamaged, message);
        let envelope = Envelope::parse(content.payload).ok_or_else(|| {
            damaged("payload is in no envelope that the code knows; repair it, or update the code")
        })?;
        let id = content.id.ok_or_else(|| {
            damaged(
                "event has no identity, to which its payload is bound; decode the recorded event",
            )
        })?;
        match self.keys.key(envelope.key)? {
            KeyState::Erased(tombstone) => Ok(Err(tombstone)),
            KeyState::Known(key) => {
                let plain = envelope.open(Use::Payload, &key, id);
                plain.map(Ok).ok_or_else(|| not_authentic(envelope.key))
            }
        }
    }

    fn erased(&self, content: ContentRef<'_>, tombstone: Tombstone) -> Decoded<E> {
        let erased = ErasedEvent {
            event_type: content.event_type.clone(),
            schema_version: content.schema_version,
            tombstone,
        };
        let made = self.on_erased.as_ref().and_then(|make| make(erased));
        made.map_or_else(
            || {
                let message = "event was a person's who has been erased; go on without it";
                let reason = Error::new(ErrorKind::Erased, message)
                    .with("event type", content.event_type)
                    .with("key", tombstone.key)
                    .with("erased at", tombstone.erased_at);
                Decoded::Skipped(reason)
            },
            Decoded::One,
        )
    }
}

#[deny(clippy::missing_trait_methods)]
impl<E: annals_core::Event, C: EventCodec<E>> EventCodec<E> for EncryptedEvents<E, C> {
    /// Of events that are about somebody; the others have the inner codec's.
    fn content_type(&self) -> ContentType {
        let inner = self.inner.content_type();
        sealed_type(&inner).unwrap_or(inner)
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        let plain = self.inner.encode(event)?;
        match (self.subject)(event) {
            None => Ok(plain),
            Some(subject) => self
                .seal(plain, subject)
                .map_err(|error| error.with("event type", event.kind().event_type())),
        }
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        let Some(inner_type) = content.content_type.as_str().strip_suffix(SUFFIX) else {
            return self.inner.decode_content(content);
        };
        let named = |error: Error| error.with("event type", content.event_type);
        let payload = match self.open(content).map_err(named)? {
            Ok(payload) => payload,
            Err(tombstone) => return Ok(self.erased(content, tombstone)),
        };
        let content_type = match ContentType::parse(inner_type) {
            Ok(inner_type) => Cow::Owned(inner_type),
            // Left with its suffix, it is a form that no codec has.
            Err(_) => Cow::Borrowed(content.content_type),
        };
        self.inner.decode_content(ContentRef {
            content_type: &content_type,
            payload: &payload,
            ..content
        })
    }
}

impl<E, C: Clone> Clone for EncryptedEvents<E, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            keys: Arc::clone(&self.keys),
            ids: Arc::clone(&self.ids),
            entropy: Arc::clone(&self.entropy),
            subject: Arc::clone(&self.subject),
            on_erased: self.on_erased.clone(),
        }
    }
}

impl<E, C: fmt::Debug> fmt::Debug for EncryptedEvents<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedEvents")
            .field("inner", &self.inner)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

fn sealed_type(content_type: &ContentType) -> Result<ContentType, Error> {
    ContentType::parse(&format!("{content_type}{SUFFIX}")).map_err(|error| {
        let message = "content type of the inner codec is too long to be suffixed";
        Error::new(ErrorKind::Encode, message).caused_by(error)
    })
}
