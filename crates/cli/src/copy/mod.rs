//! Moving a history from one store to another, as it is: what `copy` does.
//!
//! What the destination holds is held against the source, event by event, before anything is recorded: a copy that was
//! interrupted goes on, and another history is refused. What was recorded is read back, and has to have the digest of
//! what was read.

mod side;
mod target;

use annals::core::{HistoryEntry, Position};
use sha2::{Digest as _, Sha256};

use self::side::Side;
pub(crate) use self::side::open_source;
pub(crate) use self::target::Target;
use crate::exchange::Format;
use crate::exchange::line::Line;
use crate::failure::{Exit, Failure, Result};

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
}

/// A copy under way.
pub(crate) struct Copier {
    source: Side,
    /// What the destination holds, as it is read back.
    back: Side,
    target: Target,
    batch: Batch,
    /// Of the events that were read from the source.
    digest: Sha256,
    /// Of those that were read back.
    digest_back: Sha256,
    copied: Copied,
    /// The last event that both have.
    at: Position,
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
        Ok(Self {
            source,
            back: Side::new(target.history()?),
            target,
            batch: Batch::default(),
            digest: Sha256::new(),
            digest_back: Sha256::new(),
            copied: Copied::default(),
            at: Position::START,
        })
    }

    /// Looks whether the destination holds the beginning of the source, or nothing. `on_event` is called for each that
    /// both have.
    pub(crate) fn compare(&mut self, on_event: impl FnMut() -> Result) -> Result {
        let compared = compare(&mut self.source, &mut self.back, on_event)?;
        self.digest = compared.digest.clone();
        self.digest_back = compared.digest;
        self.copied.present = compared.present;
        self.at = compared.at;
        Ok(())
    }

    /// The events that the source had at the last look, and those that were copied or there.
    pub(crate) fn heads(&mut self) -> Result<(Position, Position)> {
        Ok((self.source.head()?, self.at))
    }

    /// Sets the policies that the destination lacks of what both hold.
    pub(crate) fn catch_up_policies(&mut self) -> Result {
        self.target.learn(&self.back);
        if let Some(stream) = self.back.policy_without(&self.source) {
            let message =
                format!("the destination has a policy of {stream}, and the source has none");
            return Err(Failure::refused(message).hint(ANOTHER));
        }
        for (stream, policy) in self.source.policies() {
            self.copied.policies += u64::from(self.target.set_policy(stream, policy)?);
        }
        Ok(())
    }

    /// Copies all that the source has now. `on_step` is told how many events were recorded.
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
                    let is_set = self.target.set_policy(&stream, &policy)?;
                    self.copied.policies += u64::from(is_set);
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
        let batch = std::mem::take(&mut self.batch);
        let events = batch.entries.len() as u64;
        self.target.import(batch.entries)?;
        self.copied.events += events;
        self.copied.appends += batch.appends;
        self.at = last;
        Ok(events)
    }

    /// Reads back what was recorded, and compares it with what was read: the digest of both, in hex.
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
        if let Some(stream) = self.source.other_policy(&self.back) {
            let message = format!("{stream} has another policy in the destination");
            return Err(Failure::new(Exit::Damage, message).hint(AGAIN));
        }
        Ok(theirs)
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
        at: Position::START,
    };
    while let Some(theirs) = back.next_event()? {
        let Some(ours) = source.next_event()? else {
            return Err(goes_on(&theirs));
        };
        if !is_same(&ours, &theirs) {
            return Err(other_history(&ours, &theirs));
        }
        compared.digest.update(line_of(&ours)?);
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
            (compared.at, compared.present)
        }
        None => (Position::START, 0),
    };
    // How far a store goes is known when it was read.
    source.peek()?;
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
