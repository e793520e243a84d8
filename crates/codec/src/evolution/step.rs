//! Upcasters: what they take, what they give, and how one is run.

use std::any::TypeId;
use std::fmt;

use annals_core::{ContentType, EventType, SchemaVersion};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Schema, UPCAST_PAYLOADS_MAX, Value};
use crate::{Error, ErrorKind, Format, FormatExt};

/// A payload as its bytes, for upcasters that want nothing else.
///
/// Its form stays what it is: an upcaster gives bytes of the form that it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct RawPayload {
    content_type: ContentType,
    bytes: Vec<u8>,
}

/// What an old event is split into: payloads of other schemas, in order, each of which is then read as if it
/// had been recorded.
///
/// ```
/// use annals_codec::Events;
///
/// #[derive(serde::Serialize)]
/// struct Left { from: String }
///
/// let events = Events::new().and("left", 1, Left { from: "Rome".to_owned() });
/// assert_eq!(events.len(), 1);
/// ```
#[derive(Default)]
pub struct Events(Vec<NewPart>);

/// A part of a split, whose payload is not yet written.
struct NewPart {
    event_type: String,
    schema_version: u32,
    payload: Box<dyn erased_serde::Serialize>,
    is_value: bool,
}

/// Why an upcaster refuses an old event: what is wrong, in fixed words, as payloads may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpcastError(&'static str);

/// What an upcaster takes: any type that reads with serde (a struct of the old fields, a [`Value`]), or a
/// [`RawPayload`]. The parameter tells the two apart and is inferred.
pub trait UpcastInput<Marker>: Sized + 'static {
    /// The old payload, read.
    ///
    /// # Errors
    /// When the bytes are not of this type.
    fn read(bytes: &[u8], format: &dyn Format) -> Result<Self, Error>;
}

/// What an upcaster gives: any type that serde writes, a [`RawPayload`], or a `Result` of either with an
/// [`UpcastError`]. The parameter tells them apart and is inferred.
pub trait UpcastOutput<Marker> {
    /// Whether it is a [`Value`], which only forms that describe themselves hold as fields.
    fn is_value() -> bool;

    /// The new payload, written.
    ///
    /// # Errors
    /// When the upcaster refused the old event, or when the value has no form.
    fn write(self, format: &dyn Format) -> Result<Vec<u8>, Error>;
}

/// What an upcaster that splits gives: [`Events`], or a `Result` of it with an [`UpcastError`].
pub trait SplitOutput {
    /// The parts.
    ///
    /// # Errors
    /// When the upcaster refused the old event.
    fn into_events(self) -> Result<Events, UpcastError>;
}

/// Tells types that serde reads or writes apart.
#[derive(Debug)]
pub struct Typed;

/// Tells bytes apart.
#[derive(Debug)]
pub struct Raw;

/// Tells upcasters that may refuse apart.
#[derive(Debug)]
pub struct Fallible<Marker>(Marker);

/// A payload on its way to the present.
pub(super) struct Part {
    pub(super) schema: Schema,
    pub(super) payload: Vec<u8>,
}

type Run = dyn Fn(&[u8], &dyn Format) -> Result<Vec<Part>, Error> + Send + Sync;

/// One upcaster or downcaster.
pub(super) struct Step {
    pub(super) from: Schema,
    pub(super) to: Vec<Schema>,
    /// Whether it reads or gives a [`Value`], which not every form has.
    pub(super) uses_value: bool,
    run: Box<Run>,
}

impl RawPayload {
    /// The form of the bytes.
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same form with other bytes.
    #[must_use]
    pub fn with_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.bytes = bytes.into();
        self
    }
}

impl Events {
    /// No event: what a dropped event becomes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same and an event of this type and version; both have to be among those that the split declares.
    #[must_use]
    pub fn and(
        mut self,
        event_type: &str,
        schema_version: u32,
        payload: impl Serialize + 'static,
    ) -> Self {
        self.0.push(NewPart {
            event_type: event_type.to_owned(),
            schema_version,
            is_value: is_value(&payload),
            payload: Box::new(payload),
        });
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl UpcastError {
    /// A lower-case fragment that says what is wrong with the old event.
    pub const fn new(message: &'static str) -> Self {
        Self(message)
    }
}

impl<T: DeserializeOwned + 'static> UpcastInput<Typed> for T {
    fn read(bytes: &[u8], format: &dyn Format) -> Result<Self, Error> {
        format.from_bytes(bytes)
    }
}

impl UpcastInput<Raw> for RawPayload {
    fn read(bytes: &[u8], format: &dyn Format) -> Result<Self, Error> {
        Ok(Self {
            content_type: format.content_type(),
            bytes: bytes.to_vec(),
        })
    }
}

impl<T: Serialize + 'static> UpcastOutput<Typed> for T {
    fn is_value() -> bool {
        TypeId::of::<T>() == TypeId::of::<Value>()
    }

    fn write(self, format: &dyn Format) -> Result<Vec<u8>, Error> {
        format.to_bytes(&self)
    }
}

impl UpcastOutput<Raw> for RawPayload {
    fn is_value() -> bool {
        false
    }

    fn write(self, format: &dyn Format) -> Result<Vec<u8>, Error> {
        if self.content_type == format.content_type() {
            return Ok(self.bytes);
        }
        Err(
            UpcastError::new("an upcaster gave bytes in another form; give the form it was given")
                .into(),
        )
    }
}

impl<T: UpcastOutput<Marker>, Marker> UpcastOutput<Fallible<Marker>> for Result<T, UpcastError> {
    fn is_value() -> bool {
        T::is_value()
    }

    fn write(self, format: &dyn Format) -> Result<Vec<u8>, Error> {
        self?.write(format)
    }
}

impl SplitOutput for Events {
    fn into_events(self) -> Result<Events, UpcastError> {
        Ok(self)
    }
}

impl SplitOutput for Result<Events, UpcastError> {
    fn into_events(self) -> Result<Events, UpcastError> {
        self
    }
}

impl From<UpcastError> for Error {
    fn from(error: UpcastError) -> Self {
        Self::new(
            ErrorKind::Upcast,
            "upcaster refuses an old event; correct it, or mend what it reads",
        )
        .with("reason", error)
    }
}

impl Step {
    /// A step that gives one payload.
    pub(super) fn single<Old, New, In, Out>(
        from: Schema,
        to: Schema,
        upcast: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self
    where
        Old: UpcastInput<In>,
        New: UpcastOutput<Out>,
    {
        let schema = to.clone();
        let run = move |bytes: &[u8], format: &dyn Format| {
            let payload = upcast(Old::read(bytes, format)?).write(format)?;
            let schema = schema.clone();
            Ok(vec![Part { schema, payload }])
        };
        let mut step = Self::new::<Old>(from, vec![to], run);
        step.uses_value |= New::is_value();
        step
    }

    /// A step that gives any number of payloads, of the declared schemas.
    pub(super) fn split<Old, New, In>(
        from: Schema,
        to: Vec<Schema>,
        split: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self
    where
        Old: UpcastInput<In>,
        New: SplitOutput,
    {
        let declared = to.clone();
        let run = move |bytes: &[u8], format: &dyn Format| {
            let events = split(Old::read(bytes, format)?).into_events()?;
            if events.len() > UPCAST_PAYLOADS_MAX {
                return Err(too_many());
            }
            let part = |part: NewPart| {
                let schema = declared_as(&declared, &part.event_type, part.schema_version)?;
                if part.is_value && !format.describes_itself() {
                    return Err(UpcastError::new(
                        "a split gave a Value, and the form does not tell of fields; give a struct",
                    )
                    .into());
                }
                let payload = format.write(&*part.payload)?;
                Ok(Part { schema, payload })
            };
            events.0.into_iter().map(part).collect()
        };
        Self::new::<Old>(from, to, run)
    }

    fn new<Old: 'static>(
        from: Schema,
        to: Vec<Schema>,
        run: impl Fn(&[u8], &dyn Format) -> Result<Vec<Part>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            from,
            to,
            uses_value: TypeId::of::<Old>() == TypeId::of::<Value>(),
            run: Box::new(run),
        }
    }

    /// A step that gives nothing.
    pub(super) fn drop(from: Schema) -> Self {
        Self::new::<RawPayload>(from, Vec::new(), |_, _| Ok(Vec::new()))
    }

    /// Runs it; the error names it.
    pub(super) fn run(&self, payload: &[u8], format: &dyn Format) -> Result<Vec<Part>, Error> {
        (self.run)(payload, format).map_err(|error| error.with("upcaster", self.planned()))
    }

    pub(super) fn planned(&self) -> super::PlannedStep {
        super::PlannedStep {
            from: self.from.clone(),
            to: self.to.clone(),
        }
    }
}

fn is_value<T: 'static>(_: &T) -> bool {
    TypeId::of::<T>() == TypeId::of::<Value>()
}

/// The error of an event that becomes more than [`UPCAST_PAYLOADS_MAX`].
pub(super) fn too_many() -> Error {
    let message = "upcasters make too many events of one; split it into less";
    Error::new(ErrorKind::Upcast, message).with("UPCAST_PAYLOADS_MAX", UPCAST_PAYLOADS_MAX)
}

fn declared_as(declared: &[Schema], event_type: &str, version: u32) -> Result<Schema, Error> {
    let is_it = |schema: &&Schema| {
        schema.event_type == event_type && schema.schema_version.value() == version
    };
    declared.iter().find(is_it).cloned().ok_or_else(|| {
        UpcastError::new(
            "an upcaster gave an event that it does not declare; declare what a split gives",
        )
        .into()
    })
}

/// A schema by its name and number, both of the program's text.
pub(super) fn parse(event_type: &str, version: u32) -> Result<Schema, annals_core::Error> {
    Ok(Schema::new(
        EventType::parse(event_type)?,
        SchemaVersion::new(version)?,
    ))
}

impl fmt::Display for UpcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for UpcastError {}

impl fmt::Debug for RawPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawPayload")
            .field("content_type", &self.content_type)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemas = self
            .0
            .iter()
            .map(|part| (&part.event_type, part.schema_version));
        f.debug_list().entries(schemas).finish()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({})", self.planned())
    }
}
