//! What a ledger proves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;

use annals_codec::{Decoded, ErrorKind, EventCodec, Evolution, Schema, serialize_content};
use annals_core::{Category, ContentRef, Event, EventType, NewEvent, SchemaVersion, Tags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Mode;
use super::book::{Book, write_and_commit};
use super::describe::{Describer, Node};
use super::names::{file_name, folder, form, number_of, schema_of};
use super::sample::{Meaning, Sample};
use super::shape::Shape;
use crate::report::Report;

/// How often a sample is read to see whether it means the same each time: two elements without an order come out
/// in one order 16 times in 1 of 32,768 runs.
const READS: usize = 16;

/// The versions at which types begin whose earlier versions nobody recorded.
pub(super) type Beginnings = BTreeMap<EventType, SchemaVersion>;

/// One event type of a category, as a ledger sees it.
pub(super) trait Member {
    fn category(&self) -> Category;

    /// Sees that the samples of all kinds are in the ledger, in the version that is written now.
    fn present(&self, book: &mut Book) -> Result<(), Report>;

    /// Sees that every version that may be stored has a sample.
    fn versions(&self, book: &Book, beginnings: &Beginnings) -> Result<(), Report>;

    /// Whether it is of the present.
    fn has_kind(&self, event_type: &EventType) -> bool;

    /// Whether the codec knows the type.
    fn reads(&self, schema: &Schema, sample: &Sample) -> bool;

    /// Sees that a sample still decodes, and means what it meant.
    fn past(&self, book: &mut Book, path: &str) -> Result<(), Report>;
}

/// A codec, and samples of every kind of event.
pub(super) struct Samples<'a, E, C: ?Sized> {
    pub(super) codec: &'a C,
    pub(super) evolution: Option<&'a Evolution<E>>,
    pub(super) events: &'a [E],
}

/// Everything that a ledger proves of the event types of one category.
pub(super) fn check(
    directory: &Path,
    mode: Mode,
    beginnings: &Beginnings,
    members: &[&dyn Member],
) -> Result<(), Report> {
    let Some(first) = members.first() else {
        return Ok(());
    };
    let category = file_name(first.category().as_str())?;
    let mut book = Book::open(directory.join(category), mode)?;
    for member in members {
        member.present(&mut book)?;
    }
    let paths: Vec<String> = book.paths().map(str::to_owned).collect();
    for path in paths.iter().filter(|path| !path.ends_with(".sample")) {
        book.read(path)?;
    }
    for path in paths.iter().filter(|path| path.ends_with(".sample")) {
        let (schema, sample) = read(&book, path)?;
        let owner = members
            .iter()
            .find(|member| member.has_kind(&schema.event_type));
        let reader = || members.iter().find(|member| member.reads(&schema, &sample));
        let member = owner.or_else(reader).unwrap_or(first);
        member.past(&mut book, path)?;
    }
    for member in members {
        member.versions(&book, beginnings)?;
    }
    book.save()
}

fn read(book: &Book, path: &str) -> Result<(Schema, Sample), Report> {
    let sample = parsed(path, Sample::parse(&book.read(path)?))?;
    Ok((parsed(path, schema_of(path))?, sample))
}

impl<E, C> Member for Samples<'_, E, C>
where
    E: Event + PartialEq + Debug + Serialize + DeserializeOwned,
    C: EventCodec<E> + ?Sized,
{
    fn category(&self) -> Category {
        E::CATEGORY
    }

    fn present(&self, book: &mut Book) -> Result<(), Report> {
        self.every_kind()?;
        for index in 0..E::KINDS.len() {
            self.present_of_kind(book, index)?;
        }
        Ok(())
    }

    fn versions(&self, book: &Book, beginnings: &Beginnings) -> Result<(), Report> {
        let mut stored = BTreeSet::new();
        for kind in E::KINDS {
            let event_type = kind.event_type();
            let begin = beginnings.get(event_type).map_or(1, |begin| begin.value());
            let before = (begin..kind.schema_version().value())
                .filter_map(|version| SchemaVersion::new(version).ok());
            stored.extend(before.map(|version| (event_type.clone(), version)));
        }
        let old = self.evolution.map(Evolution::old_schemas);
        for schema in old.unwrap_or_default() {
            let begin = beginnings.get(&schema.event_type);
            if begin.is_none_or(|begin| schema.schema_version >= *begin) {
                stored.insert((schema.event_type, schema.schema_version));
            }
        }
        for (event_type, version) in stored {
            has_sample(book, &Schema::new(event_type, version))?;
        }
        Ok(())
    }

    fn has_kind(&self, event_type: &EventType) -> bool {
        E::KINDS.iter().any(|kind| kind.event_type() == event_type)
    }

    fn reads(&self, schema: &Schema, sample: &Sample) -> bool {
        match self.codec.decode_content(content(schema, sample)) {
            Ok(decoded) => matches!(decoded, Decoded::One(_) | Decoded::Many(_)),
            Err(error) => error.kind() != ErrorKind::UnknownType,
        }
    }

    fn past(&self, book: &mut Book, path: &str) -> Result<(), Report> {
        let about = |report: Report| report.text("sample", path);
        let (schema, sample) = read(book, path)?;
        let events = decode::<E>(self.codec, &schema, &sample).map_err(about)?;
        let means = self.steady_meaning(&schema, &sample).map_err(about)?;
        let stem = path.trim_end_matches(".sample");
        let known = meanings(book, stem)?;
        let of_this_present = known.iter().find(|known| known.schemas == means.schemas);
        let of_present = known.iter().find(|known| is_of_present::<E>(known));
        if let Some(recorded) = of_this_present.or(of_present) {
            same_meaning::<E>(&schema, recorded, &means).map_err(about)?;
        } else if book.mode() == Mode::Check {
            let headline = format!(
                "nobody has said yet what {schema} means as {}",
                means.schemas
            );
            return Err(about(Report::new(headline))
                .text("it reads as", &means.value)
                .text("what to do", &write_and_commit()));
        } else {
            let number = known.len() + 1;
            book.add(format!("{stem}.means-{number}.txt"), means.to_text())?;
        }
        if is_present::<E>(&schema) {
            return self.same_value(&schema, path, &events).map_err(about);
        }
        match events.as_slice() {
            [event] => self
                .same_when_written(event, &schema, &means)
                .map_err(about),
            _ => Ok(()),
        }
    }
}

impl<E, C> Samples<'_, E, C>
where
    E: Event + PartialEq + Debug + Serialize + DeserializeOwned,
    C: EventCodec<E> + ?Sized,
{
    /// Refuses samples that leave out a kind of event.
    fn every_kind(&self) -> Result<(), Report> {
        let missing = E::KINDS.iter().enumerate();
        let missing = missing.filter(|(index, _)| self.of_kind(*index).next().is_none());
        let missing: Vec<&str> = missing
            .map(|(_, kind)| kind.event_type().as_str())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Report::new("not every kind of event has a sample")
            .text("without a sample", &missing.join("\n"))
            .text("what to do", "give `check` an event of each of these kinds"))
    }

    fn of_kind(&self, index: usize) -> impl Iterator<Item = &E> {
        self.events
            .iter()
            .filter(move |event| event.kind_index() == index)
    }

    fn present_of_kind(&self, book: &mut Book, index: usize) -> Result<(), Report> {
        let mut shape = Shape::default();
        let mut missing = Vec::new();
        let mut written = None;
        for (index, event) in self.of_kind(index).enumerate() {
            let present = Schema::of_kind(event.kind());
            let new = self.encode(event)?;
            let of_event = Shape::of(&describe(event)?);
            shape.merge(&of_event);
            let schema = schema_of_new(&new);
            let stem = format!(
                "{}/{}.{}",
                folder(&schema)?,
                index + 1,
                form(new.content_type())?
            );
            // The fields of a downcaster's output are not those of the present.
            let (path, shape) = if schema == present {
                (format!("{stem}.sample"), of_event)
            } else {
                let path = format!("{stem}.from-v{}.sample", present.schema_version);
                (path, Shape::default())
            };
            let sample = Sample {
                content_type: new.content_type().clone(),
                shape,
                payload: new.payload().to_vec(),
            };
            if !book.holds(&path) {
                missing.push((path, sample));
            } else if schema != present {
                self.same_downcast(book, &path, &present, &sample)?;
            }
            written = Some((schema, present));
        }
        let Some((schema, present)) = written else {
            return Ok(());
        };
        no_version_left_out(book, &schema)?;
        same_shape(book, &present, &shape)?;
        add_missing(book, &schema, missing)
    }

    fn encode(&self, event: &E) -> Result<NewEvent, Report> {
        let new = self.codec.encode(event);
        new.map_err(|error| Report::new("the codec refuses to encode a sample").error(&error))
    }

    /// An event of the present is still written for readers who lag as it was.
    fn same_downcast(
        &self,
        book: &Book,
        path: &str,
        present: &Schema,
        now: &Sample,
    ) -> Result<(), Report> {
        let (schema, recorded) = read(book, path)?;
        let before = meaning(&decode::<E>(self.codec, &schema, &recorded)?)?;
        let after = meaning(&decode::<E>(self.codec, &schema, now)?)?;
        if before == after {
            return Ok(());
        }
        let headline = format!("{present} is written as {schema} with another meaning than before");
        Err(Report::new(headline)
            .text("sample", path)
            .text_difference(&before.value, &after.value)
            .text("what to do", CORRECT_DOWNCASTERS))
    }

    /// What an old event reads as means the same once it is written as that version again.
    fn same_when_written(&self, event: &E, schema: &Schema, means: &Meaning) -> Result<(), Report> {
        let new = self.encode(event)?;
        if schema_of_new(&new) != *schema {
            return Ok(());
        }
        let written = Sample {
            content_type: new.content_type().clone(),
            shape: Shape::default(),
            payload: new.payload().to_vec(),
        };
        let headline = format!("what is written as {schema} does not read as it does");
        let again = decode::<E>(self.codec, schema, &written)
            .and_then(|events| meaning(&events))
            .map_err(|report| report.text("what to do", CORRECT_DOWNCASTERS))?;
        if again == *means {
            return Ok(());
        }
        Err(Report::new(headline)
            .text_difference(&means.value, &again.value)
            .text("what to do", CORRECT_DOWNCASTERS))
    }

    /// A sample of the present reads as the event that the application gives for it: what serde writes may
    /// have changed together with what it reads.
    fn same_value(&self, schema: &Schema, path: &str, events: &[E]) -> Result<(), Report> {
        let number = parsed(path, number_of(path))?;
        let mut given = self.events.iter();
        let given = given
            .by_ref()
            .filter(|event| *event.kind().event_type() == schema.event_type)
            .nth(number.saturating_sub(1));
        let Some(given) = given else {
            let headline = format!("sample {number} of {schema} is not among those of the code");
            return Err(Report::new(headline)
                .text("it reads as", &format!("{events:#?}"))
                .text("what to do", KEEP_SAMPLES));
        };
        let (before, after) = (format!("{given:#?}"), shown(events));
        // Not a number is not equal to itself, and shows as itself.
        if events == std::slice::from_ref(given) || before == after {
            return Ok(());
        }
        let fix = format!(
            "where the fields changed: {}; {KEEP_SAMPLES}",
            new_version(schema)
        );
        let headline =
            format!("a sample of {schema} reads as another event than it was written of");
        Err(Report::new(headline)
            .text_difference(&before, &after)
            .text("what to do", &fix))
    }

    /// What a sample means, which is the same whenever it is read.
    fn steady_meaning(&self, schema: &Schema, sample: &Sample) -> Result<Meaning, Report> {
        let read = || meaning(&decode::<E>(self.codec, schema, sample)?);
        let first = read()?;
        for _ in 1..READS {
            let again = read()?;
            if again != first {
                let fix = "a set without an order, as `HashSet` is, has no text to compare: use a `BTreeSet`, or \
                           samples with one element at most";
                let headline = format!("{schema} reads in another order each time");
                return Err(Report::new(headline)
                    .text_difference(&first.value, &again.value)
                    .text("what to do", fix));
            }
        }
        Ok(first)
    }
}

const CORRECT_DOWNCASTERS: &str =
    "correct the downcasters: readers who lag take what they make for an event of that version";

const KEEP_SAMPLES: &str = "the samples that `check` is given keep their places among those of their kind, and \
                            new ones go behind them";

fn shown<E: Debug>(events: &[E]) -> String {
    match events {
        [event] => format!("{event:#?}"),
        events => format!("{events:#?}"),
    }
}

fn schema_of_new(new: &NewEvent) -> Schema {
    Schema::new(new.event_type().clone(), new.schema_version())
}

fn has_sample(book: &Book, schema: &Schema) -> Result<(), Report> {
    let folder = format!("{}/", folder(schema)?);
    let mut paths = book.paths();
    if paths.any(|path| path.starts_with(&folder) && path.ends_with(".sample")) {
        return Ok(());
    }
    let (event_type, version) = (&schema.event_type, schema.schema_version);
    let fix = format!(
        "restore it and its lines of the list from version control; where nobody ever recorded {schema}, say at \
         which version the type begins: `ledger.begins_at(\"{event_type}\", {})`",
        version.value().saturating_add(1)
    );
    Err(
        Report::new(format!("{schema} has no sample in the schema ledger"))
            .text("missing", &folder)
            .text("what to do", &fix),
    )
}

fn add_missing(
    book: &mut Book,
    schema: &Schema,
    missing: Vec<(String, Sample)>,
) -> Result<(), Report> {
    if book.mode() == Mode::Check && !missing.is_empty() {
        let files: Vec<&str> = missing.iter().map(|(path, _)| path.as_str()).collect();
        return Err(
            Report::new(format!("{schema} lacks a sample in the schema ledger"))
                .text("missing", &files.join("\n"))
                .text("what to do", &write_and_commit()),
        );
    }
    missing
        .into_iter()
        .try_for_each(|(path, sample)| book.add(path, sample.to_text()))
}

/// The version that is written now follows the newest that was.
fn no_version_left_out(book: &Book, schema: &Schema) -> Result<(), Report> {
    let folder = format!("{}/v", file_name(schema.event_type.as_str())?);
    let newest = book.paths().filter_map(|path| {
        let (version, _) = path.strip_prefix(&folder)?.split_once('/')?;
        version.parse::<u32>().ok()
    });
    let Some(newest) = newest.max() else {
        return Ok(());
    };
    let version = schema.schema_version.value();
    if version <= newest.saturating_add(1) {
        return Ok(());
    }
    let text =
        format!("the newest version in the ledger is v{newest}, and the code writes v{version}");
    let fix = format!(
        "write `{}` as version {}: nobody recorded those between",
        schema.event_type,
        newest + 1
    );
    Err(
        Report::new(format!("`{}` skips a version", schema.event_type))
            .text("versions", &text)
            .text("what to do", &fix),
    )
}

/// The fields of the version that is written now are those that were recorded under its number.
fn same_shape(book: &Book, schema: &Schema, now: &Shape) -> Result<(), Report> {
    let folder = format!("{}/", folder(schema)?);
    let mut recorded = None;
    for path in book.paths() {
        if path.starts_with(&folder) && path.ends_with(".sample") {
            let shape: &mut Shape = recorded.get_or_insert_default();
            shape.merge(&parsed(path, Sample::parse(&book.read(path)?))?.shape);
        }
    }
    let Some(recorded) = recorded else {
        return Ok(());
    };
    let (before, after) = recorded.differences(now);
    if before == after {
        return Ok(());
    }
    Err(Report::new(format!(
        "the fields of {schema} changed without a new version"
    ))
    .text_difference(&before, &after)
    .text("what to do", &new_version(schema)))
}

fn new_version(schema: &Schema) -> String {
    let version = schema.schema_version.value();
    let next = version.saturating_add(1);
    format!(
        "take the change back, or make it version {next}: `#[event(version = {next}, upcast(..., {version} => \
         your_upcaster))]`"
    )
}

/// What a sample was recorded to mean, in terms of each present so far.
fn meanings(book: &Book, stem: &str) -> Result<Vec<Meaning>, Report> {
    let means = format!("{stem}.means-");
    let paths = book.paths().filter(|path| path.starts_with(&means));
    paths
        .map(|path| parsed(path, Meaning::parse(&book.read(path)?)))
        .collect()
}

fn is_present<E: Event>(schema: &Schema) -> bool {
    E::KINDS.iter().any(|kind| Schema::of_kind(kind) == *schema)
}

/// Whether a meaning is in terms of the present still: then what was read so is not to be read otherwise.
fn is_of_present<E: Event>(meaning: &Meaning) -> bool {
    let mut names = meaning.names();
    names.all(|name| {
        let mut kinds = E::KINDS.iter().map(Schema::of_kind);
        kinds.any(|schema| schema.to_string() == name)
    })
}

fn content<'a>(schema: &'a Schema, sample: &'a Sample) -> ContentRef<'a> {
    ContentRef {
        event_type: &schema.event_type,
        schema_version: schema.schema_version,
        content_type: &sample.content_type,
        payload: &sample.payload,
        tags: &Tags::EMPTY,
        id: None,
    }
}

fn decode<E: Event>(
    codec: &(impl EventCodec<E> + ?Sized),
    schema: &Schema,
    sample: &Sample,
) -> Result<Vec<E>, Report> {
    let fix = "give it an upcaster, or state that it is dropped";
    match codec.decode_content(content(schema, sample)) {
        Ok(Decoded::Skipped(reason)) => {
            let headline = format!("{schema} is passed over by a policy");
            Err(Report::new(headline).error(&reason).text("what to do", fix))
        }
        Ok(Decoded::HandedOver(_)) => {
            let headline =
                format!("{schema} is handed over by a policy, as the code does not know it");
            Err(Report::new(headline).text("what to do", fix))
        }
        Ok(decoded) => Ok(decoded.into_iter().collect()),
        Err(error) => Err(Report::new(format!("{schema} no longer decodes"))
            .error(&error)
            .text("what to do", &unreadable::<E>(schema))),
    }
}

fn unreadable<E: Event>(schema: &Schema) -> String {
    let mut kinds = E::KINDS.iter();
    match kinds.find(|kind| *kind.event_type() == schema.event_type) {
        Some(kind) if kind.schema_version() == schema.schema_version => new_version(schema),
        Some(kind) if kind.schema_version() < schema.schema_version => {
            "raise the version of the type: events of this version may be in a store".to_owned()
        }
        Some(_) => "correct the upcasters, or write the one that is missing".to_owned(),
        None => format!(
            "the code does not know `{}` any more: state its new name (`#[event(was = ...)]`), or what becomes of \
             it (`becomes`, `split`, `dropped`); where it is of another event type of the category, check both at once \
             (`Ledger::checks`)",
            schema.event_type
        ),
    }
}

fn same_meaning<E: Event>(
    schema: &Schema,
    recorded: &Meaning,
    means: &Meaning,
) -> Result<(), Report> {
    if recorded.value == means.value {
        return Ok(());
    }
    let mut kinds = E::KINDS.iter().map(Schema::of_kind);
    let fix = if kinds.any(|kind| kind == *schema) {
        new_version(schema)
    } else {
        "correct the upcasters so that it means the same again; where the old meaning was wrong, mend it with a \
         new version of the type, as readers have seen it"
            .to_owned()
    };
    Err(
        Report::new(format!("{schema} means something else than it did"))
            .text_difference(&recorded.value, &means.value)
            .text("what to do", &fix),
    )
}

/// What events mean, in words of no form.
fn meaning<E>(events: &[E]) -> Result<Meaning, Report>
where
    E: Event + Serialize + DeserializeOwned,
{
    let mut schemas = Vec::new();
    let mut value = String::new();
    for event in events {
        let schema = Schema::of_kind(event.kind()).to_string();
        value.push_str(&schema);
        value.push(' ');
        describe(event)?.write(&mut value, 0);
        value.push('\n');
        schemas.push(schema);
    }
    Ok(Meaning::new(&schemas, value))
}

fn describe<E: Event + Serialize + DeserializeOwned>(event: &E) -> Result<Node, Report> {
    serialize_content(event, Describer).map_err(|error| {
        let kind = event.kind().event_type();
        Report::new(format!("a sample of `{kind}` can't be described")).error(&error)
    })
}

fn parsed<T>(path: &str, parsed: Option<T>) -> Result<T, Report> {
    parsed.ok_or_else(|| {
        Report::new("a file of the schema ledger has a layout that this version does not know")
            .text("file", path)
            .text(
                "what to do",
                "use the version of annals-testkit that wrote it",
            )
    })
}
