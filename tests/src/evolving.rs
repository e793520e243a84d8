//! An account whose events changed in every way, with upcasters that work in every form of bytes.

use annals_codec::{Events, Evolution, EvolutionBuilder, Format, FormatExt, UpcastError, Value};
use annals_core::{Aggregate, EventType, NewEvent, Refusal, SchemaVersion};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

/// What happens to an account, as of now.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(category = "purse")]
pub enum PurseEvent {
    /// It exists from now on.
    #[event(version = 2)]
    Opened {
        /// Whose it is.
        owner: String,
        /// In what its money is counted.
        currency: String,
    },
    /// Money in.
    #[event(version = 3)]
    Deposited {
        /// How much.
        cents: u64,
        /// Why, if anybody said.
        note: Option<String>,
    },
    /// Money out.
    Withdrawn {
        /// How much.
        cents: u64,
    },
}

/// The state of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purse {
    /// Whose it is.
    pub owner: String,
    /// Cents that came in, modulo 2^64.
    pub inward: u64,
    /// Cents that went out, alike.
    pub outward: u64,
    /// What was noted.
    pub notes: Vec<String>,
}

/// An event as one of the releases recorded it.
#[derive(Clone, Debug)]
pub enum Recorded {
    /// `opened` in version 1.
    OpenedV1(OpenedV1),
    /// `deposited` in version 1.
    DepositedV1(DepositedV1),
    /// `deposited` in version 2.
    DepositedV2(DepositedV2),
    /// `moved` in version 1, a type that was split.
    Moved(Moved),
    /// `paid` in version 1, a type that was merged with `deposited`.
    Paid(Paid),
    /// `viewed` in version 1, a type that was dropped.
    Viewed,
    /// An event of the present.
    Present(PurseEvent),
}

/// `opened` in version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedV1 {
    /// Whose it is.
    pub owner: String,
}

/// `deposited` in version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositedV1 {
    /// How much.
    pub euros: u32,
}

/// `deposited` in version 2: the unit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositedV2 {
    /// How much.
    pub cents: u64,
}

/// `moved` in version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Money out.
    pub outward: u64,
    /// Money in.
    pub inward: u32,
}

/// `paid` in version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// How much, in euros.
    pub euros: u32,
    /// By whom, which nobody keeps.
    pub by: String,
}

#[derive(Serialize)]
struct OpenedV2 {
    owner: String,
    currency: String,
}

#[derive(Serialize)]
struct DepositedV3 {
    cents: u64,
    note: Option<String>,
}

#[derive(Serialize)]
struct WithdrawnV1 {
    cents: u64,
}

impl From<DepositedV1> for DepositedV2 {
    fn from(old: DepositedV1) -> Self {
        Self {
            cents: u64::from(old.euros) * 100,
        }
    }
}

impl From<DepositedV2> for DepositedV3 {
    fn from(old: DepositedV2) -> Self {
        Self {
            cents: old.cents,
            note: None,
        }
    }
}

impl From<OpenedV1> for OpenedV2 {
    fn from(old: OpenedV1) -> Self {
        Self {
            owner: old.owner,
            currency: "EUR".to_owned(),
        }
    }
}

fn split(old: Moved) -> Events {
    let outward = WithdrawnV1 { cents: old.outward };
    let inward = DepositedV1 { euros: old.inward };
    Events::new()
        .and("withdrawn", 1, outward)
        .and("deposited", 1, inward)
}

fn shared() -> EvolutionBuilder<PurseEvent> {
    Evolution::builder()
        .split(("moved", 1), &[("withdrawn", 1), ("deposited", 1)], split)
        .dropped("viewed", 1)
}

/// The upcasters, each from a version to the next, on old structs: for every form.
///
/// # Panics
/// When they do not fit, which is a mistake here.
#[expect(clippy::expect_used, reason = "stated above")]
pub fn chained() -> Evolution<PurseEvent> {
    let evolution = shared()
        .upcast("opened", 1, |old: OpenedV1| OpenedV2::from(old))
        .upcast("deposited", 1, |old: DepositedV1| DepositedV2::from(old))
        .upcast("deposited", 2, |old: DepositedV2| DepositedV3::from(old))
        .becomes(("paid", 1), ("deposited", 1), |old: Paid| DepositedV1 {
            euros: old.euros,
        });
    evolution.build().expect("the upcasters fit")
}

/// The same upcasters, each straight to the present.
///
/// # Panics
/// As for [`chained`].
#[expect(clippy::expect_used, reason = "stated above")]
pub fn direct() -> Evolution<PurseEvent> {
    let first_to_third = |old: DepositedV1| DepositedV3::from(DepositedV2::from(old));
    let evolution = shared()
        .upcast("opened", 1, |old: OpenedV1| OpenedV2::from(old))
        .becomes(("deposited", 1), ("deposited", 3), first_to_third)
        .upcast("deposited", 2, |old: DepositedV2| DepositedV3::from(old))
        .becomes(("paid", 1), ("deposited", 3), move |old: Paid| {
            first_to_third(DepositedV1 { euros: old.euros })
        });
    evolution.build().expect("the upcasters fit")
}

/// The same upcasters on values: for forms that describe themselves.
///
/// # Panics
/// As for [`chained`].
#[expect(clippy::expect_used, reason = "stated above")]
pub fn on_values() -> Evolution<PurseEvent> {
    let evolution = shared()
        .upcast("opened", 1, |mut old: Value| {
            old.insert("currency", "EUR");
            old
        })
        .upcast("deposited", 1, |mut old: Value| {
            let cents = old.take_integer("euros")?.checked_mul(100);
            old.insert("cents", cents.ok_or(UpcastError::new("too much"))?);
            Ok::<_, UpcastError>(old)
        })
        .upcast("deposited", 2, |mut old: Value| {
            old.insert("note", Value::Null);
            old
        })
        .becomes(("paid", 1), ("deposited", 1), |mut old: Value| {
            old.remove("by");
            old
        });
    evolution.build().expect("the upcasters fit")
}

impl Recorded {
    /// The event as its release recorded it, in a form.
    ///
    /// # Panics
    /// When it has none, which is a mistake here.
    #[expect(clippy::expect_used, reason = "stated above")]
    pub fn record(&self, form: &(impl Format + annals_codec::EventCodec<PurseEvent>)) -> NewEvent {
        let (event_type, version, payload) = match self {
            Self::OpenedV1(old) => ("opened", 1, form.to_bytes(old)),
            Self::DepositedV1(old) => ("deposited", 1, form.to_bytes(old)),
            Self::DepositedV2(old) => ("deposited", 2, form.to_bytes(old)),
            Self::Moved(old) => ("moved", 1, form.to_bytes(old)),
            Self::Paid(old) => ("paid", 1, form.to_bytes(old)),
            Self::Viewed => ("viewed", 1, form.to_bytes("whatever")),
            Self::Present(event) => return form.encode(event).expect("it has a form"),
        };
        let event_type = EventType::from_static(event_type);
        let payload = payload.expect("it has a form");
        NewEvent::new(event_type, Format::content_type(form), payload)
            .expect("it is short")
            .with_schema_version(SchemaVersion::from_static(version))
    }

    /// What it means today, by hand.
    pub fn meaning(&self) -> Vec<PurseEvent> {
        let deposited = |euros: u32| PurseEvent::Deposited {
            cents: u64::from(euros) * 100,
            note: None,
        };
        match self.clone() {
            Self::OpenedV1(OpenedV1 { owner }) => vec![PurseEvent::Opened {
                owner,
                currency: "EUR".to_owned(),
            }],
            Self::DepositedV1(DepositedV1 { euros }) | Self::Paid(Paid { euros, .. }) => {
                vec![deposited(euros)]
            }
            Self::DepositedV2(DepositedV2 { cents }) => {
                vec![PurseEvent::Deposited { cents, note: None }]
            }
            Self::Moved(Moved { outward, inward }) => {
                vec![PurseEvent::Withdrawn { cents: outward }, deposited(inward)]
            }
            Self::Viewed => vec![],
            Self::Present(event) => vec![event],
        }
    }
}

impl Aggregate for Purse {
    type Event = PurseEvent;

    fn apply(&mut self, event: &PurseEvent) -> Result<(), Refusal> {
        match event {
            PurseEvent::Opened { owner, .. } => owner.clone_into(&mut self.owner),
            PurseEvent::Deposited { cents, note } => {
                self.inward = self.inward.wrapping_add(*cents);
                self.notes.extend(note.clone());
            }
            PurseEvent::Withdrawn { cents } => self.outward = self.outward.wrapping_add(*cents),
        }
        Ok(())
    }
}
