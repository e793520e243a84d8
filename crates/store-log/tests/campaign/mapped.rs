//! A store on a real disk, read through a memory map and with pages made ahead: what other campaigns, on a
//! simulated disk, do not reach.

use std::fs;
use std::path::{Path, PathBuf};

use annals_core::{
    Append, ContentType, ErrorKind, EventStore, EventType, Expected, Ids, NewEvent, PolicyAction,
    PolicyChange, ReadRequest, RecordedEvent, StreamId, UuidIds, Version,
};
use annals_log::vfs::SeededRng;
use annals_store_log::{LogStore, Settings};
use futures_executor::block_on;

use crate::{Counters, Violation, run, seeds};

const STREAMS: u64 = 4;
const EVENTS: u64 = 1_500;
/// Pages of fewer events are not made ahead.
const PAGE_EVENTS: usize = 250;
const FLIPS: u64 = 60;
const STEPS: usize = 120;

/// A store in a directory that is removed with it.
struct Disk {
    root: tempfile::TempDir,
    settings: Settings,
    rng: SeededRng,
}

impl Disk {
    /// A closed store of several segments; every event says its number.
    fn new(seed: u64, read_ahead_pages: usize) -> Self {
        let mut settings = Settings::default();
        settings.segment_bytes = 64 * 1024;
        settings.read_ahead_pages = read_ahead_pages;
        let disk = Self {
            root: tempfile::tempdir().unwrap(),
            settings,
            rng: SeededRng::new(seed),
        };
        let builder = LogStore::builder(disk.path()).settings(disk.settings.clone());
        let store = builder.create().unwrap();
        for first in (0..EVENTS).step_by(50) {
            append(&store, first..first + 50);
        }
        store.close().unwrap();
        disk
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("store")
    }

    fn open(&self) -> Result<LogStore, annals_core::Error> {
        let builder = LogStore::builder(self.path());
        builder.settings(self.settings.clone()).open()
    }

    /// The segments, of which the last is not sealed.
    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path().join("log")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|it| it == "segment"));
        paths.sort();
        paths
    }
}

fn stream(number: u64) -> StreamId {
    StreamId::parse(&format!("mapped-{}", number % STREAMS)).unwrap()
}

fn append(store: &LogStore, numbers: std::ops::Range<u64>) {
    let ids = UuidIds::default();
    let mut append = Append::builder(ids.append_id());
    for key in 0..STREAMS {
        let of_stream = numbers.clone().filter(|number| number % STREAMS == key);
        let events: Vec<_> = of_stream.map(event).collect();
        if !events.is_empty() {
            append = append.write(stream(key), Expected::Any, events);
        }
    }
    block_on(store.append(append.build().unwrap())).unwrap();
}

fn event(number: u64) -> NewEvent {
    let payload = format!("{number:06}").repeat(20);
    NewEvent::new(
        EventType::from_static("numbered"),
        ContentType::OCTETS,
        payload,
    )
    .unwrap()
}

/// What is asked for again and again.
fn requests() -> impl Iterator<Item = ReadRequest> {
    let streams = (0..STREAMS).map(|number| ReadRequest::stream(stream(number)));
    let all = std::iter::once(ReadRequest::all());
    all.chain(streams)
        .map(|request| request.events_max(PAGE_EVENTS))
}

/// All that a request gives, up to the first error.
fn read(store: &LogStore, request: ReadRequest) -> (Vec<RecordedEvent>, Option<ErrorKind>) {
    let (mut events, mut next) = (Vec::new(), Some(request));
    while let Some(request) = next {
        match block_on(store.read(request)) {
            Ok(page) => {
                events.extend(page.events);
                next = page.next;
            }
            Err(error) => return (events, Some(error.kind())),
        }
    }
    (events, None)
}

fn flip(path: &Path, bit: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

/// Flips bits of sealed segments: a read gives the events as they were, or an error from the damage on.
pub(crate) fn flipped_bits(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let disk = Disk::new(seed, if seed.is_multiple_of(2) { 2 } else { 0 });
    let store = disk.open().map_err(|error| error.to_string())?;
    let expected: Vec<_> = requests().map(|request| read(&store, request).0).collect();
    store.close().map_err(|error| error.to_string())?;
    let segments = disk.segments();
    for _ in 0..FLIPS {
        let sealed = segments.len() as u64 - 1;
        let path = &segments[usize::try_from(disk.rng.below(sealed)).unwrap()];
        let bit = disk.rng.below(8 * fs::metadata(path).unwrap().len());
        flip(path, bit);
        let place = format!("bit {bit} of {}", path.display());
        match disk.open() {
            Err(_) => counters.count("refused to open"),
            Ok(store) => {
                // Time and again, so that some reads are by this thread: a store that was just opened is read by
                // another.
                for _ in 0..4 {
                    for (request, expected) in requests().zip(&expected) {
                        let (events, error) = read(&store, request);
                        if !expected.starts_with(&events) {
                            return Err(format!("{place}: an event is not as it was recorded"));
                        }
                        if error.is_none() && events.len() < expected.len() {
                            return Err(format!("{place}: events are missing, and no error"));
                        }
                        counters.count(error.map_or("whole", |_| "refused to read"));
                    }
                }
            }
        }
        flip(path, bit);
    }
    Ok(())
}

/// Reads page after page while others append and change policies: each page is what the same request gives when it
/// is read again, which no page made ahead answers.
pub(crate) fn pages_made_ahead(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let disk = Disk::new(seed, 2);
    let store = disk.open().map_err(|error| error.to_string())?;
    let mut appended = EVENTS;
    let mut readers: Vec<_> = requests().map(Some).collect();
    for _ in 0..STEPS {
        let reader = usize::try_from(disk.rng.below(readers.len() as u64)).unwrap();
        let fresh = requests().nth(reader).unwrap();
        let request = readers[reader].take().unwrap_or(fresh);
        let page = block_on(store.read(request.clone())).map_err(|error| error.to_string())?;
        let again = block_on(store.read(request)).map_err(|error| error.to_string())?;
        if page.events != again.events || page.next != again.next || page.stream != again.stream {
            return Err("a page is not what is read when it is asked for again".to_owned());
        }
        counters.count("pages");
        readers[reader] = again.next;
        match disk.rng.below(30) {
            0..5 => {
                append(&store, appended..appended + 5);
                appended += 5;
                counters.count("appends");
            }
            // Seldom: once there is a policy, no page is made ahead.
            5 => {
                hide(&store, &disk.rng);
                counters.count("policies");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Hides a part of a stream.
fn hide(store: &LogStore, rng: &SeededRng) {
    let stream = stream(rng.below(STREAMS));
    let head = block_on(store.stream_head(&stream)).unwrap().version;
    let change = PolicyChange {
        stream,
        expected: Expected::Any,
        action: PolicyAction::TruncateBefore(Version::new(1 + rng.below(head.value()))),
    };
    block_on(store.change_stream_policy(change)).unwrap();
}

#[test]
fn no_flipped_bit_is_read_through_a_map() {
    let counters = run("F2 mapped", seeds(84_000, 4), flipped_bits);
    counters.require(&["refused to read", "whole"]);
}

#[test]
fn a_page_made_ahead_is_what_would_be_read() {
    let counters = run("F26 ahead", seeds(85_000, 12), pages_made_ahead);
    counters.require(&["pages", "appends", "policies"]);
}
