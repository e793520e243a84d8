//! The schema ledger: samples of every event that was ever written, which every build still has to read.
//!
//! A ledger is a directory beside the code, `schemas`, that is committed with it. For every event type and version
//! it holds golden samples: the bytes as they were recorded, the shape of their fields, and what they mean. One
//! test proves on every build that all of them still decode, are upcast to the present and mean the same:
//!
//! ```no_run
//! # use annals_codec::JsonCodec;
//! # use annals_macros::Event;
//! # use serde::{Deserialize, Serialize};
//! use annals_testkit::schema::Ledger;
//!
//! # #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
//! # #[event(category = "account")]
//! # enum AccountEvent { Deposited { cents: u64 }, Closed }
//! /// Samples of every kind of event; several of one kind, where its fields may be filled in several ways.
//! fn samples() -> Vec<AccountEvent> {
//!     vec![AccountEvent::Deposited { cents: 5 }, AccountEvent::Closed]
//! }
//!
//! // #[test]
//! fn every_event_ever_written_stays_readable() {
//!     let ledger = Ledger::at(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas"));
//!     ledger.check(&JsonCodec, &samples());
//! }
//! ```
//!
//! # Writing
//! With `ANNALS_SCHEMAS=write` in the environment the same test writes what is missing: samples of a version that is
//! new, and what older samples mean in terms of a present that is new. Look at what it wrote, above all at the
//! meanings, and commit it. It writes nothing over: a sample that was committed stays as it is for good.
//!
//! Without the variable nothing is ever written, so that a directory which is read-only, as in CI, is enough; what
//! is missing is an error that says so.
//!
//! # Layout
//! | file | holds |
//! |---|---|
//! | `<category>/ledger.txt` | the layout's version, and every file below with its checksum |
//! | `<category>/<type>/v<n>/<k>.<form>.sample` | the `k`-th sample of this version: form, shape, payload |
//! | `<category>/<type>/v<n>/<k>.<form>.from-v<p>.sample` | the same of an event of version `p` that a downcaster made into `n` |
//! | `<category>/<type>/v<n>/<k>.<form>.means-<m>.txt` | what the sample means, once for every present that it was upcast to |
//!
//! Characters of names that not every file system has are written as `%` and two hexadecimal digits. A directory
//! of an unknown layout is refused.
//!
//! # What is seen
//! A field that is renamed, added, removed or changes its type without a new version; one that is written and read
//! in another way than before, both at once; an upcaster or a downcaster whose meaning changed; a version that was
//! skipped; a sample that was deleted or changed; a version without a sample; a kind without one.
//!
//! For the second, the samples of the present are compared with the events that the code gives for them, by their
//! values. So the samples of one kind keep their order, and new ones go behind them.
//!
//! What is *not* seen: a field that no sample fills in, a variant of a field's enum that no sample has, and what an
//! old sample meant before the ledger was begun.

mod book;
mod check;
mod describe;
mod names;
mod sample;
mod shape;

use std::fmt::{self, Debug};
use std::path::PathBuf;

use annals_codec::{EventCodec, Evolution};
use annals_core::{Event, EventType, SchemaVersion};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::check::{Beginnings, Member, Samples};
use crate::report::Report;

/// The variable of the environment that makes a check write what is missing: `write`.
pub const ENVIRONMENT_VARIABLE: &str = "ANNALS_SCHEMAS";

/// A schema ledger in a directory.
#[derive(Clone, Debug)]
pub struct Ledger {
    directory: PathBuf,
    mode: Result<Mode, String>,
    beginnings: Beginnings,
}

/// Several event types that a [`Ledger`] holds samples of, checked at once; see [`Ledger::checks`].
#[must_use = "nothing is checked before `run`"]
pub struct Checks<'a> {
    ledger: &'a Ledger,
    members: Vec<Box<dyn Member + 'a>>,
}

/// Whether what is missing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Check,
    Write,
}

impl Ledger {
    /// The ledger in this directory, which may hold several event types; written to when the environment says
    /// `ANNALS_SCHEMAS=write`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let mode = match std::env::var(ENVIRONMENT_VARIABLE) {
            Err(_) => Ok(Mode::Check),
            Ok(value) if value.is_empty() => Ok(Mode::Check),
            Ok(value) if value == "write" => Ok(Mode::Write),
            Ok(value) => Err(value),
        };
        Self {
            directory: directory.into(),
            mode,
            beginnings: Beginnings::new(),
        }
    }

    /// The same for a type whose versions below this one nobody ever recorded: they need no samples.
    ///
    /// # Panics
    /// When the name is none of an event type, or the version is 0.
    #[must_use]
    #[track_caller]
    pub fn begins_at(mut self, event_type: &str, schema_version: u32) -> Self {
        let begin = (
            EventType::parse(event_type),
            SchemaVersion::new(schema_version),
        );
        match begin {
            (Ok(event_type), Ok(version)) => {
                self.beginnings.insert(event_type, version);
            }
            (Err(error), _) | (_, Err(error)) => Report::new("the ledger is told of no version")
                .error(&error)
                .fail(),
        }
        self
    }

    /// The same, written to whatever the environment says.
    #[must_use]
    pub fn writing(mut self) -> Self {
        self.mode = Ok(Mode::Write);
        self
    }

    /// The same, only read whatever the environment says.
    #[must_use]
    pub fn reading(mut self) -> Self {
        self.mode = Ok(Mode::Check);
        self
    }

    /// Proves that every sample of the category still means what it meant, and that there is one of every kind of
    /// event as it is written now.
    ///
    /// For a category with several event types see [`checks`](Self::checks).
    ///
    /// # Panics
    /// When it does not hold, with what changed and what to do.
    #[track_caller]
    pub fn check<E>(&self, codec: &(impl EventCodec<E> + ?Sized), samples: &[E])
    where
        E: Event + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let samples = Samples {
            codec,
            evolution: None,
            events: samples,
        };
        if let Err(report) = self.run(&[&samples]) {
            report.fail();
        }
    }

    /// Checks of several event types at once, as of a category whose kinds of events are structs: a sample is read
    /// by the one that knows its type. The types of one category are checked together, in one test.
    ///
    /// ```no_run
    /// # use annals_codec::JsonCodec;
    /// # use annals_macros::Event;
    /// # use annals_testkit::schema::Ledger;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    /// #[event(category = "account")]
    /// struct Opened {}
    ///
    /// #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    /// #[event(category = "account")]
    /// struct Closed {}
    ///
    /// let ledger = Ledger::at(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas"));
    /// let checks = ledger.checks().with(&JsonCodec, &[Opened {}]);
    /// checks.with(&JsonCodec, &[Closed {}]).run();
    /// ```
    pub fn checks(&self) -> Checks<'_> {
        Checks {
            ledger: self,
            members: Vec::new(),
        }
    }

    fn run(&self, members: &[&dyn Member]) -> Result<(), Report> {
        let mode = self.mode.clone().map_err(|value| {
            Report::new("the environment asks the schema ledger for what it does not do")
                .text(ENVIRONMENT_VARIABLE, &value)
                .text("what to do", "set it to `write`, or not at all")
        })?;
        check::check(&self.directory, mode, &self.beginnings, members)
    }
}

impl<'a> Checks<'a> {
    /// The same with an event type: its codec, and samples of every kind.
    pub fn with<E>(self, codec: &'a dyn EventCodec<E>, samples: &'a [E]) -> Self
    where
        E: Event + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        self.with_samples(codec, None, samples)
    }

    /// The same with an event type whose codec runs these upcasters: every version from which one of them starts
    /// needs a sample, those of types that the code no longer writes too.
    pub fn with_evolution<E>(
        self,
        codec: &'a dyn EventCodec<E>,
        evolution: &'a Evolution<E>,
        samples: &'a [E],
    ) -> Self
    where
        E: Event + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        self.with_samples(codec, Some(evolution), samples)
    }

    fn with_samples<E>(
        mut self,
        codec: &'a dyn EventCodec<E>,
        evolution: Option<&'a Evolution<E>>,
        events: &'a [E],
    ) -> Self
    where
        E: Event + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        self.members.push(Box::new(Samples {
            codec,
            evolution,
            events,
        }));
        self
    }

    /// Proves of all of them what [`Ledger::check`] proves of one.
    ///
    /// # Panics
    /// When it does not hold, with what changed and what to do.
    #[track_caller]
    pub fn run(self) {
        let mut left: Vec<&dyn Member> = self.members.iter().map(|member| &**member).collect();
        while let Some(first) = left.first() {
            let category = first.category();
            let (members, others) = left
                .iter()
                .partition(|member| member.category() == category);
            left = others;
            let members: Vec<&dyn Member> = members;
            if let Err(report) = self.ledger.run(&members) {
                report.fail();
            }
        }
    }
}

impl Debug for Checks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let categories = self.members.iter().map(|member| member.category());
        f.debug_list().entries(categories).finish()
    }
}
