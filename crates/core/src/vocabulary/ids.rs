//! Identities of events and of appends, and where they come from.

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroU128;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::{Builder, Uuid};

use super::name::{check, text_traits};
use super::serial::serde_as_text;
use super::time::{Clock, SystemClock};
use crate::limits::APPEND_ID_BYTES_MAX;
use crate::{Error, ErrorKind};

/// The identity of an event: a UUID, unique in its store; version 7 when annals makes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(
    /// The UUID as a number, most significant byte first: it moves in registers, and orders as the UUID does.
    NonZeroU128,
);

/// The identity of an append, by which a retry is known: the idempotency key.
///
/// A text of 1 to [`APPEND_ID_BYTES_MAX`] bytes without control characters: a fresh one from [`Ids`],
/// or one that the application derives from what it does, as the id of a command or of a commit.
/// Copied without allocating.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId {
    /// The text, then zeros: no text has a zero, so the derived order is the order of the texts.
    bytes: [u8; APPEND_ID_BYTES_MAX],
    length: u8,
}

/// Where a component gets new identities from.
///
/// Randomness comes in through this handle everywhere, so that a test can foresee it.
pub trait Ids: fmt::Debug + Send + Sync {
    /// An event id that was never given before.
    fn event_id(&self) -> EventId;

    /// An append id that was never given before.
    fn append_id(&self) -> AppendId;
}

/// Identities as UUIDs of version 7 (RFC 9562): the clock's milliseconds, then chance.
///
/// An append id is 74 fresh random bits of the system's generator, whatever the clock says. A thread draws
/// them for several ids at a time, and only for ids of the process and of the millisecond in which it draws:
/// what a fork takes along is of no use to it. Event ids are cheaper, and in order within a millisecond: random
/// bits drawn once, then a count from a random start (section 6.2, method 2), which clones of the handle share.
/// A fork may so repeat an event id, which a store refuses.
///
/// What remains: a clone of a running virtual machine, a process restored from a checkpoint, or a fork into a
/// namespace where it has its parent's process id, can't be told from its original until the clock goes on. Each
/// thread of it that has bits left, for fewer than 200 ids, gives the append ids that its original and its
/// siblings give, while the clock shows the millisecond in which the bits were drawn: for less than one where the
/// clock goes on from the saved time, not at all where it is set to the present, for longer where it stands still.
/// A store refuses such an id with other content, and takes the same content for a retry. Who copies what is running
/// gives append ids of their own ([`AppendId::parse`]), or lets a millisecond of the clock pass before the first.
#[derive(Clone, Debug)]
pub struct UuidIds {
    clock: Arc<dyn Clock>,
    prefix: [u8; 2],
    count: Arc<AtomicU64>,
}

impl EventId {
    /// The event id with this UUID; the nil UUID is refused as [`ErrorKind::Invalid`].
    #[inline]
    pub fn new(uuid: Uuid) -> Result<Self, Error> {
        let number = NonZeroU128::new(uuid.as_u128());
        number.map(Self).ok_or_else(|| {
            let message = "event id is the nil uuid; make a fresh one";
            Error::new(ErrorKind::Invalid, message)
        })
    }

    /// The event id with the UUID of this number, whose first byte is the most significant.
    #[inline]
    pub const fn from_number(number: NonZeroU128) -> Self {
        Self(number)
    }

    /// The UUID as a number, whose most significant byte is the first.
    #[inline]
    pub const fn number(self) -> u128 {
        self.0.get()
    }

    /// The UUID.
    #[inline]
    pub const fn as_uuid(self) -> Uuid {
        Uuid::from_u128(self.0.get())
    }
}

impl AppendId {
    /// Parses an append id: 1 to [`APPEND_ID_BYTES_MAX`] bytes of UTF-8 without control characters.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else; hash what is longer.
    pub fn parse(text: &str) -> Result<Self, Error> {
        check(
            text,
            "append id",
            ("APPEND_ID_BYTES_MAX", APPEND_ID_BYTES_MAX),
        )?;
        Ok(Self::from_checked(text))
    }

    /// The text.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the bytes up to the length come from one checked text"
    )]
    pub fn as_str(&self) -> &str {
        let (text, _) = self
            .bytes
            .split_at_checked(self.length.into())
            .expect("the length is at most APPEND_ID_BYTES_MAX");
        std::str::from_utf8(text).expect("the bytes come from a text")
    }

    /// Copies a text that is known to be within the limit.
    #[expect(clippy::expect_used, reason = "callers checked the length")]
    fn from_checked(text: &str) -> Self {
        let mut bytes = [0; APPEND_ID_BYTES_MAX];
        bytes
            .get_mut(..text.len())
            .expect("a checked text fits")
            .copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).expect("APPEND_ID_BYTES_MAX fits a u8");
        Self { bytes, length }
    }
}

/// For how many ids random bits are drawn at a time: few at first, as most callers need one in a while.
const DRAWS_MIN: usize = 3;
const DRAWS_MAX: usize = 192;

/// The random bits of an id.
type Draw = [u8; 10];

/// Random bits of the system, drawn for several ids at a time.
#[derive(Debug)]
struct Chance {
    draws: [Draw; DRAWS_MAX],
    /// How many of them are not used yet, from the front.
    left: usize,
    /// How many to draw next.
    next: usize,
    /// Of when they were drawn.
    origin: Origin,
}

/// By whom and when random bits were drawn: they are of no use to another process, or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    process: u32,
    millis: u64,
}

thread_local! {
    static CHANCE: RefCell<Chance> = const { RefCell::new(Chance::NONE) };
}

impl Chance {
    const NONE: Self = Self {
        draws: [[0; 10]; DRAWS_MAX],
        left: 0,
        next: DRAWS_MIN,
        origin: Origin {
            process: 0,
            millis: 0,
        },
    };

    /// Random bits that were never given before, drawn by this process in this millisecond.
    fn draw(&mut self, origin: Origin) -> Draw {
        if origin != self.origin {
            self.origin = origin;
            self.left = 0;
            self.next = DRAWS_MIN;
        }
        loop {
            let unused = self
                .draws
                .get(..self.left)
                .and_then(<[Draw]>::last)
                .copied();
            if let Some(draw) = unused {
                self.left -= 1;
                return draw;
            }
            let (block, _) = self.draws.split_at_mut(self.next);
            fill(block);
            self.left = self.next;
            self.next = (self.next * 4).min(DRAWS_MAX);
        }
    }
}

/// Fills these with bytes of the system's generator.
#[expect(
    clippy::expect_used,
    reason = "a system that runs has random bytes, and an id without them might not be unique"
)]
fn fill(draws: &mut [Draw]) {
    getrandom::fill(draws.as_flattened_mut()).expect("the system gives random bytes");
}

impl UuidIds {
    /// Identities whose time comes from this clock.
    ///
    /// # Panics
    /// When the system has no random bytes to give, here and whenever an append id is asked for.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut random = [[0; 10]];
        fill(&mut random);
        let [[a, b, start @ ..]] = random;
        Self {
            clock,
            prefix: [a, b],
            count: Arc::new(AtomicU64::new(u64::from_be_bytes(start))),
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.clock.now().as_micros()).unwrap_or_default() / 1_000
    }

    #[expect(clippy::expect_used, reason = "the version's bits are not all zero")]
    fn counted(&self) -> EventId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        let (prefix, rest) = random.split_at_mut(self.prefix.len());
        prefix.copy_from_slice(&self.prefix);
        rest.copy_from_slice(&count.to_be_bytes());
        let uuid = Builder::from_unix_timestamp_millis(self.millis(), &random).into_uuid();
        EventId::new(uuid).expect("a uuid of version 7 is not nil")
    }
}

impl Ids for UuidIds {
    fn event_id(&self) -> EventId {
        self.counted()
    }

    fn append_id(&self) -> AppendId {
        let millis = self.millis();
        // A system call, but a third of one for fresh bits; without it, a fork would repeat its parent's ids.
        let process = std::process::id();
        let random = CHANCE.with_borrow_mut(|chance| chance.draw(Origin { process, millis }));
        let uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let mut text = Uuid::encode_buffer();
        AppendId::from_checked(uuid.hyphenated().encode_lower(&mut text))
    }
}

impl<I: Ids + ?Sized> Ids for Arc<I> {
    fn event_id(&self) -> EventId {
        self.as_ref().event_id()
    }

    fn append_id(&self) -> AppendId {
        self.as_ref().append_id()
    }
}

impl Default for UuidIds {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl TryFrom<Uuid> for EventId {
    type Error = Error;

    fn try_from(uuid: Uuid) -> Result<Self, Error> {
        Self::new(uuid)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_uuid(), f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let uuid = Uuid::parse_str(text).map_err(|source| {
            Error::new(ErrorKind::Invalid, "event id is not a uuid")
                .with("text", text)
                .caused_by(source)
        })?;
        Self::new(uuid)
    }
}

serde_as_text!(EventId);
text_traits!(AppendId);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Timestamp;

    #[test]
    fn an_append_id_keeps_its_text() {
        for text in ["a", "order-8842/capture", &"x".repeat(64), "\u{e9}t\u{e9}"] {
            assert_eq!(AppendId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", &"x".repeat(65), "a\nb"] {
            assert_eq!(
                AppendId::parse(text).unwrap_err().kind(),
                ErrorKind::Invalid,
                "{text:?}"
            );
        }
    }

    /// A clock that shows these seconds in turn, over and over.
    #[derive(Debug)]
    struct Repeating(&'static [i64], AtomicU64);

    impl Repeating {
        fn ids(seconds: &'static [i64]) -> UuidIds {
            UuidIds::new(Arc::new(Self(seconds, AtomicU64::new(0))))
        }
    }

    impl Clock for Repeating {
        fn now(&self) -> Timestamp {
            let turn = usize::try_from(self.1.fetch_add(1, Ordering::Relaxed)).unwrap();
            Timestamp::from_seconds(self.0[turn % self.0.len()])
        }
    }

    /// The append ids that so many threads make at once.
    fn made_by_threads(threads: usize, each: usize, ids: &UuidIds) -> Vec<AppendId> {
        let many = || -> Vec<AppendId> { (0..each).map(|_| ids.append_id()).collect() };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(many)).collect();
            let made = threads.into_iter();
            made.flat_map(|thread| thread.join().unwrap()).collect()
        })
    }

    const HERE: Origin = Origin {
        process: 7,
        millis: 1,
    };

    /// What a fork takes along.
    fn copy(chance: &Chance) -> Chance {
        Chance { ..*chance }
    }

    #[test]
    fn random_bits_are_given_once() {
        let mut chance = Chance::NONE;
        let mut known = HashSet::from([[0; 10]]);
        for millis in [1, 2, 1, 0, 2] {
            for _ in 0..1_000 {
                assert!(known.insert(chance.draw(Origin { millis, ..HERE })));
            }
        }
    }

    #[test]
    fn a_copy_of_the_process_draws_bits_of_its_own() {
        for used in [1, DRAWS_MIN, DRAWS_MIN + 1, 100, 1_000] {
            let mut parent = Chance::NONE;
            let mut known: HashSet<_> = (0..used).map(|_| parent.draw(HERE)).collect();
            let fork = |process| Origin { process, ..HERE };
            let later = Origin { millis: 2, ..HERE };
            let mut all = [HERE, fork(8), fork(9), later].map(|origin| (copy(&parent), origin));
            for round in 0..300 {
                for (chance, origin) in &mut all {
                    assert!(known.insert(chance.draw(*origin)), "{used} {round}");
                }
            }
        }
    }

    #[test]
    fn append_ids_are_unique_whatever_the_clock_shows() {
        for clock in [&[1_700_000_000][..], &[1_700_000_000, 1_600_000_000]] {
            let ids = Repeating::ids(clock);
            let mut made = made_by_threads(8, 10_000, &ids);
            made.extend(made_by_threads(2, 1_000, &Repeating::ids(clock)));
            made.extend((0..1_000).map(|_| ids.append_id()));
            let count = made.len();
            assert_eq!(made.into_iter().collect::<HashSet<_>>().len(), count);
        }
    }

    #[test]
    fn append_ids_are_uuids_of_version_7() {
        for id in made_by_threads(2, 1_000, &UuidIds::default()) {
            let uuid = Uuid::parse_str(id.as_str()).unwrap();
            assert_eq!(
                (uuid.get_version_num(), uuid.get_variant()),
                (7, uuid::Variant::RFC4122)
            );
        }
    }

    #[test]
    fn fresh_ids_differ_and_carry_the_clock() {
        let noon = || Repeating::ids(&[1_700_000_000]);
        let ids = noon();
        assert!(ids.event_id() < ids.event_id() && ids.event_id() < ids.clone().event_id());
        assert_ne!(ids.event_id(), noon().event_id());
        assert_ne!(ids.append_id(), ids.append_id());
        let time = ids
            .event_id()
            .as_uuid()
            .get_timestamp()
            .map(|time| time.to_unix().0);
        assert_eq!(time, Some(1_700_000_000));
    }
}
