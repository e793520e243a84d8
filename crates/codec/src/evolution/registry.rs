//! The checked registry of upcasters.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use annals_core::{ContentRef, Event, EventType, SchemaVersion};

use super::step::Step;
use super::{EvolutionBuilder, Plan, PlannedStep, Policy, Schema};
use crate::{Error, ErrorKind};

/// Steps by the schema that they start from.
pub(super) type Steps = HashMap<EventType, BTreeMap<SchemaVersion, Step>>;

/// How events of the type `E` that were recorded under older schemas become those of the present: a registry
/// of upcasters, checked when it was built.
///
/// For every version of every type that may be stored it has the steps to the present; see
/// [`EvolutionBuilder`] for how they are stated and what is checked. It is put to work by
/// [`Evolving`](crate::Evolving).
pub struct Evolution<E> {
    /// Upcasters; none starts from the present, and all lead there.
    pub(super) steps: Steps,
    /// What older names are now.
    pub(super) renamed: HashMap<EventType, EventType>,
    /// What is written for readers that lag, by the present type.
    pub(super) lagging: HashMap<EventType, Lagging>,
    pub(super) on_future: Policy<E>,
    pub(super) on_unknown_type: Policy<E>,
}

/// How events of a type are written for readers that lag.
#[derive(Debug)]
pub(super) struct Lagging {
    /// The name that they know.
    pub(super) event_type: EventType,
    /// Downcasters from the present, in the order in which they run.
    pub(super) steps: Vec<Step>,
}

/// What the code knows of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is of the present, maybe under an older name.
    Current,
    /// Steps lead to the present.
    Old,
    /// It is newer than the newest that the code knows, which is this.
    Future(SchemaVersion),
    UnknownType,
}

impl<E: Event> Evolution<E> {
    /// A registry in the making.
    pub fn builder() -> EvolutionBuilder<E> {
        EvolutionBuilder::new()
    }

    /// What becomes of events of a schema: the steps that run, in order.
    ///
    /// ```
    /// # use annals_codec::{Evolution, Plan, Schema, Value};
    /// # use annals_core::{EventType, SchemaVersion};
    /// # #[derive(annals_macros::Event)]
    /// # #[event(category = "account")]
    /// # enum AccountEvent { #[event(version = 2)] Deposited }
    /// # let evolution = Evolution::<AccountEvent>::builder()
    /// #     .upcast("deposited", 1, |old: Value| old)
    /// #     .build()?;
    /// let old = Schema::new(EventType::from_static("deposited"), SchemaVersion::FIRST);
    /// let Plan::Steps(steps) = evolution.plan(&old) else { panic!() };
    /// assert_eq!(steps[0].to_string(), "deposited v1 -> deposited v2");
    /// # Ok::<(), annals_codec::EvolutionError>(())
    /// ```
    pub fn plan(&self, schema: &Schema) -> Plan {
        let (present, standing) = self.standing(&schema.event_type, schema.schema_version);
        let mut steps = Vec::new();
        if present.event_type != schema.event_type {
            steps.push(PlannedStep {
                from: schema.clone(),
                to: vec![present.clone()],
            });
        }
        match standing {
            Standing::Future(_) => return Plan::Future,
            Standing::UnknownType => return Plan::UnknownType,
            Standing::Current => {}
            Standing::Old => self.collect_steps(present, &mut steps),
        }
        if steps.is_empty() {
            Plan::Current
        } else {
            Plan::Steps(steps)
        }
    }

    /// The steps from a schema to the present, each once.
    fn collect_steps(&self, from: Schema, steps: &mut Vec<PlannedStep>) {
        let mut waiting = vec![from];
        while let Some(schema) = waiting.pop() {
            let Some(step) = self.step(&schema) else {
                continue;
            };
            let planned = step.planned();
            if !steps.contains(&planned) {
                steps.push(planned);
                waiting.extend(step.to.iter().rev().cloned());
            }
        }
    }

    /// The schema under its present name, and what the code knows of it.
    pub(super) fn standing(
        &self,
        event_type: &EventType,
        schema_version: SchemaVersion,
    ) -> (Schema, Standing) {
        let event_type = self.renamed.get(event_type).unwrap_or(event_type);
        let steps = self.steps.get(event_type);
        let has_step = steps.is_some_and(|steps| steps.contains_key(&schema_version));
        let newest_step = steps.and_then(|steps| steps.keys().next_back().copied());
        let current = current_version::<E>(event_type);
        let standing = match current.or(newest_step) {
            _ if has_step => Standing::Old,
            None => Standing::UnknownType,
            Some(_) if current == Some(schema_version) => Standing::Current,
            Some(newest) => Standing::Future(newest),
        };
        (Schema::new(event_type.clone(), schema_version), standing)
    }

    /// The error about a type that neither the code nor an upcaster knows.
    pub(super) fn unknown_type(&self, content: ContentRef<'_>) -> Error {
        let kinds = E::KINDS.iter().map(|kind| kind.event_type().as_str());
        let mut known: Vec<&str> = kinds.collect();
        let older = self.steps.keys().chain(self.renamed.keys());
        known.extend(older.map(EventType::as_str));
        known.sort_unstable();
        known.dedup();
        let message = "event type is none that the code knows; add it, or read another category";
        Error::new(ErrorKind::UnknownType, message)
            .with("event type", content.event_type)
            .with("category", E::CATEGORY)
            .with("known types", known.join(", "))
    }
}

impl<E> Evolution<E> {
    /// The schemas that events may be stored in and upcasters start from, in order. Names that a type had before
    /// are not among them.
    pub fn old_schemas(&self) -> Vec<Schema> {
        let steps = self.steps.iter();
        let mut schemas: Vec<Schema> = steps
            .flat_map(|(event_type, steps)| {
                steps
                    .keys()
                    .map(|version| Schema::new(event_type.clone(), *version))
            })
            .collect();
        schemas.sort_unstable_by(|one, other| {
            let key = |schema: &Schema| (schema.event_type.clone(), schema.schema_version);
            key(one).cmp(&key(other))
        });
        schemas
    }

    pub(super) fn step(&self, schema: &Schema) -> Option<&Step> {
        self.steps
            .get(&schema.event_type)?
            .get(&schema.schema_version)
    }

    pub(super) fn all_steps(&self) -> impl Iterator<Item = &Step> {
        let up = self.steps.values().flat_map(BTreeMap::values);
        up.chain(self.lagging.values().flat_map(|lagging| &lagging.steps))
    }
}

/// The version of the type that the code writes now, if it is a kind of `E`.
pub(super) fn current_version<E: Event>(event_type: &EventType) -> Option<SchemaVersion> {
    let mut kinds = E::KINDS.iter();
    let kind = kinds.find(|kind| kind.event_type() == event_type)?;
    Some(kind.schema_version())
}

impl<E> fmt::Debug for Evolution<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evolution")
            .field("steps", &self.steps)
            .field("renamed", &self.renamed)
            .field("lagging", &self.lagging)
            .field("on_future", &self.on_future)
            .field("on_unknown_type", &self.on_unknown_type)
            .finish()
    }
}
