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
//! # #[derive(Event, Serialize, Deserialize)]
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
//! | `<category>/<type>/v<n>/<k>.<form>.means-<m>.txt` | what the sample means, once for every present that it was upcast to |
//!
//! Characters of names that not every file system has are written as `%` and two hexadecimal digits. A directory
//! of an unknown layout is refused.
//!
//! # What is seen
//! A field that is renamed, added, removed or changes its type without a new version; an upcaster whose meaning
//! changed; a version that was skipped; a sample that was deleted or changed; a version without a sample; a kind
//! without one. What is *not* seen: a field that no sample fills in, and a variant of a field's enum that no sample
//! has.

mod book;
mod check;
mod describe;
mod sample;
mod shape;

use std::path::PathBuf;

use annals_codec::EventCodec;
use annals_core::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::report::Report;

/// The variable of the environment that makes a check write what is missing: `write`.
pub const ENVIRONMENT_VARIABLE: &str = "ANNALS_SCHEMAS";

/// A schema ledger in a directory.
#[derive(Clone, Debug)]
pub struct Ledger {
    directory: PathBuf,
    mode: Result<Mode, String>,
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
        }
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

    /// Proves that every sample still means what it meant, and that there is one of every kind of event as it
    /// is written now.
    ///
    /// # Panics
    /// When it does not hold, with what changed and what to do.
    #[track_caller]
    pub fn check<E>(&self, codec: &(impl EventCodec<E> + ?Sized), samples: &[E])
    where
        E: Event + Serialize + DeserializeOwned,
    {
        if let Err(report) = self.run(codec, samples) {
            report.fail();
        }
    }

    fn run<E>(&self, codec: &(impl EventCodec<E> + ?Sized), samples: &[E]) -> Result<(), Report>
    where
        E: Event + Serialize + DeserializeOwned,
    {
        let mode = self.mode.clone().map_err(|value| {
            Report::new("the environment asks the schema ledger for what it does not do")
                .text(ENVIRONMENT_VARIABLE, &value)
                .text("what to do", "set it to `write`, or not at all")
        })?;
        check::check(&self.directory, mode, codec, samples)
    }
}
