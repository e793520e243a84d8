//! The contract of a [`Sink`] as cases, for who writes one.
//!
//! A sink is done when [`check`] finds nothing:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use annals_core::Error;
//! use annals_projection::conformance::{SinkBackend, check};
//! use annals_projection::{MemorySink, MemoryView, ModelId};
//!
//! struct InMemory;
//!
//! impl SinkBackend for InMemory {
//!     type Sink = MemorySink<BTreeMap<String, i64>>;
//!     type Storage = Option<MemoryView<BTreeMap<String, i64>>>;
//!
//!     fn storage(&self) -> Self::Storage {
//!         None
//!     }
//!     fn sink(&self, storage: &mut Self::Storage) -> Self::Sink {
//!         let sink = MemorySink::new(BTreeMap::new());
//!         *storage = Some(sink.view());
//!         sink
//!     }
//!     fn add(&self, model: &mut BTreeMap<String, i64>, key: &str, amount: i64) -> Result<(), Error> {
//!         *model.entry(key.to_owned()).or_default() += amount;
//!         Ok(())
//!     }
//!     fn sums(&self, storage: &Self::Storage, _: &ModelId) -> Result<BTreeMap<String, i64>, Error> {
//!         Ok(storage.as_ref().map(|view| (*view.read()).clone()).unwrap_or_default())
//!     }
//!     fn survives(&self) -> bool {
//!         false // what is in memory ends with its process
//!     }
//! }
//!
//! assert_eq!(check(&InMemory), Vec::<String>::new());
//! ```

use std::collections::BTreeMap;

use annals_core::{CheckpointName, Cursor, Error, ErrorKind, Position, StreamId, Version};

use crate::contract::model_id::ModelId;
use crate::contract::parked::{ParkedCause, ParkedEvent, ParkedEvents, SkippedEvent};
use crate::contract::partition::Partition;
use crate::contract::progress::{Progress, Step};
use crate::contract::sink::Sink;

/// A kind of sink whose model holds a sum for each key, to hold against the contract.
pub trait SinkBackend {
    /// The sink.
    type Sink: Sink;
    /// Where its models are.
    type Storage;

    /// A storage with nothing in it.
    fn storage(&self) -> Self::Storage;

    /// A sink over a storage, as a process makes one that just began. Those before it are gone.
    fn sink(&self, storage: &mut Self::Storage) -> Self::Sink;

    /// Adds to the sum of a key, which is 0 at first.
    ///
    /// # Errors
    /// Those of the model.
    fn add(
        &self,
        model: &mut <Self::Sink as Sink>::Model,
        key: &str,
        amount: i64,
    ) -> Result<(), Error>;

    /// The sums that readers see; none of a model that there is not.
    ///
    /// # Errors
    /// Those of reading.
    fn sums(
        &self,
        storage: &Self::Storage,
        model: &ModelId,
    ) -> Result<BTreeMap<String, i64>, Error>;

    /// Whether models are there after the process ended, and by their ids; otherwise the cases about that are left
    /// out.
    fn survives(&self) -> bool;
}

/// Runs all cases, and gives those that fail: their name and what was found. None where the contract is kept.
pub fn check<B: SinkBackend>(backend: &B) -> Vec<String> {
    let always: [(&str, Case<'_, B>); 8] = [
        ("a new model is at the start", Bench::new_is_at_start),
        ("a step is seen as a whole", Bench::step_is_whole),
        ("a step of several batches is whole too", Bench::long_step),
        ("what is rolled back leaves no trace", Bench::rolled_back),
        ("opening rolls back what was begun", Bench::reopened),
        ("rolling back nothing does nothing", Bench::nothing_begun),
        ("parked events are kept as they are", Bench::parked),
        ("a reset empties everything", Bench::reset),
    ];
    let surviving: [(&str, Case<'_, B>); 4] = [
        ("a model is there after the process ended", Bench::survives),
        ("versions and partitions are apart", Bench::versions),
        (
            "a crash at any call is before or after a step",
            Bench::crashes,
        ),
        ("a second writer changes nothing", Bench::second_writer),
    ];
    let surviving = surviving.into_iter().filter(|_| backend.survives());
    let failures = always
        .into_iter()
        .chain(surviving)
        .filter_map(|(name, case)| {
            let found = Bench::new(backend).and_then(|mut bench| case(&mut bench));
            found.err().map(|found| format!("{name}: {found}"))
        });
    failures.collect()
}

type Case<'a, B> = fn(&mut Bench<'a, B>) -> Found;

/// What a case found, where it is not what the contract says.
type Found = Result<(), String>;

/// A storage with an open sink.
struct Bench<'a, B: SinkBackend> {
    backend: &'a B,
    storage: B::Storage,
    sink: B::Sink,
    id: ModelId,
}

/// How many steps a history has.
const STEPS: u64 = 6;

impl<'a, B: SinkBackend> Bench<'a, B> {
    fn new(backend: &'a B) -> Result<Self, String> {
        let mut storage = backend.storage();
        let sink = backend.sink(&mut storage);
        let name = CheckpointName::parse("sums").map_err(in_words)?;
        let mut bench = Self {
            backend,
            storage,
            sink,
            id: ModelId {
                name,
                version: 1,
                partition: Partition::WHOLE,
            },
        };
        bench.is_at(&Progress::default())?;
        Ok(bench)
    }

    fn new_is_at_start(&mut self) -> Found {
        self.is_at(&Progress::default())?;
        self.shows(0)
    }

    fn step_is_whole(&mut self) -> Found {
        for number in 1..=STEPS {
            self.begin_and_change(number)?;
            self.shows(number - 1)?;
            self.commit(number)?;
            self.shows(number)?;
        }
        self.is_at(&progress(STEPS))
    }

    /// As of one who puts off: several batches, one commit, and the second copy given up.
    fn long_step(&mut self) -> Found {
        self.begin_and_change(1)?;
        self.change(2)?;
        self.shows(0)?;
        let cursor = cursor_of(2);
        self.commit_step(Step {
            cursor: &cursor,
            parked: None,
        })?;
        self.sink.roll_back().map_err(in_words)?;
        self.shows(2)?;
        self.step(3)?;
        self.shows(3)?;
        self.begin_and_change(4)?;
        self.change(5)?;
        self.sink.roll_back().map_err(in_words)?;
        self.shows(3)?;
        self.step(4)?;
        self.shows(4)?;
        self.is_at(&progress(4))
    }

    fn rolled_back(&mut self) -> Found {
        self.step(1)?;
        self.begin_and_change(2)?;
        self.sink.roll_back().map_err(in_words)?;
        self.shows(1)?;
        self.step(2)?;
        self.shows(2)?;
        self.is_at(&progress(2))
    }

    fn reopened(&mut self) -> Found {
        self.step(1)?;
        self.begin_and_change(2)?;
        self.is_at(&progress(1))?;
        self.shows(1)?;
        self.step(2)?;
        self.shows(2)
    }

    fn nothing_begun(&mut self) -> Found {
        self.sink.roll_back().map_err(in_words)?;
        self.step(1)?;
        self.sink.roll_back().map_err(in_words)?;
        self.shows(1)
    }

    fn parked(&mut self) -> Found {
        let parked = some_parked()?;
        let cursor = cursor_of(1);
        self.begin_and_change(1)?;
        self.commit_step(Step {
            cursor: &cursor,
            parked: Some(&parked),
        })?;
        self.second_copies(1)?;
        self.step(2)?;
        let mut expected = progress(2);
        expected.parked = parked;
        self.is_at(&expected)?;
        self.begin_and_change(3)?;
        let (cursor, none) = (cursor_of(3), ParkedEvents::default());
        self.commit_step(Step {
            cursor: &cursor,
            parked: Some(&none),
        })?;
        self.is_at(&progress(3))
    }

    fn reset(&mut self) -> Found {
        self.step(1)?;
        let (cursor, parked) = (cursor_of(2), some_parked()?);
        self.begin_and_change(2)?;
        self.commit_step(Step {
            cursor: &cursor,
            parked: Some(&parked),
        })?;
        self.sink.reset().map_err(in_words)?;
        self.shows(0)?;
        self.step(1)?;
        self.shows(1)?;
        self.is_at(&progress(1))
    }

    fn survives(&mut self) -> Found {
        self.step(1)?;
        self.crash();
        self.is_at(&progress(1))?;
        self.shows(1)
    }

    fn versions(&mut self) -> Found {
        self.step(1)?;
        let first = self.id.clone();
        let second = Partition::new(1, 2).map_err(in_words)?;
        for (version, partition) in [(2, Partition::WHOLE), (2, second)] {
            self.id.version = version;
            self.id.partition = partition;
            self.crash();
            self.is_at(&Progress::default())?;
            self.step(1)?;
            self.step(2)?;
        }
        self.sink.reset().map_err(in_words)?;
        self.shows(0)?;
        self.id = first;
        self.crash();
        self.is_at(&progress(1))?;
        self.shows(1)?;
        self.id.version = 2;
        self.shows(2)
    }

    /// The process ends at each call of a history in turn, and what comes after it goes on from there.
    fn crashes(&mut self) -> Found {
        for calls in 0.. {
            self.sink.reset().map_err(in_words)?;
            let mut left = calls;
            let mut done = 0;
            while done < STEPS && left > 0 {
                done = self.step_within(done + 1, &mut left)?;
            }
            let is_over = left > 0;
            self.crash();
            self.is_at(&progress(done))?;
            self.shows(done)?;
            for number in done + 1..=STEPS {
                self.step(number)?;
            }
            self.shows(STEPS)?;
            if is_over {
                return Ok(());
            }
        }
        Ok(())
    }

    fn second_writer(&mut self) -> Found {
        self.step(1)?;
        let mut second = self.backend.sink(&mut self.storage);
        let at = second.open(&self.id).map_err(in_words)?;
        equal("its progress", &at, &progress(1))?;
        self.step(2)?;
        std::mem::swap(&mut self.sink, &mut second);
        let refused = self.step(2);
        std::mem::swap(&mut self.sink, &mut second);
        self.shows(2)?;
        match refused {
            Ok(()) => Err("a second writer did a step that was done".to_owned()),
            Err(_) => self.step(3),
        }
    }

    /// The process ends, and another one comes.
    fn crash(&mut self) {
        self.sink = self.backend.sink(&mut self.storage);
    }

    /// Does as much of a step as these calls allow, and tells which steps are done then.
    fn step_within(&mut self, number: u64, left: &mut u64) -> Result<u64, String> {
        self.sink.begin().map_err(in_words)?;
        *left -= 1;
        for (key, amount) in changes(number) {
            if *left == 0 {
                return Ok(number - 1);
            }
            self.add(&key, amount)?;
            *left -= 1;
        }
        if *left == 0 {
            return Ok(number - 1);
        }
        self.commit(number)?;
        *left -= 1;
        Ok(number)
    }

    fn step(&mut self, number: u64) -> Found {
        self.begin_and_change(number)?;
        self.commit(number)
    }

    fn begin_and_change(&mut self, number: u64) -> Found {
        self.sink.begin().map_err(in_words)?;
        self.change(number)
    }

    fn change(&mut self, number: u64) -> Found {
        for (key, amount) in changes(number) {
            self.add(&key, amount)?;
        }
        Ok(())
    }

    fn add(&mut self, key: &str, amount: i64) -> Found {
        let added = self.backend.add(self.sink.model(), key, amount);
        added.map_err(in_words)
    }

    fn commit(&mut self, number: u64) -> Found {
        let cursor = cursor_of(number);
        self.commit_step(Step {
            cursor: &cursor,
            parked: None,
        })?;
        self.second_copies(number)
    }

    fn commit_step(&mut self, step: Step<'_>) -> Found {
        self.sink.commit(&step).map_err(in_words)
    }

    /// Brings further copies of the model up, as a processor does.
    fn second_copies(&mut self, number: u64) -> Found {
        while let Some(copy) = self.sink.second_copy() {
            for (key, amount) in changes(number) {
                self.backend.add(copy, &key, amount).map_err(in_words)?;
            }
        }
        Ok(())
    }

    /// Opens the model, which is to be there.
    fn is_at(&mut self, expected: &Progress) -> Found {
        let found = self.sink.open(&self.id).map_err(in_words)?;
        equal("progress", &found, expected)
    }

    /// Readers see the steps up to this one, and nothing of the next.
    fn shows(&self, steps: u64) -> Found {
        let mut expected = BTreeMap::new();
        for (key, amount) in (1..=steps).flat_map(changes) {
            *expected.entry(key).or_default() += amount;
        }
        let found = self
            .backend
            .sums(&self.storage, &self.id)
            .map_err(in_words)?;
        equal("sums", &found, &expected)
    }
}

/// What the step of this number changes: something old and something new.
fn changes(number: u64) -> Vec<(String, i64)> {
    let amount = i64::try_from(number).unwrap_or_default();
    vec![
        ("all".to_owned(), amount),
        (format!("key-{}", number % 4), 1),
        (format!("only-{number}"), -amount),
    ]
}

fn cursor_of(number: u64) -> Cursor {
    Cursor::at(Position::new(number * 10))
}

fn progress(steps: u64) -> Progress {
    Progress {
        cursor: cursor_of(steps),
        parked: ParkedEvents::default(),
    }
}

/// One event of each sort, with texts that are easily spoilt.
fn some_parked() -> Result<ParkedEvents, String> {
    let stream = StreamId::parse("order-7 'quoted' \u{1f980}").map_err(in_words)?;
    let parked = |position, cause| ParkedEvent {
        position: Position::new(position),
        stream: stream.clone(),
        version: Version::new(position),
        key: "a \"key\"; --".to_owned(),
        cause,
    };
    let error = "no such customer:\n'ada'".to_owned();
    let events = vec![
        parked(3, ParkedCause::Failed { error, attempts: 5 }),
        parked(4, ParkedCause::Waits),
        parked(9, ParkedCause::Waits),
    ];
    let skipped = vec![SkippedEvent {
        position: Position::new(2),
        stream: stream.clone(),
        version: Version::new(1),
        error: "\u{e9}".to_owned(),
    }];
    Ok(ParkedEvents::from_parts(events, skipped, 17))
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Found {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} are {found:?}, and should be {expected:?}"))
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn in_words(error: Error) -> String {
    // A second writer is refused by a kind that stops it.
    let note = match error.kind() {
        ErrorKind::Conflict => "refused as a second writer: ",
        _ => "",
    };
    format!("{note}{error}")
}
