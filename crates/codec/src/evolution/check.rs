//! Whether what was stated leads everything to the present.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use annals_core::{Event, EventKind, EventType, SchemaVersion};

use super::builder::Renames;
use super::flaw::{Flaw, FlawKind};
use super::registry::{Lagging, Steps, current_version};
use super::step::Step;
use super::{EvolutionBuilder, Schema};

/// Every version that may be stored leads to the present, by one way, without a circle.
pub(super) fn chains<E: Event>(steps: &Steps, flaws: &mut Vec<Flaw>) {
    for kind in E::KINDS {
        let current = kind.schema_version();
        let steps = steps.get(kind.event_type());
        versions_before(kind.event_type(), current.value(), steps, flaws);
        let too_new = steps.into_iter().flat_map(|steps| steps.range(current..));
        flaws.extend(too_new.map(|(_, step)| not_old(step, current)));
    }
    let retired = steps
        .iter()
        .filter(|(name, _)| current_version::<E>(name).is_none());
    for (event_type, steps) in retired {
        let newest = steps.keys().next_back().copied().unwrap_or_default();
        versions_before(event_type, newest.value(), Some(steps), flaws);
    }
    for step in all(steps) {
        let lost = step.to.iter();
        let lost =
            lost.filter(|schema| !is_known::<E>(steps, schema) && !is_old::<E>(steps, schema));
        flaws.extend(lost.map(|schema| dead_end(step, schema)));
    }
    circles(steps, flaws);
}

/// Each version below this one has a step. Reports runs of gaps as one flaw.
fn versions_before(
    event_type: &EventType,
    end: u32,
    steps: Option<&BTreeMap<SchemaVersion, Step>>,
    flaws: &mut Vec<Flaw>,
) {
    let mut covered: Vec<u32> = steps
        .into_iter()
        .flat_map(|steps| steps.keys().map(|version| version.value()))
        .filter(|version| *version < end)
        .collect();
    covered.push(end);
    let mut next = 1_u32;
    for version in covered {
        if next < version {
            let which = if next + 1 == version {
                format!("v{next}")
            } else {
                format!("v{next} to v{}", version - 1)
            };
            let text = format!(
                "`{event_type}` has no upcaster from {which}; write one, so that old events stay readable"
            );
            flaws.push(Flaw::new(FlawKind::Gap, text));
        }
        next = version.saturating_add(1);
    }
}

fn not_old(step: &Step, current: SchemaVersion) -> Flaw {
    let text = format!(
        "the upcaster {} starts from no older version: the code writes v{current}; raise the type's version",
        step.planned()
    );
    Flaw::new(FlawKind::NotOld, text)
}

fn dead_end(step: &Step, schema: &Schema) -> Flaw {
    let text = format!(
        "the upcaster {} ends at {schema}, which is neither the present nor has an upcaster; write it",
        step.planned()
    );
    Flaw::new(FlawKind::Gap, text)
}

fn is_known<E: Event>(steps: &Steps, schema: &Schema) -> bool {
    current_version::<E>(&schema.event_type) == Some(schema.schema_version)
        || step_of(steps, schema).is_some()
}

/// Whether it is older than what is known of its type: then it is a gap among the versions already.
fn is_old<E: Event>(steps: &Steps, schema: &Schema) -> bool {
    let newest_step = steps
        .get(&schema.event_type)
        .and_then(|steps| steps.keys().next_back());
    let newest = current_version::<E>(&schema.event_type).or(newest_step.copied());
    newest.is_some_and(|newest| schema.schema_version < newest)
}

fn step_of<'a>(steps: &'a Steps, schema: &Schema) -> Option<&'a Step> {
    steps.get(&schema.event_type)?.get(&schema.schema_version)
}

/// Takes away, again and again, what leads to nothing that is left; what remains leads in circles, or into
/// one.
fn circles(steps: &Steps, flaws: &mut Vec<Flaw>) {
    let mut left: BTreeSet<&Schema> = all(steps).map(|step| &step.from).collect();
    loop {
        let ends: Vec<&Schema> = left
            .iter()
            .copied()
            .filter(|schema| {
                let step = step_of(steps, schema);
                step.is_none_or(|step| step.to.iter().all(|to| !left.contains(to)))
            })
            .collect();
        if ends.is_empty() {
            break;
        }
        for schema in ends {
            left.remove(schema);
        }
    }
    if let Some(circle) = circle(steps, &left) {
        let text =
            format!("upcasters lead in a circle: {circle}; let one of them lead to the present");
        flaws.push(Flaw::new(FlawKind::Cycle, text));
    }
}

/// A circle among these, each of which leads to another one of them.
fn circle(steps: &Steps, left: &BTreeSet<&Schema>) -> Option<String> {
    let mut path: Vec<&Schema> = vec![left.first()?];
    loop {
        let step = step_of(steps, path.last()?)?;
        let next = step.to.iter().find(|to| left.contains(to))?;
        if let Some(start) = path.iter().position(|schema| *schema == next) {
            let names = path.iter().skip(start).chain([&next]);
            let names: Vec<String> = names.map(ToString::to_string).collect();
            return Some(names.join(" -> "));
        }
        path.push(next);
    }
}

fn all(steps: &Steps) -> impl Iterator<Item = &Step> {
    steps.values().flat_map(BTreeMap::values)
}

/// What every older name is now, at once.
pub(super) fn renames<E: Event>(builder: &EvolutionBuilder<E>, flaws: &mut Vec<Flaw>) -> Renames {
    let has_step = |name: &EventType| {
        builder
            .steps
            .iter()
            .any(|step| step.from.event_type == *name)
    };
    let mut renamed = BTreeMap::new();
    for (old, new) in &builder.renamed {
        if current_version::<E>(old).is_some() || has_step(old) {
            let text = format!(
                "`{old}` is renamed to `{new}` and in use; remove the rename, or state the upcasters under `{new}`"
            );
            flaws.push(Flaw::new(FlawKind::TakenName, text));
        } else if let Some(first) = renamed.insert(old.clone(), new.clone()) {
            let text = format!("`{old}` is renamed to `{first}` and to `{new}`; remove one");
            flaws.push(Flaw::new(FlawKind::TakenName, text));
        }
    }
    let mut present = Renames::new();
    for old in renamed.keys() {
        let mut path = vec![old];
        while let Some(new) = path.last().and_then(|name| renamed.get(*name)) {
            if path.contains(&new) {
                let names: Vec<String> = path.iter().map(|name| format!("`{name}`")).collect();
                let text = format!(
                    "renames lead in a circle: {} -> `{new}`",
                    names.join(" -> ")
                );
                flaws.push(Flaw::new(FlawKind::Cycle, text));
                break;
            }
            path.push(new);
        }
        let Some(new) = path.last() else { continue };
        if renamed.contains_key(*new) {
            continue;
        }
        if current_version::<E>(new).is_none() && !has_step(new) {
            let text =
                format!("`{old}` is renamed to `{new}`, which nobody knows; correct the name");
            flaws.push(Flaw::new(FlawKind::UnknownName, text));
        }
        present.insert(old.clone(), (*new).clone());
    }
    present
}

/// What is written for readers that lag, by the present type.
pub(super) fn lagging(
    steps: Vec<Step>,
    write_as: &[Schema],
    renamed: &Renames,
    flaws: &mut Vec<Flaw>,
    kinds: &[EventKind],
) -> HashMap<EventType, Lagging> {
    let mut by_schema: BTreeMap<Schema, Step> = BTreeMap::new();
    for step in steps {
        let (from, planned) = (step.from.clone(), step.planned());
        let kind = kinds
            .iter()
            .find(|kind| *kind.event_type() == from.event_type);
        if kind.is_none_or(|kind| kind.schema_version() < from.schema_version) {
            let text = format!(
                "the downcaster {planned} starts from what the code never writes; correct it"
            );
            flaws.push(Flaw::new(FlawKind::UnknownName, text));
        } else if by_schema.insert(from.clone(), step).is_some() {
            let text = format!("two downcasters start from {from}; remove one");
            flaws.push(Flaw::new(FlawKind::TwoSteps, text));
        }
    }
    let mut chosen = HashMap::new();
    for oldest in write_as {
        let event_type = renamed
            .get(&oldest.event_type)
            .unwrap_or(&oldest.event_type);
        let kind = kinds.iter().find(|kind| kind.event_type() == event_type);
        let Some(kind) = kind.filter(|kind| oldest.schema_version <= kind.schema_version()) else {
            let text =
                format!("{oldest} is to be written, which the code does not know; correct it");
            flaws.push(Flaw::new(FlawKind::UnknownName, text));
            continue;
        };
        let mut chain = Vec::new();
        let versions = oldest.schema_version.value() + 1..=kind.schema_version().value();
        for version in versions
            .rev()
            .filter_map(|version| SchemaVersion::new(version).ok())
        {
            let schema = Schema::new(event_type.clone(), version);
            if let Some(step) = by_schema.remove(&schema) {
                chain.push(step);
                continue;
            }
            let text = format!(
                "{oldest} is to be written, and no downcaster starts from {schema}; write it"
            );
            flaws.push(Flaw::new(FlawKind::Gap, text));
        }
        let lagging = Lagging {
            event_type: oldest.event_type.clone(),
            steps: chain,
        };
        if chosen.insert(event_type.clone(), lagging).is_some() {
            let text = format!("`{event_type}` is to be written in two versions; remove one");
            flaws.push(Flaw::new(FlawKind::TwoSteps, text));
        }
    }
    chosen
}
