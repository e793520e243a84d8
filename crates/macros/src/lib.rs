//! `#[derive(Event)]`: the recorded names, schema versions and tags of an application's events,
//! stated beside their types.
//!
//! A stored event outlives the code that wrote it, so what is recorded of its type is a contract:
//! the category of its stream, its name, the version of its schema. The derive makes that contract
//! from attributes and identifiers, never from Rust paths, and checks it while the application is
//! built.
//!
//! It is *not* a codec: it says what an event is called, not how its fields become bytes. It does
//! not read the attributes of serde, and needs neither serde nor any trait on the fields but
//! `Display` on a tag.
//!
//! ```
//! use annals_core::Event as _;
//! use annals_macros::Event;
//!
//! #[derive(Event)]
//! #[event(category = "account")]
//! enum AccountEvent {
//!     Opened {
//!         #[event(tag = "customer")]
//!         owner: u64,
//!     },
//!     #[event(version = 2)]
//!     MoneyDeposited { cents: u64 },
//!     #[event(name = "account-closed")]
//!     Closed,
//! }
//!
//! assert_eq!(AccountEvent::CATEGORY.as_str(), "account");
//! let names: Vec<_> = AccountEvent::KINDS.iter().map(|kind| kind.event_type().as_str()).collect();
//! assert_eq!(names, ["opened", "money-deposited", "account-closed"]);
//!
//! let opened = AccountEvent::Opened { owner: 42 };
//! assert_eq!(opened.kind_index(), 0);
//! assert_eq!(opened.tags()?.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), ["customer:42"]);
//! # let _ = (AccountEvent::MoneyDeposited { cents: 5 }, AccountEvent::Closed);
//! # Ok::<(), annals_core::Error>(())
//! ```
//!
//! An application that depends on the facade `annals` has the derive from there.

mod attributes;
mod case;
mod core_path;
mod errors;
mod expand;
mod model;
mod name;
mod suggest;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

use crate::model::Model;

/// Implements `annals_core::Event` for an enum, whose variants are kinds of event, or for a struct,
/// which is one kind.
///
/// # The recorded name is the contract
///
/// The name is made from the identifier of the variant or struct. **Renaming a variant therefore
/// changes the name that new events are recorded under, and events under the old name are no longer
/// recognised**, unless `#[event(name = "...")]` states the name. Moving a type to another module,
/// renaming the enum, or reordering variants changes nothing that is recorded.
///
/// # Attributes
///
/// | place | attribute | meaning |
/// |---|---|---|
/// | enum, struct | `category = "account"` | the category of the streams that hold the events; required, no `-` |
/// | enum, struct | `rename_all = "PascalCase"` | the spelling of names that are not stated; `"kebab-case"` by default |
/// | enum, struct | `crate = "path::to::annals_core"` | where the core crate is, when it is under no name of its own |
/// | enum, struct | `codec = "path::to::annals_codec"` | where the codec crate is, alike; needed for upcasters only |
/// | variant, struct | `name = "money-deposited"` | the recorded name |
/// | variant, struct | `version = 2` | the version of the schema that is written now, from 1; 1 by default |
/// | variant, struct | `upcast(1 => first_to_second)` | what makes older versions into the next one, for each of them |
/// | variant, struct | `was = "old-name"`, `was("older-name", "old-name")` | names under which it was recorded before |
/// | variant, struct | `commutes_with = "deposited"`, `commutes_with("deposited", "withdrawn")` | kinds of this type whose events may change places with its own, by recorded name |
/// | field | `tag` | the event has the tag `field_name:value` |
/// | field | `personal(subject = "customer_id")` | the field is encrypted for whoever the other field names |
/// | field | `tag = "account"` | the event has the tag `account:value`; a field without a name needs this form |
///
/// Categories, names and keys of tags are 1 to 1024 bytes without control characters, and a key has
/// no `:`. No two variants share a name.
///
/// # Names
///
/// Words begin at a capital after a small letter (`MoneyDeposited`), at the last capital of an
/// acronym when a small letter follows it (`HTTPRequest`), and after `_`. A digit belongs to the
/// word that it stands in, and moves no boundary.
///
/// | identifier | `kebab-case` | `PascalCase` |
/// |---|---|---|
/// | `MoneyDeposited` | `money-deposited` | `MoneyDeposited` |
/// | `HTTPRequest` | `http-request` | `HTTPRequest` |
/// | `Sha256Computed` | `sha256-computed` | `Sha256Computed` |
/// | `B2BSale` | `b2b-sale` | `B2BSale` |
/// | `money_deposited` | `money-deposited` | `MoneyDeposited` |
///
/// # Tags
///
/// The value of a tag is the field's `Display`. A field written as `Option<T>` gives a tag when it
/// is `Some`; an alias of `Option` is not seen. A field may not hold several values. Two fields may
/// share a key, as both accounts of a transfer do. What only a running program can tell (a value
/// with a control character, a tag over 1024 bytes, more than 64 tags) is an error of
/// `Event::tags`, and so of the append.
///
/// # Older versions
///
/// `upcast` and `was` also implement `annals_codec::EvolvingEvent`, whose `evolution()` is the registry of
/// upcasters in the making; a type without either has no such implementation. An upcaster is a function or a
/// closure as `EvolutionBuilder::upcast` takes them. A variant states one for each version below its own, or
/// none at all: then they are stated in code. Splits, drops and types that are gone are always stated in code.
///
/// ```
/// use annals_codec::{EvolvingEvent, UpcastError, Value};
/// use annals_macros::Event;
///
/// #[derive(Event)]
/// #[event(category = "account")]
/// enum AccountEvent {
///     #[event(version = 2, upcast(1 => in_cents), was = "deposited")]
///     MoneyDeposited { cents: u64 },
/// }
///
/// fn in_cents(mut old: Value) -> Result<Value, UpcastError> {
///     let euros = old.take_integer("euros")?;
///     old.insert("cents", euros * 100);
///     Ok(old)
/// }
///
/// AccountEvent::evolution().dropped("account-viewed", 1).build()?;
/// # let _ = AccountEvent::MoneyDeposited { cents: 5 };
/// # Ok::<(), annals_codec::EvolutionError>(())
/// ```
///
/// # Personal data
///
/// `personal` also implements `annals_codec::privacy::PersonalEvent` (feature `encryption`), by which the codec
/// `EncryptedFields` knows whose key a field is encrypted with. The field is a `Personal<T>`, or an option or a
/// collection of such; the subject is the `Display` of another field of the same variant or struct, which stays
/// readable. In a tuple, the subject is named by its place, as `"0"`.
///
/// # Commuting events
///
/// `commutes_with` also implements `annals_core::CommutingEvent`; a pair is stated once and holds in both
/// orders. A kind may commute with itself. What is stated is not proven here: the law
/// `commuting_pairs_commute` of `annals-testkit` holds the aggregate to it.
///
/// ```
/// use annals_core::CommutingEvent as _;
/// use annals_macros::Event;
///
/// #[derive(Event)]
/// #[event(category = "account")]
/// enum AccountEvent {
///     #[event(commutes_with("deposited", "withdrawn"))]
///     Deposited { cents: u64 },
///     Withdrawn { cents: u64 },
/// }
///
/// let (deposited, withdrawn) =
///     (AccountEvent::Deposited { cents: 5 }, AccountEvent::Withdrawn { cents: 5 });
/// assert!(withdrawn.commutes_with(&deposited));
/// assert!(!withdrawn.commutes_with(&withdrawn));
/// ```
///
/// # Generics
///
/// A generic type is an event for the parameters with which it is `Send + Sync + 'static` and every
/// tag's value is `Display`. A type with a lifetime parameter is refused: an event outlives the
/// call that made it.
///
/// # The core crate
///
/// The generated code names `annals-core` where the manifest of the deriving crate does (renamed or
/// not), and `annals::core` where it depends on the facade alone. `#[event(crate = "...")]` comes
/// before both: for a crate that re-exports annals to others, and for one that has `annals-core`
/// only among its dev-dependencies.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    Model::parse(&input)
        .map_or_else(Error::into_compile_error, |model| expand::expand(&model))
        .into()
}
