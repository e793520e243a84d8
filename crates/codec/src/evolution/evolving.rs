//! A codec that reads the past.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use annals_core::{ContentRef, ContentType, Event, NewEvent};

use super::builder::EvolvingEvent;
use super::flaw::{Flaw, FlawKind};
use super::registry::Standing;
use super::step::too_many;
use super::{Evolution, EvolutionError, Plan, Schema};
use crate::kind::unknown_content_type;
use crate::{Decoded, Error, ErrorKind, EventCodec, Format};

/// How many payloads the upcasters of one recorded event may make: 65,536.
pub const UPCAST_PAYLOADS_MAX: usize = 65_536;

/// A codec that reads events of every version: a codec for the present, and upcasters for the past.
///
/// An event of the current version goes straight to the inner codec. The payload of an older one is run
/// through the upcasters, in the form that it is in, and what comes out goes to the inner codec.
///
/// The inner codec is one of a form ([`JsonCodec`](crate::JsonCodec) and its like). Put wrappers around this
/// codec, not into it, and for a store of several forms one of these for each form into a
/// [`Codecs`](crate::Codecs); they may share one [`Evolution`]. Bytes of another form than the codec's are
/// [`ErrorKind::UnknownContentType`], whatever their type and version, and whatever the policies say.
///
/// ```
/// use std::sync::Arc;
/// use annals_codec::{Decoded, EventCodec, Evolution, Evolving, JsonCodec, Value};
/// use annals_core::{ContentType, EventType, NewEvent};
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
/// #[event(category = "account")]
/// enum AccountEvent {
///     #[event(version = 2)]
///     Deposited { cents: u64 },
/// }
///
/// let evolution = Evolution::builder()
///     .upcast("deposited", 1, |mut old: Value| {
///         old.rename("amount", "cents");
///         old
///     })
///     .build()?;
/// let codec = Evolving::new(JsonCodec, evolution)?;
///
/// let deposited = EventType::from_static("deposited");
/// let old = NewEvent::new(deposited, ContentType::JSON, r#"{"amount":5}"#)?;
/// let decoded: Decoded<AccountEvent> = codec.decode_content(old.content())?;
/// assert_eq!(decoded.one()?, AccountEvent::Deposited { cents: 5 });
/// # Ok::<(), annals_core::Error>(())
/// ```
pub struct Evolving<E, C> {
    codec: C,
    evolution: Arc<Evolution<E>>,
}

impl<E: Event, C: EventCodec<E> + Format> Evolving<E, C> {
    /// This codec for the present and these upcasters for the past.
    ///
    /// # Errors
    /// [`FlawKind::NeedsFields`] when an upcaster reads or gives a [`Value`](crate::Value) and the codec's form does not
    /// describe itself.
    pub fn new(codec: C, evolution: impl Into<Arc<Evolution<E>>>) -> Result<Self, EvolutionError> {
        let evolution = evolution.into();
        let mut flaws = Vec::new();
        if !codec.describes_itself() {
            let content_type = Format::content_type(&codec);
            let steps = evolution.all_steps().filter(|step| step.uses_value);
            flaws.extend(steps.map(|step| {
                let step = step.planned();
                let text = format!(
                    "{step} reads or gives a `Value`, and {content_type} does not tell of fields; take structs of the fields"
                );
                Flaw::new(FlawKind::NeedsFields, text)
            }));
        }
        EvolutionError::check(flaws)?;
        Ok(Self { codec, evolution })
    }

    /// This codec for the present, and for the past the upcasters that the type declares
    /// (`#[event(upcast(...))]`).
    ///
    /// # Errors
    /// As for [`new`](Self::new), and as for [`EvolutionBuilder::build`](crate::EvolutionBuilder::build).
    pub fn of(codec: C) -> Result<Self, EvolutionError>
    where
        E: EvolvingEvent,
    {
        Self::new(codec, E::evolution().build()?)
    }

    /// The upcasters.
    pub fn evolution(&self) -> &Arc<Evolution<E>> {
        &self.evolution
    }

    /// What an event reads as that is not of the current version, or not of this name.
    #[cold]
    fn decode_other(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        // No policy decides on bytes of another form, whose codec may know more.
        let own = Format::content_type(&self.codec);
        if *content.content_type != own {
            return Err(unknown_content_type(content, &own));
        }
        let (schema, standing) = self
            .evolution
            .standing(content.event_type, content.schema_version);
        match standing {
            Standing::Future(known) => {
                let reason = future(content, known);
                self.evolution.on_future.decide(content, reason)
            }
            Standing::UnknownType => {
                let reason = self.evolution.unknown_type(content);
                self.evolution.on_unknown_type.decide(content, reason)
            }
            Standing::Current | Standing::Old => self.upcast(content, schema),
        }
    }

    /// Runs the steps until all that is left is of the present.
    fn upcast(&self, content: ContentRef<'_>, schema: Schema) -> Result<Decoded<E>, Error> {
        let named = |error: Error| {
            error
                .with("recorded event type", content.event_type)
                .with("recorded schema version", content.schema_version)
        };
        let mut events = Vec::new();
        let mut payloads = 0;
        let mut waiting = vec![(schema, Cow::Borrowed(content.payload))];
        while let Some((schema, payload)) = waiting.pop() {
            payloads += 1;
            if payloads > UPCAST_PAYLOADS_MAX {
                return Err(named(too_many()));
            }
            if let Some(step) = self.evolution.step(&schema) {
                let parts = step.run(&payload, &self.codec).map_err(named)?;
                let parts = parts.into_iter().rev();
                waiting.extend(parts.map(|part| (part.schema, Cow::Owned(part.payload))));
            } else {
                let present = ContentRef {
                    event_type: &schema.event_type,
                    schema_version: schema.schema_version,
                    payload: &payload,
                    ..content
                };
                events.extend(self.codec.decode_content(present).map_err(named)?);
            }
        }
        Ok(match <[E; 1]>::try_from(events) {
            Ok([event]) => Decoded::One(event),
            Err(events) => Decoded::Many(events),
        })
    }

    /// The same event in the version that readers who lag know.
    fn downcast(&self, new: &NewEvent) -> Result<Option<NewEvent>, Error> {
        let Some(lagging) = self.evolution.lagging.get(new.event_type()) else {
            return Ok(None);
        };
        let mut schema_version = new.schema_version();
        let mut payload = new.payload().to_vec();
        for step in &lagging.steps {
            let parts = step.run(&payload, &self.codec);
            let parts = parts.map_err(|error| error.of_encoding(new.event_type()))?;
            for part in parts {
                (schema_version, payload) = (part.schema.schema_version, part.payload);
            }
        }
        let older = NewEvent::new(
            lagging.event_type.clone(),
            new.content_type().clone(),
            payload,
        );
        let older = older.map_err(|error| {
            Error::new(
                ErrorKind::Encode,
                "event of an older version can't be recorded",
            )
            .caused_by(error)
        })?;
        let mut older = older
            .with_schema_version(schema_version)
            .with_tags(new.tags().clone())
            .with_metadata(new.metadata().clone());
        // Encrypted fields are bound to it.
        if let Some(id) = new.id() {
            older = older.with_id(id);
        }
        self.check_read_back(&older)?;
        Ok(Some(older))
    }

    /// Refuses what the own upcasters don't read: it would be recorded for nobody.
    fn check_read_back(&self, older: &NewEvent) -> Result<(), Error> {
        match self.decode_content(older.content()) {
            Ok(_) => Ok(()),
            Err(error) => {
                let message =
                    "event of an older version does not read back; correct its downcaster";
                Err(Error::new(ErrorKind::Encode, message)
                    .with("event type", older.event_type())
                    .with("schema version", older.schema_version())
                    .caused_by(error))
            }
        }
    }
}

impl<E, C> Evolving<E, C> {
    /// The codec for the present.
    pub fn codec(&self) -> &C {
        &self.codec
    }
}

impl<E: Event, C: EventCodec<E> + Format> EventCodec<E> for Evolving<E, C> {
    fn content_type(&self) -> ContentType {
        Format::content_type(&self.codec)
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Error> {
        let new = self.codec.encode(event)?;
        let older = self.downcast(&new)?;
        Ok(older.unwrap_or(new))
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, Error> {
        let mut kinds = E::KINDS.iter();
        let kind = kinds.find(|kind| kind.event_type() == content.event_type);
        if kind.is_some_and(|kind| kind.schema_version() == content.schema_version) {
            return self.codec.decode_content(content);
        }
        self.decode_other(content)
    }
}

impl<E: Event, C: EventCodec<E> + Format> Evolving<E, C> {
    /// What becomes of events of a schema.
    pub fn plan(&self, schema: &Schema) -> Plan {
        self.evolution.plan(schema)
    }
}

fn future(content: ContentRef<'_>, known: annals_core::SchemaVersion) -> Error {
    let message = "event follows a newer schema than the code; update the code";
    Error::new(ErrorKind::FutureVersion, message)
        .with("event type", content.event_type)
        .with("schema version", content.schema_version)
        .with("current version", known)
}

impl<E, C: Clone> Clone for Evolving<E, C> {
    fn clone(&self) -> Self {
        Self {
            codec: self.codec.clone(),
            evolution: self.evolution.clone(),
        }
    }
}

impl<E, C: fmt::Debug> fmt::Debug for Evolving<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evolving")
            .field("codec", &self.codec)
            .field("evolution", &self.evolution)
            .finish()
    }
}
