//! Commands that are sent together.

use std::collections::{HashMap, HashSet};

use annals_core::{AppendId, EventId, Expected, StreamId};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::command::{Command, expected_number, number};

/// Commands of which none bears on the judgement of a later one, so that all of them can be judged on the state before
/// the first.
///
/// A later one may read what an earlier one does to a stream only where it takes the stream in any state. Whatever
/// else would have to see an earlier command waits for the next batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    ids: HashSet<AppendId>,
    written: HashSet<StreamId>,
    given: HashSet<EventId>,
    commands: usize,
    bytes: usize,
}

impl Batch {
    /// Whether the command may join those that were taken.
    pub(super) fn takes<'a>(
        &self,
        command: &Command,
        taken: &(impl Iterator<Item = &'a Command> + Clone),
    ) -> bool {
        let append = &command.append;
        let mut expectations = append.expectations();
        let mut event_ids = command.events.iter().map(|event| event.id);
        !self.ids.contains(&append.id())
            && expectations.all(|(stream, expected)| {
                expected == Expected::Any || !self.written.contains(stream)
            })
            && event_ids.all(|id| !self.given.contains(&id))
            && append.conditions().iter().all(|condition| {
                let mut events = taken.clone().flat_map(|earlier| earlier.append.events());
                !events.any(|(_, event)| condition.unless.selects(event.event_type(), event.tags()))
            })
    }

    /// Whether a command of this size still fits within these limits.
    pub(super) fn has_room(&self, bytes: usize, commands_max: usize, bytes_max: usize) -> bool {
        self.commands == 0
            || (self.commands < commands_max && self.bytes.saturating_add(bytes) <= bytes_max)
    }

    /// Takes a command.
    pub(super) fn add(&mut self, command: &Command) {
        let append = &command.append;
        self.ids.insert(append.id());
        self.written
            .extend(append.writes().iter().map(|write| write.stream.clone()));
        self.given
            .extend(command.events.iter().map(|event| event.id));
        self.commands += 1;
        self.bytes += command.bytes;
    }
}

/// The parameters of the call that records a batch, column by column.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'a> {
    command_ids: Vec<&'a str>,
    command_contents: Vec<&'a [u8]>,
    command_events: Vec<i32>,
    expected_commands: Vec<i32>,
    expected_streams: Vec<&'a str>,
    expected_versions: Vec<i64>,
    condition_commands: Vec<i32>,
    condition_sinces: Vec<i64>,
    condition_types: Vec<Option<&'a str>>,
    condition_tags: Vec<Option<&'a str>>,
    given_commands: Vec<i32>,
    given_ids: Vec<Uuid>,
    event_expectations: Vec<i32>,
    event_ordinals: Vec<i32>,
    event_ids: Vec<Uuid>,
    event_types: Vec<&'a str>,
    event_schema_versions: Vec<i64>,
    event_content_types: Vec<&'a str>,
    event_tags: Vec<Option<&'a str>>,
    event_correlations: Vec<Option<&'a str>>,
    event_causations: Vec<Option<&'a str>>,
    event_headers: Vec<Option<&'a str>>,
    event_recorded: Vec<Option<i64>>,
    event_bytes: Vec<i32>,
    event_payloads: Vec<&'a [u8]>,
    event_append_ids: Vec<Option<&'a str>>,
    run_types: Vec<&'a str>,
    run_categories: Vec<&'a str>,
    run_firsts: Vec<i32>,
    run_lasts: Vec<i32>,
    at_time: Option<i64>,
    bell: Option<&'a str>,
    /// How many events of each stream there are so far.
    ordinals: HashMap<&'a StreamId, i32>,
}

/// The types of the function's parameters, as [`APPEND_CASTS`](crate::sql::APPEND_CASTS) has them by name.
const TYPES: [Type; 32] = [
    Type::TEXT_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT8_ARRAY,
    Type::INT4_ARRAY,
    Type::INT8_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT4_ARRAY,
    Type::UUID_ARRAY,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT8_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT8_ARRAY,
    Type::INT4_ARRAY,
    Type::BYTEA_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
    Type::INT8,
    Type::TEXT,
];

impl<'a> Parameters<'a> {
    /// `at_time` is what the log's clock shows, where it is not the server's; `bell` the channel to ring.
    pub(crate) fn new(
        commands: &[&'a Command],
        at_time: Option<i64>,
        bell: Option<&'a str>,
    ) -> Self {
        let mut parameters = Self {
            at_time,
            bell,
            ..Self::default()
        };
        for command in commands {
            parameters.add(command);
        }
        parameters.shorten();
        parameters
    }

    /// Leaves away what the function `append` makes up for: each entry of a list costs the server time.
    fn shorten(&mut self) {
        if (1..)
            .zip(&self.event_ordinals)
            .all(|(place, ordinal)| place == *ordinal)
        {
            self.event_ordinals.clear();
        }
        once(&mut self.event_types);
        once(&mut self.event_schema_versions);
        once(&mut self.event_content_types);
        up_to_last(&mut self.event_tags);
        up_to_last(&mut self.event_correlations);
        up_to_last(&mut self.event_causations);
        up_to_last(&mut self.event_headers);
        up_to_last(&mut self.event_recorded);
        up_to_last(&mut self.event_append_ids);
    }

    fn add(&mut self, command: &'a Command) {
        let append = &command.append;
        self.command_ids.push(command.id());
        self.command_contents.push(&command.content);
        self.command_events.push(command.event_count());
        let place = number(self.command_ids.len());
        for item in &command.items {
            self.condition_commands.push(place);
            self.condition_sinces.push(item.since);
            self.condition_types.push(item.types.as_deref());
            self.condition_tags.push(item.tags.as_deref());
        }
        let mut parts = command.events.iter();
        let mut is_first = true;
        for write in append.writes() {
            self.expect(place, write.stream.as_str(), write.expected);
            let expectation = number(self.expected_streams.len());
            let last = self.ordinals.entry(&write.stream).or_default();
            let first = *last + 1;
            *last += number(write.events.len());
            self.event_ordinals.extend(first..=*last);
            for (event, parts) in write.events.iter().zip(&mut parts) {
                if event.id().is_some() {
                    self.given_commands.push(place);
                    self.given_ids.push(parts.id.as_uuid());
                }
                self.event_expectations.push(expectation);
                self.event_ids.push(parts.id.as_uuid());
                self.run(event.event_type().as_str(), write.stream.category_str());
                self.event_types.push(event.event_type().as_str());
                self.event_schema_versions
                    .push(event.schema_version().value().into());
                self.event_content_types.push(event.content_type().as_str());
                self.event_tags.push(parts.tags.as_deref());
                self.event_correlations.push(parts.correlation.as_deref());
                self.event_causations.push(parts.causation.as_deref());
                self.event_headers.push(parts.headers.as_deref());
                self.event_recorded
                    .push(event.recorded_at().map(annals_core::Timestamp::as_micros));
                self.event_bytes.push(number(event.bytes()));
                self.event_payloads.push(event.payload());
                self.event_append_ids.push(is_first.then(|| command.id()));
                is_first = false;
            }
        }
        for check in append.checks() {
            self.expect(place, check.stream.as_str(), check.expected);
        }
    }

    /// Counts the newest event into the newest run, or begins one.
    fn run(&mut self, event_type: &'a str, category: &'a str) {
        let place = number(self.event_ids.len());
        let goes_on = self.run_types.last() == Some(&event_type)
            && self.run_categories.last() == Some(&category);
        match self.run_lasts.last_mut() {
            Some(last) if goes_on => *last = place,
            _ => {
                self.run_types.push(event_type);
                self.run_categories.push(category);
                self.run_firsts.push(place);
                self.run_lasts.push(place);
            }
        }
    }

    fn expect(&mut self, place: i32, stream: &'a str, expected: Expected) {
        self.expected_commands.push(place);
        self.expected_streams.push(stream);
        self.expected_versions.push(expected_number(expected));
    }

    /// The same with their types.
    pub(crate) fn typed(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values().into_iter().zip(TYPES).collect()
    }

    /// In the order of the function's own.
    pub(crate) fn values(&self) -> [&(dyn ToSql + Sync); 32] {
        [
            &self.command_ids,
            &self.command_contents,
            &self.command_events,
            &self.expected_commands,
            &self.expected_streams,
            &self.expected_versions,
            &self.condition_commands,
            &self.condition_sinces,
            &self.condition_types,
            &self.condition_tags,
            &self.given_commands,
            &self.given_ids,
            &self.event_expectations,
            &self.event_ordinals,
            &self.event_ids,
            &self.event_types,
            &self.event_schema_versions,
            &self.event_content_types,
            &self.event_tags,
            &self.event_correlations,
            &self.event_causations,
            &self.event_headers,
            &self.event_recorded,
            &self.event_bytes,
            &self.event_payloads,
            &self.event_append_ids,
            &self.run_types,
            &self.run_categories,
            &self.run_firsts,
            &self.run_lasts,
            &self.at_time,
            &self.bell,
        ]
    }
}

/// One entry in place of many that are the same.
fn once<T: PartialEq>(list: &mut Vec<T>) {
    let is_same = match list.split_first() {
        Some((first, rest)) => rest.iter().all(|other| other == first),
        None => false,
    };
    if is_same {
        list.truncate(1);
    }
}

/// No entries of nothing at the end.
fn up_to_last<T>(list: &mut Vec<Option<T>>) {
    let length = list.iter().rposition(Option::is_some);
    list.truncate(length.map_or(0, |last| last + 1));
}

#[cfg(test)]
mod tests {
    use annals_core::{
        Append, AppendBuilder, AppendId, ContentType, Criteria, Cursor, EventType, NewEvent, Tag,
        Tags, UuidIds,
    };

    use super::*;

    fn event(tag: &str) -> NewEvent {
        let tags = Tags::new([Tag::parse(tag).unwrap()]).unwrap();
        NewEvent::new(EventType::from_static("e"), ContentType::JSON, "{}")
            .unwrap()
            .with_tags(tags)
    }

    fn append(id: &str, to: &str, expected: Expected) -> AppendBuilder {
        let append = Append::builder(AppendId::parse(id).unwrap());
        append.write(StreamId::parse(to).unwrap(), expected, [event("x:1")])
    }

    fn command(append: AppendBuilder) -> Command {
        Command::new(append.build().unwrap(), &UuidIds::default()).unwrap()
    }

    /// Whether the later command may be sent along with the earlier one.
    fn check(earlier: AppendBuilder, later: AppendBuilder, expected: bool) {
        let (earlier, later) = (command(earlier), command(later));
        let mut batch = Batch::default();
        assert!(batch.takes(&earlier, &std::iter::empty()));
        batch.add(&earlier);
        let takes = batch.takes(&later, &std::iter::once(&earlier));
        assert_eq!(takes, expected, "{earlier:?}\n{later:?}");
    }

    #[test]
    fn what_would_have_to_see_an_earlier_command_waits() {
        let first = || append("1", "a-1", Expected::NoStream);
        let stream = |name| StreamId::parse(name).unwrap();
        check(first(), append("2", "a-2", Expected::NoStream), true);
        check(first(), append("2", "a-1", Expected::Any), true);
        for expected in [
            Expected::NoStream,
            Expected::StreamExists,
            Expected::Exactly(1.into()),
        ] {
            check(first(), append("2", "a-1", expected), false);
            check(
                first(),
                append("2", "a-2", Expected::Any).check(stream("a-1"), expected),
                false,
            );
        }
        check(
            first().check(stream("a-2"), Expected::NoStream),
            append("2", "a-2", Expected::NoStream),
            true,
        );
        check(first(), append("1", "a-2", Expected::Any), false);
        let unless = |tag| Criteria::of_tags([Tag::parse(tag).unwrap()]).unwrap();
        let later = || append("2", "a-2", Expected::Any);
        check(first(), later().unless(unless("x:1"), Cursor::START), false);
        check(first(), later().unless(unless("x:2"), Cursor::START), true);
        check(first().unless(unless("x:1"), Cursor::START), later(), true);
    }

    #[test]
    fn an_event_id_goes_once_with_a_batch() {
        let id = EventId::new(Uuid::from_u128(7)).unwrap();
        let with_id = |append_id: &str, to: &str| {
            let append = Append::builder(AppendId::parse(append_id).unwrap());
            append.write(
                StreamId::parse(to).unwrap(),
                Expected::Any,
                [event("x:1").with_id(id)],
            )
        };
        check(with_id("1", "a-1"), with_id("2", "a-2"), false);
    }

    #[test]
    fn a_batch_has_room_for_one_command_of_any_size() {
        let mut batch = Batch::default();
        assert!(batch.has_room(usize::MAX, 1, 1));
        batch.add(&command(append("1", "a-1", Expected::Any)));
        assert!(!batch.has_room(1, 1, usize::MAX));
        assert!(batch.has_room(1, 2, usize::MAX));
        assert!(!batch.has_room(usize::MAX, 2, 4096));
    }

    #[test]
    fn a_call_says_once_what_holds_for_all_its_events() {
        let commands = [
            command(
                append("1", "a-1", Expected::Any).unless(Criteria::everything(), Cursor::START),
            ),
            command(append("2", "a-2", Expected::Any)),
        ];
        let commands: Vec<&Command> = commands.iter().collect();
        let parameters = Parameters::new(&commands, None, None);
        assert_eq!(parameters.expected_streams, ["a-1", "a-2"]);
        assert_eq!(parameters.event_expectations, [1, 2]);
        assert_eq!(parameters.event_ordinals, [1, 1]);
        assert_eq!(parameters.event_append_ids, [Some("1"), Some("2")]);
        assert_eq!(parameters.event_types, ["e"]);
        assert_eq!(parameters.event_tags.len(), 2);
        assert!(parameters.event_headers.is_empty());
        assert_eq!(parameters.condition_commands, [1]);
        assert_eq!(parameters.condition_types, [None]);
        assert_eq!(parameters.run_categories, ["a"]);
        assert_eq!(
            (parameters.run_firsts, parameters.run_lasts),
            (vec![1], vec![2])
        );
    }

    #[test]
    fn a_run_ends_where_the_type_or_the_category_does() {
        let of_type = |name: &'static str| {
            NewEvent::new(EventType::from_static(name), ContentType::JSON, "{}").unwrap()
        };
        let stream = |name| StreamId::parse(name).unwrap();
        let append = Append::builder(AppendId::parse("1").unwrap())
            .write(
                stream("a-1"),
                Expected::Any,
                [of_type("e"), of_type("e"), of_type("f")],
            )
            .write(stream("b-1"), Expected::Any, [of_type("f")]);
        let command = command(append);
        let parameters = Parameters::new(&[&command], None, None);
        assert_eq!(parameters.event_types, ["e", "e", "f", "f"]);
        assert_eq!(parameters.event_ordinals, [1, 2, 3, 1]);
        assert_eq!(parameters.event_append_ids, [Some("1")]);
        assert_eq!(parameters.run_types, ["e", "f", "f"]);
        assert_eq!(parameters.run_categories, ["a", "a", "b"]);
        assert_eq!(parameters.run_firsts, [1, 3, 4]);
        assert_eq!(parameters.run_lasts, [2, 3, 4]);
    }

    #[test]
    fn one_stream_needs_no_ordinals() {
        let append = Append::builder(AppendId::parse("1").unwrap()).write(
            StreamId::parse("a-1").unwrap(),
            Expected::Any,
            [event("x:1"), event("x:2")],
        );
        let command = command(append);
        assert!(
            Parameters::new(&[&command], None, None)
                .event_ordinals
                .is_empty()
        );
    }
}
