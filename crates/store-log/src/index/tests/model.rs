//! What an index should answer, the slow way.

use std::collections::{BTreeMap, BTreeSet};

use annals_core::{
    Criteria, CriteriaItem, Direction, EventType, StreamId, StreamPolicy, Tag, Tags, Version,
};
use annals_log::{LogId, Place, RecordAt};
use proptest::prelude::*;

use super::super::{Entry, Memtable, Part, Result, StreamEnd, Term, matches};

pub(crate) const LOG_ID: LogId = LogId::from_bytes(*b"the log's own id");
pub(crate) const STREAMS: [&str; 5] = ["account-1", "account-2", "order-x-1", "order", "gone-1"];
pub(crate) const TYPES: [&str; 4] = ["opened", "paid", "closed", "never"];
pub(crate) const TAGS: [&str; 5] = ["a:1", "a:2", "b:1", "opened", "never:1"];

/// One thing that happens to an index.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Event {
        stream: usize,
        event_type: usize,
        tags: Vec<usize>,
        append: bool,
        bytes: u32,
    },
    Lost(usize),
    Policy {
        stream: usize,
        version: u64,
    },
}

/// An event as the model keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) position: u64,
    pub(crate) stream: &'static str,
    pub(crate) version: u64,
    pub(crate) type_name: &'static str,
    pub(crate) tags: Vec<&'static str>,
    pub(crate) id: u128,
    pub(crate) append_id: Option<String>,
    pub(crate) at: RecordAt,
}

/// Steps as events at positions, from 1 on.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) happenings: Vec<Happening>,
    pub(crate) last: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Event(Event),
    Lost,
    Policy(&'static str, u64),
}

/// The plain model of one part of the history.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) first: u64,
    pub(crate) last: u64,
    events: Vec<Event>,
    policies: BTreeMap<&'static str, u64>,
}

pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let tags = prop::collection::vec(0..TAGS.len() - 1, 0..4);
    let event = (
        0..STREAMS.len() - 1,
        0..TYPES.len() - 1,
        tags,
        any::<bool>(),
    );
    let step = prop_oneof![
        20 => (event, 1..100_000_u32).prop_map(|((stream, event_type, tags, append), bytes)| {
            Step::Event { stream, event_type, tags, append, bytes }
        }),
        1 => (1..4_usize).prop_map(Step::Lost),
        1 => (0..STREAMS.len(), 0..9_u64)
            .prop_map(|(stream, version)| Step::Policy { stream, version }),
    ];
    prop::collection::vec(step, 0..count)
}

impl History {
    pub(crate) fn new(steps: &[Step]) -> Self {
        let mut history = Self::default();
        let mut heads = [0; STREAMS.len()];
        let mut offset = 4096;
        let mut segment = 1;
        for step in steps {
            match step {
                Step::Event {
                    stream,
                    event_type,
                    tags,
                    append,
                    bytes,
                } => {
                    history.last += 1;
                    heads[*stream] += 1;
                    if *bytes > 95_000 {
                        (segment, offset) = (segment + 1, 4096);
                    }
                    let tags: BTreeSet<&str> = tags.iter().map(|tag| TAGS[*tag]).collect();
                    history.happenings.push(Happening::Event(Event {
                        position: history.last,
                        stream: STREAMS[*stream],
                        version: heads[*stream],
                        type_name: TYPES[*event_type],
                        tags: tags.into_iter().collect(),
                        id: u128::from(history.last) << 70,
                        append_id: append.then(|| format!("append {}", history.last)),
                        at: RecordAt::from_bits(segment << 32 | u64::from(offset)),
                    }));
                    offset += bytes;
                }
                Step::Lost(count) => {
                    history.last += *count as u64;
                    heads[*count] += *count as u64;
                    history
                        .happenings
                        .extend((0..*count).map(|_| Happening::Lost));
                }
                Step::Policy { stream, version } => {
                    history
                        .happenings
                        .push(Happening::Policy(STREAMS[*stream], *version));
                }
            }
        }
        history
    }

    /// The history cut before these happenings, as a memtable and a model for each piece.
    pub(crate) fn pieces(&self, cuts: &[usize]) -> Vec<(Memtable, Model)> {
        let mut pieces = Vec::new();
        let mut cuts: Vec<usize> = cuts
            .iter()
            .map(|cut| cut % (self.happenings.len() + 1))
            .chain([0, self.happenings.len()])
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut first = 1;
        for pair in cuts.windows(2) {
            let piece = &self.happenings[pair[0]..pair[1]];
            let memtable = memtable(first, piece);
            let model = Model::new(first, piece);
            first = model.last + 1;
            pieces.push((memtable, model));
        }
        pieces
    }
}

fn memtable(first: u64, piece: &[Happening]) -> Memtable {
    let mut memtable = Memtable::new(LOG_ID, first);
    for happening in piece {
        match happening {
            Happening::Event(event) => {
                let entry = Entry {
                    stream: event.stream,
                    version: event.version,
                    event_type: event.type_name,
                    event_id: event.id,
                    append_id: event.append_id.as_deref(),
                    at: event.at,
                };
                memtable.insert(&entry, event.tags.iter().copied());
            }
            Happening::Lost => memtable.skip_lost(1),
            Happening::Policy(stream, version) => {
                memtable.set_policy(&StreamId::parse(stream).unwrap(), policy(*version));
            }
        }
    }
    memtable
}

fn policy(version: u64) -> StreamPolicy {
    let mut policy = StreamPolicy::default();
    policy.truncate_before = Version::new(version);
    policy.max_count = Some(version);
    policy
}

impl Model {
    fn new(first: u64, piece: &[Happening]) -> Self {
        let mut model = Self {
            first,
            last: first - 1,
            events: Vec::new(),
            policies: BTreeMap::new(),
        };
        for happening in piece {
            model.last += u64::from(!matches!(happening, Happening::Policy(..)));
            match happening {
                Happening::Event(event) => model.events.push(event.clone()),
                Happening::Policy(stream, version) => {
                    model.policies.insert(stream, *version);
                }
                Happening::Lost => {}
            }
        }
        model
    }

    /// Where the log goes on after this part.
    pub(crate) fn upto(&self) -> Place {
        Place {
            at: RecordAt::new(1, u32::try_from(4096 + self.last).unwrap()),
            next_number: self.last + 1,
        }
    }

    /// The model of this part and the one after it.
    pub(crate) fn joined(mut self, later: Self) -> Self {
        assert_eq!(self.last + 1, later.first);
        self.last = later.last;
        self.events.extend(later.events);
        self.policies.extend(later.policies);
        self
    }

    fn positions(&self, choose: impl Fn(&Event) -> bool) -> Vec<u64> {
        let chosen = self.events.iter().filter(|event| choose(event));
        chosen.map(|event| event.position).collect()
    }

    fn has(event: &Event, term: Term<'_>) -> bool {
        match term {
            Term::Category(text) => event.stream.split('-').next() == Some(text),
            Term::Type(text) => event.type_name == text,
            Term::Tag(text) => event.tags.contains(&text),
        }
    }
}

/// Asks the part everything; the first answer that is not the model's, or the part's error.
pub(crate) fn compare(part: &dyn Part, model: &Model) -> Result<(), String> {
    let fail = |error| format!("error: {error}");
    same("first", &part.first(), &model.first)?;
    same("last", &part.last(), &model.last)?;
    compare_streams(part, model)?;
    for term in terms() {
        let expected = model.positions(|event| Model::has(event, term));
        let found = part.ordinals(term).map_err(fail)?;
        let positions: Result<Vec<u64>> = found
            .forward(0)
            .map(|ordinal| Ok(part.first() + u64::from(ordinal?)))
            .collect();
        same(&format!("{term:?}"), &positions.map_err(fail)?, &expected)?;
        let newest = part.newest(term).map_err(fail)?;
        same(
            &format!("newest {term:?}"),
            &newest,
            &expected.last().copied(),
        )?;
    }
    for event in &model.events {
        compare_ids(part, model, event)?;
    }
    for position in (model.first.saturating_sub(2)..=model.last + 2).chain([0, u64::MAX]) {
        let at = part.record_at(position).map_err(fail)?;
        let event = model.events.iter().find(|event| event.position == position);
        same(
            &format!("record {position}"),
            &at,
            &event.map(|event| event.at),
        )?;
    }
    compare_criteria(part, model)
}

fn compare_streams(part: &dyn Part, model: &Model) -> Result<(), String> {
    let fail = |error| format!("error: {error}");
    same(
        "policies",
        &part.has_policies(),
        &!model.policies.is_empty(),
    )?;
    for stream in STREAMS.into_iter().chain(["", "account-", "accounu-1"]) {
        let of_stream = |event: &&Event| event.stream == stream;
        let last = model.events.iter().rfind(of_stream);
        let head = last.map(|event| StreamEnd {
            version: event.version,
            position: *model
                .positions(|event| event.stream == stream)
                .last()
                .unwrap(),
        });
        same("head", &part.stream_head(stream).map_err(fail)?, &head)?;
        let set = model.policies.get(stream).map(|version| policy(*version));
        same("policy", &part.policy(stream).map_err(fail)?, &set)?;
        for (from, to) in [(0, u64::MAX), (1, 3), (2, 2), (5, 40), (3, 2), (900, 901)] {
            let versions = from..=to;
            let mut expected = model
                .positions(|event| event.stream == stream && versions.contains(&event.version));
            for direction in [Direction::Forward, Direction::Backward] {
                for limit in [0, 1, 3, usize::MAX] {
                    let mut found = vec![7];
                    part.stream_positions(stream, versions.clone(), direction, limit, &mut found)
                        .map_err(fail)?;
                    let end = expected.len().min(limit);
                    let what = format!("{stream} {versions:?} {direction:?} {limit}");
                    same(&what, &found[1..].to_vec(), &expected[..end].to_vec())?;
                }
                expected.reverse();
            }
        }
    }
    Ok(())
}

fn compare_ids(part: &dyn Part, model: &Model, event: &Event) -> Result<(), String> {
    let fail = |error| format!("error: {error}");
    let mut found = Vec::new();
    part.event_id(event.id, &mut found).map_err(fail)?;
    let within = |found: &Vec<u64>| {
        found.contains(&event.position)
            && found.len() < 3
            && found
                .iter()
                .all(|at| (model.first..=model.last).contains(at))
    };
    same("event id", &within(&found), &true)?;
    found.clear();
    part.event_id(event.id + 1, &mut found).map_err(fail)?;
    same("event id of no event", &found, &Vec::new())?;
    if let Some(id) = &event.append_id {
        found.clear();
        part.append_id(id, &mut found).map_err(fail)?;
        same("append id", &within(&found), &true)?;
    }
    Ok(())
}

fn compare_criteria(part: &dyn Part, model: &Model) -> Result<(), String> {
    let fail = |error| format!("error: {error}");
    for criteria in all_criteria() {
        for (from, to) in [
            (0, u64::MAX),
            (model.first + 2, model.last),
            (9, 40),
            (40, 9),
        ] {
            let positions = from..=to;
            let found = matches(part, &criteria, positions.clone()).map_err(fail)?;
            let expected = model.positions(|event| {
                let tags = event.tags.iter().map(|tag| Tag::parse(tag).unwrap());
                let event_type = EventType::parse(event.type_name).unwrap();
                positions.contains(&event.position)
                    && criteria.selects(&event_type, &Tags::new(tags).unwrap())
            });
            let lost =
                |position: &u64| model.events.iter().any(|event| event.position == *position);
            let position = |ordinal: Result<u32>| Ok(part.first() + u64::from(ordinal?));
            let forward: Result<Vec<u64>> = found.forward(0).map(position).collect();
            let mut forward = forward.map_err(fail)?;
            let backward: Result<Vec<u64>> = found.backward(u32::MAX).map(position).collect();
            let mut backward = backward.map_err(fail)?;
            backward.reverse();
            forward.retain(lost);
            backward.retain(lost);
            same(&format!("{criteria} {positions:?}"), &forward, &expected)?;
            same(
                &format!("{criteria} {positions:?} backward"),
                &backward,
                &expected,
            )?;
        }
    }
    Ok(())
}

fn terms() -> Vec<Term<'static>> {
    let categories = ["account", "order", "gone", "", "account-1"];
    let mut terms: Vec<Term<'_>> = categories.into_iter().map(Term::Category).collect();
    terms.extend(TYPES.into_iter().map(Term::Type));
    terms.extend(TAGS.into_iter().map(Term::Tag));
    terms
}

fn all_criteria() -> Vec<Criteria> {
    let types = |texts: &[&str]| -> Vec<EventType> {
        texts
            .iter()
            .map(|text| EventType::parse(text).unwrap())
            .collect()
    };
    let tags =
        |texts: &[&str]| Tags::new(texts.iter().map(|text| Tag::parse(text).unwrap())).unwrap();
    let item = |of: &[&str], tagged: &[&str]| CriteriaItem::new(types(of), tags(tagged)).unwrap();
    let any = |items: &[CriteriaItem]| Criteria::any_of(items.iter().cloned()).unwrap();
    vec![
        Criteria::everything(),
        any(&[item(&["opened"], &[])]),
        any(&[item(&["opened", "paid", "never"], &[])]),
        any(&[item(&[], &["a:1"])]),
        any(&[item(&["paid"], &["a:1"])]),
        any(&[item(&["never"], &["a:1"])]),
        any(&[item(&["paid"], &["never:1"])]),
        any(&[item(&["paid", "opened"], &["a:1", "b:1"])]),
        any(&[
            item(&["paid"], &["a:1"]),
            item(&[], &["a:2", "b:1"]),
            item(&["closed"], &[]),
        ]),
    ]
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}
