//! Stating upcasters, and the checks of what was stated.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use annals_core::{Event, EventType};

use super::check;
use super::flaw::{Flaw, FlawKind};
use super::registry::{Evolution, Steps};
use super::step::{self, Step};
use super::{EvolutionError, Policy, Schema, SplitOutput, UpcastInput, UpcastOutput};

/// An event type whose upcasters are declared beside its variants:
/// `#[event(version = 3, upcast(1 => ..., 2 => ...))]` and `#[event(was = "old-name")]`.
pub trait EvolvingEvent: Event {
    /// The declared upcasters; more may be added before it is built.
    fn evolution() -> EvolutionBuilder<Self>;
}

/// A registry of upcasters in the making.
///
/// # Upcasters
/// An upcaster takes the old payload as what it likes best, and gives the new one:
///
/// | it takes | in | for |
/// |---|---|---|
/// | a struct of the old fields | every form | changes that the compiler is to check; the only way for bincode and postcard, beside bytes |
/// | a [`Value`](crate::Value) | JSON, `MessagePack`, CBOR | changes of a field or two |
/// | a [`RawPayload`](crate::RawPayload) | every form | all else |
///
/// It gives any value that serde writes, bytes, or a `Result` with an [`UpcastError`](crate::UpcastError). A
/// struct stands for the fields of a struct variant, a tuple struct for those of a tuple variant, and
/// `struct Closed {}` for a variant without fields.
///
/// # What is checked
/// [`build`](Self::build) refuses, with all names: a version from which nothing leads to the present, two
/// upcasters that start from one version, a circle, an upcaster from the present, names that nobody knows.
/// An event reads alone: no upcaster sees two recorded events, so that where events are in the log, and what
/// a page holds, does not change what they are. Two old *types* become one with [`becomes`](Self::becomes).
pub struct EvolutionBuilder<E> {
    pub(super) steps: Vec<Step>,
    pub(super) renamed: Vec<(EventType, EventType)>,
    pub(super) downcasts: Vec<Step>,
    pub(super) write_as: Vec<Schema>,
    pub(super) on_future: Policy<E>,
    pub(super) on_unknown_type: Policy<E>,
    pub(super) flaws: Vec<Flaw>,
    events: PhantomData<fn() -> E>,
}

impl<E: Event> EvolutionBuilder<E> {
    pub(super) fn new() -> Self {
        Self {
            steps: Vec::new(),
            renamed: Vec::new(),
            downcasts: Vec::new(),
            write_as: Vec::new(),
            on_future: Policy::Stop,
            on_unknown_type: Policy::Stop,
            flaws: Vec::new(),
            events: PhantomData,
        }
    }

    /// Makes this version of a type into the next one.
    #[must_use]
    pub fn upcast<Old, New, In, Out>(
        self,
        event_type: &str,
        version: u32,
        upcast: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self
    where
        Old: UpcastInput<In>,
        New: UpcastOutput<Out>,
    {
        let next = version.saturating_add(1);
        self.becomes((event_type, version), (event_type, next), upcast)
    }

    /// Makes this version of a type into a version of another one: of a type that was merged with it, or
    /// that took its place.
    #[must_use]
    pub fn becomes<Old, New, In, Out>(
        mut self,
        from: (&str, u32),
        to: (&str, u32),
        upcast: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self
    where
        Old: UpcastInput<In>,
        New: UpcastOutput<Out>,
    {
        if let (Some(from), Some(to)) = (self.schema(from), self.schema(to)) {
            self.steps.push(Step::single(from, to, upcast));
        }
        self
    }

    /// Splits this version of a type into any number of events, of the schemas in `to`.
    #[must_use]
    pub fn split<Old, New, In>(
        mut self,
        from: (&str, u32),
        to: &[(&str, u32)],
        split: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self
    where
        Old: UpcastInput<In>,
        New: SplitOutput,
    {
        let to: Vec<Schema> = to.iter().filter_map(|to| self.schema(*to)).collect();
        if let Some(from) = self.schema(from) {
            self.steps.push(Step::split(from, to, split));
        }
        self
    }

    /// Drops this version of a type: such an event reads as none.
    #[must_use]
    pub fn dropped(mut self, event_type: &str, version: u32) -> Self {
        if let Some(from) = self.schema((event_type, version)) {
            self.steps.push(Step::drop(from));
        }
        self
    }

    /// Reads what was recorded under a name as if it had been under another, version by version.
    #[must_use]
    pub fn renamed(mut self, old: &str, new: &str) -> Self {
        if let (Some(old), Some(new)) = (self.schema((old, 1)), self.schema((new, 1))) {
            self.renamed.push((old.event_type, new.event_type));
        }
        self
    }

    /// Makes this version of a type into the one before it, for readers that lag; it runs while
    /// [`write_as`](Self::write_as) asks for it.
    #[must_use]
    pub fn downcast<New, Old, In, Out>(
        mut self,
        event_type: &str,
        version: u32,
        downcast: impl Fn(New) -> Old + Send + Sync + 'static,
    ) -> Self
    where
        New: UpcastInput<In>,
        Old: UpcastOutput<Out>,
    {
        let before = version.saturating_sub(1);
        if let (Some(from), Some(to)) = (
            self.schema((event_type, version)),
            self.schema((event_type, before)),
        ) {
            self.downcasts.push(Step::single(from, to, downcast));
        }
        self
    }

    /// Writes events of this type in an older version, for as long as readers are about that know no newer
    /// one. What the downcasters leave out is not recorded.
    ///
    /// Where readers know no new name, the type is an older one that [`renamed`](Self::renamed) states:
    /// `write_as("handed-over", 1)`. What was split, merged or dropped is not written as it was.
    #[must_use]
    pub fn write_as(mut self, event_type: &str, version: u32) -> Self {
        if let Some(schema) = self.schema((event_type, version)) {
            self.write_as.push(schema);
        }
        self
    }

    /// What becomes of events whose version is above the code's; [`Policy::Stop`] by default.
    #[must_use]
    pub fn on_future(mut self, policy: Policy<E>) -> Self {
        self.on_future = policy;
        self
    }

    /// What becomes of events whose type neither the code nor an upcaster knows; [`Policy::Stop`] by default.
    #[must_use]
    pub fn on_unknown_type(mut self, policy: Policy<E>) -> Self {
        self.on_unknown_type = policy;
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn build(mut self) -> Result<Evolution<E>, EvolutionError> {
        let mut flaws = std::mem::take(&mut self.flaws);
        let renamed = check::renames(&self, &mut flaws);
        let lagging = check::lagging(
            std::mem::take(&mut self.downcasts),
            &self.write_as,
            &renamed,
            &mut flaws,
            E::KINDS,
        );
        let mut steps = Steps::new();
        for step in self.steps {
            let (from, to) = (step.from.clone(), step.planned());
            let versions = steps.entry(from.event_type.clone()).or_default();
            if let Some(first) = versions.insert(from.schema_version, step) {
                let text = format!(
                    "two upcasters start from {from} ({} and {to}); remove one",
                    first.planned()
                );
                flaws.push(Flaw::new(FlawKind::TwoSteps, text));
            }
        }
        check::chains::<E>(&steps, &mut flaws);
        EvolutionError::check(flaws)?;
        Ok(Evolution {
            steps,
            renamed,
            lagging,
            on_future: self.on_future,
            on_unknown_type: self.on_unknown_type,
        })
    }

    /// A schema, or a flaw about its name.
    fn schema(&mut self, (event_type, version): (&str, u32)) -> Option<Schema> {
        step::parse(event_type, version)
            .map_err(|error| {
                let text = format!("`{event_type}` v{version} is no schema: {error}");
                self.flaws.push(Flaw::new(FlawKind::BadName, text));
            })
            .ok()
    }
}

impl<E> fmt::Debug for EvolutionBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvolutionBuilder")
            .field("steps", &self.steps)
            .field("renamed", &self.renamed)
            .field("downcasts", &self.downcasts)
            .field("write_as", &self.write_as)
            .finish_non_exhaustive()
    }
}

/// The renames as stated, by the older name.
pub(super) type Renames = HashMap<EventType, EventType>;
