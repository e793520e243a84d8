//! The parsers of the files, for fuzz bodies: each takes any bytes, and panics when a promise is broken.
//!
//! Chance never meets a checksum, so the bytes of whole files are also looked at with their checksums put right.

#![expect(clippy::expect_used, reason = "a panic is how a fuzz body tells")]

use std::path::Path;
use std::sync::Arc;

use annals_core::{
    ContentType, Criteria, CriteriaItem, Direction, EventType, NewEvent, Position, RecordedEvent,
    StreamId, StreamPolicy, Tag, Tags, Timestamp, Version,
};
use annals_log::vfs::Vfs;
use annals_log::vfs::sim::SimFs;
use annals_log::{LogId, Place, RecordAt};

use crate::auxiliary;
use crate::index::{
    Entry, Memtable, Part, Result as IndexResult, Run, RunDirectory, RunReads, Term, matches,
};
use crate::record::{
    AppendHeader, BadRecord, EventKind, EventRecord, EventView, KindCode, Kinds, Note, PageBuilder,
    encode_kind, encode_policy,
};

const LOG: LogId = LogId::from_bytes(*b"the log's own id");
const BASE: Timestamp = Timestamp::from_seconds(1_700_000_000);
const INDEX: &str = "/store/index";
const STREAMS: [&str; 4] = ["account-1", "account-2", "order-x-1", "order"];
const TYPES: [&str; 3] = ["opened", "paid", "closed"];
const TAGS: [&str; 3] = ["a:1", "a:2", "b:1"];

/// The body of an event that parses is written again as the same event.
pub fn event_body(input: &[u8]) {
    let kinds = kinds();
    let Ok((event, append)) = decode(input, &kinds) else {
        return;
    };
    let content = event.to_new_event();
    let record = EventRecord {
        event: &content,
        id: event.id(),
        stream: event.stream(),
        version: event.version(),
        appended_at: event.appended_at(),
        code: kinds.code_of(&content),
        append,
    };
    let mut body = Vec::new();
    record.encode(BASE, &mut body);
    assert_eq!(decode(&body, &kinds), Ok((event, append)));
}

/// The body of a note that parses is written again as the same bytes.
pub fn note_body(input: &[u8]) {
    let Ok(note) = Note::parse(input) else {
        return;
    };
    let mut body = Vec::new();
    match &note {
        Note::Kind(code, kind) => encode_kind(*code, kind, &mut body),
        Note::Policy(stream, policy) => encode_policy(stream, policy, &mut body),
    }
    assert_eq!(body, input, "{note:?} has one form");
}

/// Bodies of events and notes to begin with.
pub fn bodies() -> Vec<Vec<u8>> {
    let mut event = event("opened");
    let (kind, stream) = (EventKind::of(&event), StreamId::from_static("account-42"));
    let mut bodies = vec![Vec::new(); 4];
    let [plain, full, kind_note, policy_note] = bodies.as_mut_slice() else {
        return bodies;
    };
    let id = annals_core::EventId::new(uuid::Uuid::from_u128(
        0x018b_cfe5_6800_7abc_8def_0123_4567_89ab,
    ));
    let mut record = EventRecord {
        event: &event.clone(),
        id: id.expect("not nil"),
        stream: &stream,
        version: Version::new(7),
        appended_at: Timestamp::from_seconds(1_700_003_600),
        code: KindCode::new(1),
        append: None,
    };
    record.encode(BASE, plain);
    let tags = TAGS.map(|tag| Tag::parse(tag).expect("a tag"));
    let metadata = annals_core::Metadata::EMPTY.with_header("user", "erika");
    event = event
        .with_tags(Tags::new(tags).expect("a few tags"))
        .with_metadata(metadata.expect("a header"))
        .with_recorded_at(Timestamp::from_seconds(1_699_999_999));
    record.event = &event;
    record.code = None;
    record.append = Some(AppendHeader {
        id: annals_core::AppendId::parse("order-7/pay").expect("an id"),
        events: 300,
    });
    record.encode(BASE, full);
    encode_kind(KindCode::new(300).expect("a code"), &kind, kind_note);
    let mut policy = StreamPolicy::default();
    policy.max_age = Some(std::time::Duration::from_millis(86_400_001));
    policy.max_count = Some(1_000);
    encode_policy(&stream, &policy, policy_note);
    bodies
}

/// A run file of these bytes is refused, or gives answers and errors that fit its range; so does it with its
/// checksums put right, and a merge of it.
pub fn run_file(input: &[u8]) {
    let disk = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let directory = directory(&vfs);
    let path = Path::new(INDEX).join("00000000000000000001-00000000000000000040.run");
    let mut bytes = input.to_vec();
    for _ in 0..2 {
        disk.disk().write(&path, &bytes).expect("a directory");
        if let Ok(run) = Run::open(&disk, &path, LOG, RunReads::Owned) {
            run.check().ok();
            run.kinds().ok();
            ask(&run).ok();
            let run = Arc::new(run);
            if let Ok(merged) = directory.merge(&[Arc::clone(&run)]) {
                assert_eq!((merged.first(), merged.last()), (run.first(), run.last()));
            }
        }
        seal_run(&mut bytes);
    }
}

/// A run file to begin with.
pub fn run() -> Vec<u8> {
    let disk = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let mut memtable = Memtable::new(LOG, 1);
    let mut versions = [0_u64; STREAMS.len()];
    for number in 1..=40_u32 {
        let place = number as usize * 7 % STREAMS.len();
        let (Some(stream), Some(version)) = (STREAMS.get(place), versions.get_mut(place)) else {
            continue;
        };
        *version += 1;
        if number == 30 {
            memtable.skip_lost(1);
            continue;
        }
        let append = format!("append {number}");
        let entry = Entry {
            stream,
            version: *version,
            event_type: TYPES.get(number as usize % 3).copied().unwrap_or("paid"),
            event_id: u128::from(number) << 70,
            append_id: (number % 3 == 0).then_some(append.as_str()),
            at: RecordAt::new(1, 4096 + number * 300),
        };
        let tags = TAGS.iter().copied().take(number as usize % 4);
        memtable.insert(&entry, tags);
    }
    let mut policy = StreamPolicy::default();
    policy.max_count = Some(3);
    memtable.set_policy(&StreamId::from_static("account-1"), policy);
    let upto = Place {
        at: RecordAt::new(2, 4096),
        next_number: 41,
    };
    let run = directory(&vfs).flush(&memtable, b"kinds", upto);
    let run = run.expect("room in memory");
    disk.disk().read(run.path()).expect("the run's file")
}

/// A file of checkpoints that parses is written again with the same checkpoints.
pub fn checkpoint_file(input: &[u8]) {
    let mut bytes = input.to_vec();
    for _ in 0..2 {
        auxiliary::check_checkpoint_file(LOG, &bytes);
        if let Some((body, checksum)) = bytes.split_last_chunk_mut::<4>() {
            *checksum = crc32c::crc32c(body).to_le_bytes();
        }
    }
}

/// A file of checkpoints to begin with.
pub fn checkpoints() -> Vec<u8> {
    auxiliary::sample_checkpoint_file(LOG)
}

fn event(name: &'static str) -> NewEvent {
    let content = NewEvent::new(EventType::from_static(name), ContentType::JSON, "{}");
    content.expect("a short payload")
}

fn kinds() -> Kinds {
    let mut kinds = Kinds::default();
    for (code, name) in (1..).zip(TYPES) {
        let code = KindCode::new(code).expect("a code");
        let inserted = kinds.insert(code, EventKind::of(&event(name)));
        inserted.expect("a new kind");
    }
    kinds
}

fn decode(body: &[u8], kinds: &Kinds) -> Result<(RecordedEvent, Option<AppendHeader>), BadRecord> {
    let view = EventView::parse(body, BASE)?;
    let mut page = PageBuilder::new(kinds, 1);
    page.push(&view, Position::new(77))?;
    let event = page.finish().pop().expect("an event was pushed");
    Ok((event, view.append()))
}

fn directory(vfs: &Arc<dyn Vfs>) -> RunDirectory {
    let directory = RunDirectory::new(Arc::clone(vfs), Path::new(INDEX), LOG, RunReads::Owned);
    directory.expect("a directory in memory")
}

/// Asks all that a store asks; every answer is within the run.
fn ask(run: &Run) -> IndexResult<()> {
    let range = run.first()..=run.last();
    let mut found = Vec::new();
    for stream in STREAMS {
        run.stream_head(stream).ok();
        run.policy(stream).ok();
        for direction in [Direction::Forward, Direction::Backward] {
            run.stream_positions(stream, 0..=u64::MAX, direction, 1_000, &mut found)
                .ok();
        }
    }
    for number in 0..50_u128 {
        run.event_id(number << 70, &mut found).ok();
        run.append_id(&format!("append {number}"), &mut found).ok();
    }
    for position in range.clone().take(100) {
        run.record_at(position).ok();
    }
    let categories = ["account", "order"].map(Term::Category).into_iter();
    let terms = categories
        .chain(TYPES.map(Term::Type))
        .chain(TAGS.map(Term::Tag));
    for term in terms {
        run.newest(term).ok();
        let Ok(ordinals) = run.ordinals(term) else {
            continue;
        };
        let forward = ordinals.forward(0).take_while(Result::is_ok).count();
        let backward = ordinals
            .backward(u32::MAX)
            .take_while(Result::is_ok)
            .count();
        assert!(
            forward.max(backward) < 1 << 20,
            "more than a small file can hold"
        );
    }
    let tags = Tags::new([Tag::parse("a:1").expect("a tag")]).expect("one tag");
    let item = CriteriaItem::new([EventType::from_static("paid")], tags).expect("an item");
    let criteria = Criteria::any_of([item]).expect("one item");
    for ordinal in matches(run, &criteria, 1..=u64::MAX)?.forward(0) {
        ordinal?;
    }
    Ok(())
}

/// Makes the checksums of a run's file match its bytes.
fn seal_run(bytes: &mut [u8]) {
    const HEADER_BYTES: usize = 4096;
    const BLOCK_BYTES: usize = 16 * 1024;
    let Some((header, rest)) = bytes.split_first_chunk_mut::<HEADER_BYTES>() else {
        return;
    };
    let body_end = header.get(64..72).and_then(|field| field.first_chunk());
    let body_end = u64::from_le_bytes(body_end.copied().unwrap_or_default());
    let body = usize::try_from(body_end).unwrap_or(usize::MAX);
    if let Some((body, sums)) = rest.split_at_mut_checked(body.saturating_sub(HEADER_BYTES)) {
        for (block, sum) in body.chunks(BLOCK_BYTES).zip(sums.chunks_exact_mut(4)) {
            sum.copy_from_slice(&crc32c::crc32c(block).to_le_bytes());
        }
        if let Some(field) = header.get_mut(12..16) {
            field.copy_from_slice(&crc32c::crc32c(sums).to_le_bytes());
        }
    }
    if let Some((covered, sum)) = header.split_last_chunk_mut::<4>() {
        *sum = crc32c::crc32c(covered).to_le_bytes();
    }
}
