//! What a ledger proves.

use std::fmt::Write as _;
use std::path::Path;

use annals_codec::{Decoded, EventCodec, Schema, serialize_content};
use annals_core::{ContentRef, ContentType, Event, EventType, NewEvent, SchemaVersion, Tags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Mode;
use super::book::{Book, write_and_commit};
use super::describe::{Describer, Node};
use super::sample::{Meaning, Sample};
use super::shape::Shape;
use crate::report::Report;

/// The length up to which every file system takes a name, with room for what is added.
const NAME_BYTES_MAX: usize = 200;

/// Everything that a ledger proves of one event type.
pub(super) fn check<E>(
    directory: &Path,
    mode: Mode,
    codec: &(impl EventCodec<E> + ?Sized),
    samples: &[E],
) -> Result<(), Report>
where
    E: Event + Serialize + DeserializeOwned,
{
    every_kind(samples)?;
    let category = file_name(E::CATEGORY.as_str())?;
    let mut book = Book::open(directory.join(category), mode)?;
    for (index, _) in E::KINDS.iter().enumerate() {
        let of_kind = samples.iter().filter(|event| event.kind_index() == index);
        present(&mut book, codec, of_kind)?;
    }
    let paths: Vec<String> = book.paths().map(str::to_owned).collect();
    for path in paths.iter().filter(|path| !path.ends_with(".sample")) {
        book.read(path)?;
    }
    for path in paths.iter().filter(|path| path.ends_with(".sample")) {
        past(&mut book, codec, path)?;
    }
    book.save()
}

/// Refuses samples that leave out a kind of event.
fn every_kind<E: Event>(samples: &[E]) -> Result<(), Report> {
    let has_sample = |index: usize| samples.iter().any(|event| event.kind_index() == index);
    let kinds = E::KINDS.iter().enumerate();
    let missing = kinds.filter(|(index, _)| !has_sample(*index));
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

/// Sees that the samples of one kind are in the ledger, in the version that is written now.
fn present<'a, E>(
    book: &mut Book,
    codec: &(impl EventCodec<E> + ?Sized),
    samples: impl Iterator<Item = &'a E>,
) -> Result<(), Report>
where
    E: Event + Serialize + DeserializeOwned,
{
    let mut shape = Shape::default();
    let mut missing = Vec::new();
    let mut written = None;
    for (index, event) in samples.enumerate() {
        let new = codec
            .encode(event)
            .map_err(|error| Report::new("the codec refuses to encode a sample").error(&error))?;
        let node = describe(event)?;
        shape.merge(&Shape::of(&node));
        let schema = Schema::new(new.event_type().clone(), new.schema_version());
        let path = format!(
            "{}/{}.{}.sample",
            folder(&schema)?,
            index + 1,
            form(new.content_type())
        );
        if !book.holds(&path) {
            missing.push((path, new, Shape::of(&node)));
        }
        let is_present = schema.schema_version == event.kind().schema_version();
        written = Some((schema, is_present));
    }
    let Some((schema, is_present)) = written else {
        return Ok(());
    };
    no_version_left_out(book, &schema)?;
    if is_present {
        same_shape(book, &schema, &shape)?;
    }
    if book.mode() == Mode::Check && !missing.is_empty() {
        let files: Vec<&str> = missing.iter().map(|(path, ..)| path.as_str()).collect();
        return Err(
            Report::new(format!("{schema} lacks a sample in the schema ledger"))
                .text("missing", &files.join("\n"))
                .text("what to do", &write_and_commit()),
        );
    }
    missing
        .into_iter()
        .try_for_each(|(path, new, shape)| add(book, path, &new, shape))
}

fn add(book: &mut Book, path: String, new: &NewEvent, shape: Shape) -> Result<(), Report> {
    let sample = Sample {
        content_type: new.content_type().clone(),
        shape,
        payload: new.payload().to_vec(),
    };
    book.add(path, sample.to_text())
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
    let (before, after) = recorded.comparable(now);
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

/// Sees that a sample still decodes, and means what it meant.
fn past<E>(book: &mut Book, codec: &(impl EventCodec<E> + ?Sized), path: &str) -> Result<(), Report>
where
    E: Event + Serialize + DeserializeOwned,
{
    let sample = parsed(path, Sample::parse(&book.read(path)?))?;
    let schema = parsed(path, schema_of(path))?;
    let about = |report: Report| report.text("sample", path);
    let decoded = decode(codec, &schema, &sample).map_err(about)?;
    let means = meaning(&decoded).map_err(about)?;
    let stem = path.trim_end_matches(".sample");
    let known: Vec<String> = book
        .paths()
        .filter(|path| {
            path.strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with(".means-"))
        })
        .map(str::to_owned)
        .collect();
    for path in &known {
        let recorded = parsed(path, Meaning::parse(&book.read(path)?))?;
        if recorded.schemas == means.schemas {
            return same_meaning::<E>(&schema, &recorded, &means).map_err(about);
        }
    }
    if book.mode() == Mode::Check {
        let headline = format!(
            "nobody has said yet what {schema} means as {}",
            means.schemas
        );
        return Err(about(Report::new(headline))
            .text("it reads as", &means.value)
            .text("what to do", &write_and_commit()));
    }
    book.add(
        format!("{stem}.means-{}.txt", known.len() + 1),
        means.to_text(),
    )
}

fn decode<E: Event>(
    codec: &(impl EventCodec<E> + ?Sized),
    schema: &Schema,
    sample: &Sample,
) -> Result<Vec<E>, Report> {
    let content = ContentRef {
        event_type: &schema.event_type,
        schema_version: schema.schema_version,
        content_type: &sample.content_type,
        payload: &sample.payload,
        tags: &Tags::EMPTY,
        id: None,
    };
    match codec.decode_content(content) {
        Ok(Decoded::Skipped(reason)) => {
            Err(Report::new(format!("{schema} is passed over by a policy"))
                .error(&reason)
                .text(
                    "what to do",
                    "give it an upcaster, or state that it is dropped",
                ))
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
             it (`becomes`, `split`, `dropped`)",
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
    let schemas = if schemas.is_empty() {
        "nothing".to_owned()
    } else {
        schemas.join(" + ")
    };
    Ok(Meaning { schemas, value })
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

/// The folder of a schema.
fn folder(schema: &Schema) -> Result<String, Report> {
    let name = file_name(schema.event_type.as_str())?;
    Ok(format!("{name}/v{}", schema.schema_version))
}

/// The schema of a folder.
fn schema_of(path: &str) -> Option<Schema> {
    let mut parts = path.split('/');
    let name = name_of(parts.next()?)?;
    let version = parts.next()?.strip_prefix('v')?.parse().ok()?;
    Some(Schema::new(
        EventType::parse(&name).ok()?,
        SchemaVersion::new(version).ok()?,
    ))
}

/// A name as one of a file: small letters, digits, `-` and `_` as they are.
fn file_name(name: &str) -> Result<String, Report> {
    let mut file = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => file.push(char::from(byte)),
            _ => {
                let _ = write!(file, "%{byte:02x}");
            }
        }
    }
    if file.len() <= NAME_BYTES_MAX {
        return Ok(file);
    }
    Err(
        Report::new("a name is too long for the files of a schema ledger")
            .text("name", name)
            .text(
                "what to do",
                "choose a shorter name; the ledger takes 200 bytes",
            ),
    )
}

fn name_of(file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = file.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A short name of a form for the names of files: the end of its content type.
fn form(content_type: &ContentType) -> String {
    let text = content_type.as_str();
    let end = text.rsplit('/').next().unwrap_or(text);
    let end = end.strip_prefix("vnd.annals.").unwrap_or(end);
    let keep = |char: char| {
        if char.is_ascii_alphanumeric() || char == '+' {
            char
        } else {
            '_'
        }
    };
    end.chars().map(keep).collect()
}
