//! Moving a history from one store to another, as it is: what `copy` does.
//!
//! What the destination holds is held against the source, event by event, before anything is recorded: a copy that was
//! interrupted goes on, and another history is refused. What was recorded is read back, and has to have the digest of
//! what was read.

mod side;
mod target;

use annals::core::{HistoryEntry, Position};
use sha2::{Digest as _, Sha256};

pub(crate) use self::side::open_source;
use self::side::{Side, hides_the_same};
pub(crate) use self::target::Target;
use crate::exchange::Format;
use crate::exchange::line::Line;
use crate::failure::{Exit, Failure, Result};
use crate::output::note;

/// A batch that is sent holds this many events, or more where one append does.
const BATCH_EVENTS: usize = 512;

/// Or so many bytes of them.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What a copy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) events: u64,
    pub(crate) appends: u64,
    pub(crate) policies: u64,
    /// Events that were there already.
    pub(crate) present: u64,
    /// Those of them that one side has reclaimed, so that their places alone are compared.
    pub(crate) by_place: u64,
}

/// What becomes of rules by age and count that the destination has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    /// They are changed where they were changed in the source.
    Follow,
    /// They are lifted before anything is recorded, and set when all is there: the source does not tell when they were
    /// changed, and a rule that stands too long hides for good what the source shows.
    Lift,
    Lifted,
}

/// A copy under way.
pub(crate) struct Copier {
    source: Side,
    /// What the destination holds, as it is read back.
    back: Side,
    target: Target,
    batch: Batch,
    /// Of the events that the destination is to have: those that it had, and those that were read from the source.
    digest: Sha256,
    /// Of those that were read back.
    digest_back: Sha256,
    /// Whether the rules of the destination stand, and may hide what the source shows.
    rules: Rules,
    copied: Copied,
    /// The last event that both have.
    at: Position,
    /// The last event that was read back.
    verified: Position,
}

/// Events that were read and not yet recorded.
#[derive(Default)]
struct Batch {
    entries: Vec<HistoryEntry>,
    appends: u64,
    bytes: usize,
    /// How many events the last append still lacks.
    open: u32,
}

impl Copier {
    pub(crate) fn new(source: Side, target: Target) -> Result<Self> {
        source.recover()?;
        let rules = if source.places_policies() {
            Rules::Follow
        } else {
            Rules::Lift
        };
        Ok(Self {
            source,
            rules,
            back: Side::new(target.history()?),
            target,
            batch: Batch::default(),
            digest: Sha256::new(),
            digest_back: Sha256::new(),
            copied: Copied::default(),
            at: Position::START,
            verified: Position::START,
        })
    }

    /// Looks whether the destination holds the beginning of the source, or nothing. `on_event` is called for each that
    /// both have.
    pub(crate) fn compare(&mut self, on_event: impl FnMut() -> Result) -> Result {
        let compared = compare(&mut self.source, &mut self.back, on_event)?;
        self.digest = compared.digest.clone();
        self.digest_back = compared.digest;
        self.copied.present = compared.present;
        self.copied.by_place = compared.by_place;
        self.at = compared.at;
        self.verified = compared.at;
        Ok(())
    }

    /// The events that the source had at the last look, and those that were copied or there.
    pub(crate) fn heads(&mut self) -> Result<(Position, Position)> {
        Ok((self.source.head()?, self.at))
    }

    /// Sets the policies that the destination lacks of what both hold, from a source that tells where they were set.
    pub(crate) fn catch_up_policies(&mut self) -> Result {
        if !self.back.take_policies()? {
            return Err(Failure::refused("the destination is written to").hint(ANOTHER));
        }
        self.target.learn(&self.back);
        if self.source.places_policies() {
            self.set_policies()?;
        }
        Ok(())
    }

    fn set_policies(&mut self) -> Result {
        no_other_policy(&self.source, &self.back)?;
        for (stream, policy) in self.source.policies() {
            self.copied.policies += u64::from(self.target.set_policy(stream, policy)?);
        }
        Ok(())
    }

    /// Copies all that the source has now. `on_step` is told how many events were recorded. After a failure that passes
    /// it may be called again.
    pub(crate) fn copy(&mut self, mut on_step: impl FnMut(&mut Self, u64) -> Result) -> Result {
        loop {
            match self.source.next()? {
                None => {
                    let recorded = self.flush()?;
                    return on_step(self, recorded);
                }
                Some(HistoryEntry::Policy { stream, policy }) => {
                    let recorded = self.flush()?;
                    on_step(self, recorded)?;
                    let is_set = self.target.set_policy(&stream, &policy);
                    self.copied.policies += u64::from(is_set.map_err(Failure::lasting)?);
                }
                Some(event) => {
                    self.digest.update(line_of(&event)?);
                    self.batch.push(event)?;
                    if self.batch.is_full() {
                        let recorded = self.flush()?;
                        on_step(self, recorded)?;
                    }
                }
            }
        }
    }

    /// Records what was read, whole appends; how many events.
    fn flush(&mut self) -> Result<u64> {
        let Some(last) = self.batch.entries.last().filter(|_| self.batch.open == 0) else {
            return Ok(0);
        };
        let last = position_of(last);
        if self.rules == Rules::Lift {
            let lifted = self.target.lift_rules(&self.back);
            lifted.map_err(Failure::lasting)?;
            self.rules = Rules::Lifted;
        }
        let batch = std::mem::take(&mut self.batch);
        let events = batch.entries.len() as u64;
        let imported = self.target.import(batch.entries);
        imported.map_err(Failure::lasting)?;
        self.copied.events += events;
        self.copied.appends += batch.appends;
        self.at = last;
        Ok(events)
    }

    /// Copies what the source has now, its policies as they are then, and looks whether the destination has the same: the
    /// digest of its events, in hex.
    pub(crate) fn finish(
        &mut self,
        mut on_step: impl FnMut(&mut Self, u64) -> Result,
    ) -> Result<String> {
        self.source.recover()?;
        loop {
            self.copy(&mut on_step)?;
            if self.source.take_policies()? {
                break;
            }
        }
        if !self.batch.entries.is_empty() {
            let message = "the last append of the source is not whole";
            return Err(Failure::new(Exit::Damage, message).hint("verify the source"));
        }
        if !self.source.places_policies() {
            self.set_policies()?;
        }
        let sha256 = self.verify()?;
        self.verify_policies()?;
        Ok(sha256)
    }

    /// Reads back what was recorded, and compares it with what was read: the digest of the destination, in hex.
    pub(crate) fn verify(&mut self) -> Result<String> {
        let mut last = Position::START;
        while let Some(event) = self.back.next_event()? {
            self.digest_back.update(line_of(&event)?);
            last = position_of(&event);
        }
        let (ours, theirs) = (hex(&self.digest), hex(&self.digest_back));
        if ours != theirs || last > self.at {
            let message = format!(
                "what was read back is not what was copied: the events of the source have the digest {ours}, those of \
                 the destination {theirs}"
            );
            return Err(Failure::new(Exit::Damage, message).hint(
                "the same command again names the first event that differs; copy to a new place",
            ));
        }
        self.verified = self.at;
        Ok(theirs)
    }

    /// Whether events were recorded and not yet read back.
    pub(crate) fn is_unverified(&self) -> bool {
        self.verified < self.at
    }

    /// Looks whether the destination hides what the source hides, and no more.
    fn verify_policies(&mut self) -> Result {
        if !self.back.take_policies()? {
            return Err(Failure::refused("the destination is written to").hint(ANOTHER));
        }
        for (stream, ours, theirs) in self.source.other_policies(&self.back) {
            if !hides_the_same(&ours, &theirs, self.target.version_of(stream)?) {
                let message = format!(
                    "{stream} has another policy in the destination, and hides other events"
                );
                return Err(Failure::new(Exit::Damage, message).hint("copy to a new place"));
            }
        }
        Ok(())
    }

    /// The last event that both have.
    pub(crate) fn at(&self) -> Position {
        self.at
    }

    pub(crate) fn copied(&self) -> Copied {
        self.copied
    }

    /// Makes everything durable, and lets the destination go.
    pub(crate) fn close(self) -> Result {
        self.target.close()
    }
}

/// What both stores have.
struct Compared {
    digest: Sha256,
    present: u64,
    by_place: u64,
    at: Position,
}

/// Holds all that the destination has against the source.
fn compare(
    source: &mut Side,
    back: &mut Side,
    mut on_event: impl FnMut() -> Result,
) -> Result<Compared> {
    let mut compared = Compared {
        digest: Sha256::new(),
        present: 0,
        by_place: 0,
        at: Position::START,
    };
    while let Some(theirs) = back.next_event()? {
        let Some(ours) = source.next_event()? else {
            return Err(goes_on(&theirs));
        };
        if !is_same(&ours, &theirs) {
            return Err(other_history(&ours, &theirs));
        }
        let line = line_of(&theirs)?;
        compared.by_place += u64::from(line != line_of(&ours)?);
        compared.digest.update(line);
        compared.present += 1;
        compared.at = position_of(&ours);
        on_event()?;
    }
    // What was set after the last event may or may not be there yet.
    while let Some(HistoryEntry::Policy { .. }) = source.peek()? {
        source.next()?;
    }
    Ok(compared)
}

/// Refuses a destination that has a policy of a stream of which the source has none.
fn no_other_policy(source: &Side, back: &Side) -> Result {
    let Some(stream) = back.policy_without(source) else {
        return Ok(());
    };
    let message = format!("the destination has a policy of {stream}, and the source has none");
    Err(Failure::refused(message).hint(ANOTHER))
}

/// What a copy would do.
pub(crate) struct Looked {
    pub(crate) to_copy: u64,
    pub(crate) present: u64,
}

/// Compares, and counts what a copy would record.
pub(crate) fn look(
    mut source: Side,
    target: Option<Side>,
    on_event: impl FnMut() -> Result,
) -> Result<Looked> {
    let (at, present) = match target {
        Some(mut target) => {
            let compared = compare(&mut source, &mut target, on_event)?;
            if source.places_policies() && target.take_policies()? {
                no_other_policy(&source, &target)?;
            }
            (compared.at, compared.present)
        }
        None => (Position::START, 0),
    };
    // How far a store goes is known when it was read.
    source.peek()?;
    if !source.is_settled()? {
        note(
            "the source is written to, or was not closed: then a copy may find more of it than what is looked at here",
        );
    }
    Ok(Looked {
        to_copy: source.head()?.since(at),
        present,
    })
}

/// What to do after an interruption.
pub(crate) const AGAIN: &str =
    "run the same command again: it goes on where the destination ends, after a comparison";

const ANOTHER: &str =
    "name a destination that is empty, or holds the beginning of the same history";

impl Batch {
    fn push(&mut self, entry: HistoryEntry) -> Result {
        let HistoryEntry::Event { event, append, .. } = &entry else {
            return Ok(());
        };
        self.open = match (self.open, append) {
            (0, Some(append)) if append.events > 0 => {
                self.appends += 1;
                append.events
            }
            (open, None) if open > 0 => open,
            _ => {
                let message = format!(
                    "position {} of the source is of no whole append",
                    event.position()
                );
                return Err(Failure::new(Exit::Damage, message).hint("verify the source"));
            }
        };
        self.open -= 1;
        self.bytes += event.bytes();
        self.entries.push(entry);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.open == 0 && (self.entries.len() >= BATCH_EVENTS || self.bytes >= BATCH_BYTES)
    }
}

/// The event as a line of an export, which says all of it.
fn line_of(entry: &HistoryEntry) -> Result<Vec<u8>> {
    let mut line = Format::Ndjson.encode(&Line::of(entry))?.into_bytes();
    line.push(b'\n');
    Ok(line)
}

fn position_of(entry: &HistoryEntry) -> Position {
    match entry {
        HistoryEntry::Event { event, .. } => event.position(),
        _ => Position::START,
    }
}

/// Whether two stores have the same at a place. Of an event that was reclaimed in one, its place is compared.
fn is_same(ours: &HistoryEntry, theirs: &HistoryEntry) -> bool {
    let (
        HistoryEntry::Event {
            event: our_event,
            append: our_append,
            is_reclaimed: ours_gone,
        },
        HistoryEntry::Event {
            event: their_event,
            append: their_append,
            is_reclaimed: theirs_gone,
        },
    ) = (ours, theirs)
    else {
        return false;
    };
    if our_append != their_append {
        return false;
    }
    if *ours_gone || *theirs_gone {
        let place = |event: &annals::core::RecordedEvent| {
            (
                event.position(),
                event.stream().clone(),
                event.version(),
                event.id(),
                event.appended_at(),
            )
        };
        return place(our_event) == place(their_event);
    }
    our_event == their_event
}

fn told(entry: &HistoryEntry) -> String {
    match entry {
        HistoryEntry::Event { event, .. } => format!(
            "position {} ({} version {}, event {})",
            event.position(),
            event.stream(),
            event.version(),
            event.id()
        ),
        _ => "a policy".to_owned(),
    }
}

fn other_history(ours: &HistoryEntry, theirs: &HistoryEntry) -> Failure {
    let message = format!(
        "the destination holds another history: the source has {}, the destination {}",
        told(ours),
        told(theirs)
    );
    Failure::refused(message).hint(ANOTHER)
}

fn goes_on(theirs: &HistoryEntry) -> Failure {
    let message = format!(
        "the destination goes on after the source ends, with {}",
        told(theirs)
    );
    Failure::refused(message).hint(
        "it was written to, or the source is not the one that it was copied from, or lost events",
    )
}

fn hex(digest: &Sha256) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in digest.clone().finalize() {
        // A text takes any write.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
