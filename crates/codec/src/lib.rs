//! Typed events to named bytes and back: the codecs of annals.
//!
//! A codec turns an [`Event`](annals_core::Event) of the application into a
//! [`NewEvent`](annals_core::NewEvent) and a recorded one back into the type. The recorded name of the
//! event's kind, the version of its schema and the form of the bytes stand beside the payload, so the
//! payload holds the fields alone and depends on no Rust name of a type or a variant.
//!
//! It is *not* a store, and where bytes go is not its business.
//!
//! ```
//! use annals_codec::{ErrorKind, EventCodec, EventCodecExt, JsonCodec};
//! use annals_core::{ContentType, EventType, NewEvent};
//! use annals_macros::Event;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
//! #[event(category = "account")]
//! enum AccountEvent {
//!     Opened { owner: String },
//!     Closed,
//! }
//!
//! let opened = AccountEvent::Opened { owner: "Ada".to_owned() };
//! let named = JsonCodec.encode(&opened)?;
//! assert_eq!(named.event_type().as_str(), "opened");
//! assert_eq!(named.payload(), r#"{"owner":"Ada"}"#);
//!
//! let decoded: AccountEvent = JsonCodec.decode_one(named.content())?;
//! assert_eq!(decoded, opened);
//!
//! let frozen = EventType::from_static("frozen");
//! let strange = NewEvent::new(frozen, ContentType::JSON, "{}").unwrap();
//! let codec: &dyn EventCodec<AccountEvent> = &JsonCodec;
//! assert_eq!(codec.decode_content(strange.content()).unwrap_err().kind(), ErrorKind::UnknownType);
//! # Ok::<(), annals_codec::Error>(())
//! ```
//!
//! # What an event is in bytes
//! See [`serialize_content`]. What lies inside a field is as serde has it, in every codec.
//!
//! | serde attribute | effect |
//! |---|---|
//! | `rename`, `rename_all`, `alias` on variants | none: the recorded name is that of `#[derive(Event)]` |
//! | `rename`, `default`, `skip`, `flatten`, `with`, ... on fields | as ever |
//! | `deny_unknown_fields` | as ever; a kind without fields passes over unknown ones all the same |
//! | `skip` on a variant | refused when an event is encoded: the event could not be read |
//! | `untagged` on a variant | refused when one of the other variants is encoded |
//! | `other` on a variant | none: an unknown event type is an error, never that variant |
//! | `tag`, `tag` and `content` on the enum | the payload repeats the kind, under serde's name; formats that describe themselves only |
//! | `untagged` on the enum | the fields alone, as without it; an event that reads as another variant is an error |
//! | `untagged` on an enum inside | the first variant that fits is read, whichever was written; refused in forms that don't describe themselves |
//! | `skip_serializing` on a field without a `default` | the event does not read; refused in forms that don't describe themselves |
//! | `transparent` on a struct around an enum | refused when an event is encoded, unless both know it by the same index |
//!
//! `flatten`, `tag` and `untagged` read through a buffer of serde, which knows neither numbers of 128 bits
//! nor maps whose keys are numbers. Where an event holds such a thing, where it uses `flatten` or leaves a field
//! out, and always in bincode and postcard, `encode` reads back what it wrote, and refuses an event that does not
//! read or that is written in other bytes again. What has no order, such as a `HashMap`, may come in another
//! one. The laws of `annals_testkit` compare the events themselves.
//!
//! # Older schemas
//! To a codec of a form an event of an older schema is an error of its own ([`ErrorKind::OldVersion`]).
//! [`Evolving`] puts upcasters around it, out of a registry that is checked when it is built ([`Evolution`]):
//!
//! | | |
//! |---|---|
//! | fields renamed, added, dropped, split, merged | [`EvolutionBuilder::upcast`], on an old struct, a [`Value`] or bytes |
//! | a type renamed | [`EvolutionBuilder::renamed`] |
//! | a type split, merged into another, dropped | [`EvolutionBuilder::split`], [`becomes`](EvolutionBuilder::becomes), [`dropped`](EvolutionBuilder::dropped) |
//! | events that are newer, or of an unknown type | [`Policy`]: stop, skip, or hand over as recorded |
//! | readers that lag | [`EvolutionBuilder::downcast`] and [`write_as`](EvolutionBuilder::write_as) |
//!
//! Fields that the code does not know are passed over in JSON, `MessagePack` and CBOR, unless the type says
//! `deny_unknown_fields`; in bincode and postcard other fields are other bytes. [`coverage`] reports what a store
//! holds, and what becomes of it.
//!
//! # Limits
//! A payload has up to 16 MiB ([`annals_core::limits`]); its
//! values nest up to 127 deep ([`DEPTH_MAX`]), and the elements of its lists and maps take up to 32 times its
//! size of memory and 64 MiB ([`ELEMENTS_MEMORY_RATIO_MAX`], [`ELEMENTS_MEMORY_BYTES_FREE`]).
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `json` | yes | [`JsonCodec`] |
//! | `bincode` | no | [`BincodeCodec`] |
//! | `cbor` | no | [`CborCodec`] |
//! | `encryption` | no | [`privacy`]: personal data under keys that can be erased |
//! | `messagepack` | no | [`MessagePackCodec`] |
//! | `postcard` | no | [`PostcardCodec`] |
//! | `zstd` | no | [`Compressed`] |

mod codecs;
#[cfg(feature = "zstd")]
mod compressed;
pub mod coverage;
mod decoded;
mod error;
mod event_codec;
mod event_codec_ext;
mod evolution;
#[cfg(any(
    feature = "bincode",
    feature = "cbor",
    feature = "json",
    feature = "messagepack",
    feature = "postcard"
))]
mod form;
mod format;
mod kind;
mod limits;
#[cfg(feature = "encryption")]
pub mod privacy;
mod variant;

pub use codecs::Codecs;
#[cfg(feature = "zstd")]
pub use compressed::{
    COMPRESSED_LEVEL, COMPRESSED_RATIO_MAX, COMPRESSED_THRESHOLD_BYTES, Compressed, Dictionary,
    DictionaryId,
};
pub use decoded::{Decoded, DecodedIter};
pub use error::{Error, ErrorKind};
pub use event_codec::EventCodec;
pub use event_codec_ext::EventCodecExt;
pub use evolution::{
    Events, Evolution, EvolutionBuilder, EvolutionError, Evolving, EvolvingEvent, Fallible, Flaw,
    FlawKind, Plan, PlannedStep, Policy, Raw, RawPayload, Schema, SplitOutput, Typed,
    UPCAST_PAYLOADS_MAX, UpcastError, UpcastInput, UpcastOutput, VALUE_NODES_MAX, Value,
};
#[cfg(feature = "bincode")]
pub use form::BincodeCodec;
#[cfg(feature = "cbor")]
pub use form::CborCodec;
#[cfg(feature = "json")]
pub use form::JsonCodec;
#[cfg(feature = "messagepack")]
pub use form::MessagePackCodec;
#[cfg(feature = "postcard")]
pub use form::PostcardCodec;
pub use format::{Format, FormatExt, Visit};
pub use kind::{label, recognize};
pub use limits::{
    DEPTH_MAX, ELEMENTS_MEMORY_BYTES_FREE, ELEMENTS_MEMORY_RATIO_MAX, ELEMENTS_WITHOUT_BYTES_MAX,
};
pub use variant::{ContentError, TypeFlaw, deserialize_content, serialize_content};
