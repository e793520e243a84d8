//! How an embedded store behaves when it is large: memory while importing, size on disk, time to open again
//! after a kill, memory afterwards.
//!
//! ```text
//! cargo run --release -p annals-benches --example large-store -- /var/tmp/large 10000000 1000000
//! ```
//!
//! It imports that many events over that many streams, 1000 events an append, by a second process that it
//! kills when all is acknowledged; then it opens the store that was left. Linux only: it reads `/proc`.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a program that measures asks the machine for the time"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts and sizes stay far below 2^52"
)]

use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use annals_core::{
    Append, ConsistencyLevel, ContentType, EventStore, EventType, Expected, Ids, NewEvent,
    ReadRequest, StreamId, UuidIds,
};
use annals_store_log::LogStore;
use futures_executor::block_on;

const LINE_ADDED: EventType = EventType::from_static("order-line-added");
const EVENTS_PER_APPEND: u64 = 1000;
const PAYLOAD_BYTES: usize = 202;
const ACKNOWLEDGED: &str = "all is acknowledged";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [directory, events, streams] => measure(directory, events, streams),
        [directory, events, streams, "import"] => {
            import(Path::new(directory), events.parse()?, streams.parse()?)
        }
        _ => Err("usage: large-store <new directory> <events> <streams>".into()),
    }
}

fn measure(directory: &str, events: &str, streams: &str) -> Outcome<()> {
    if Path::new(directory).exists() {
        return Err(format!("{directory} exists; name a new directory").into());
    }
    let count: u64 = events.parse()?;
    let mut importer = Command::new(env::current_exe()?)
        .args([directory, events, streams, "import"])
        .stdout(Stdio::piped())
        .spawn()?;
    let began = Instant::now();
    let output = importer.stdout.take().ok_or("the importer has no output")?;
    let told = BufReader::new(output).lines().next().transpose()?;
    let took = began.elapsed();
    if told.as_deref() != Some(ACKNOWLEDGED) {
        return Err(format!("the importer failed: {}", importer.wait()?).into());
    }
    let peak = resident(importer.id(), "VmHWM")?;
    importer.kill()?;
    importer.wait()?;
    let rate = count as f64 / took.as_secs_f64();
    println!("imported {count} events over {streams} streams in {took:.1?}: {rate:.0} events/s");
    println!("resident while importing, at most: {peak} MB");

    let began = Instant::now();
    let store = LogStore::builder(directory).open()?;
    let opened = began.elapsed();
    let after_open = resident(std::process::id(), "VmRSS")?;
    println!("opened after the kill in {opened:.1?}; resident {after_open} MB");
    let head = block_on(store.head(ConsistencyLevel::Strong))?;
    let position = head.position().ok_or("a store of one log")?;
    if position.value() != count {
        return Err(format!("the store has {position} events, not {count}").into());
    }
    read_some(&store, streams.parse()?)?;
    store.close()?;
    drop(store);

    let began = Instant::now();
    let store = LogStore::builder(directory).open()?;
    println!("opened after a clean close in {:.1?}", began.elapsed());
    drop(store);
    let size = |name: &str| bytes_in(&Path::new(directory).join(name));
    let per_event = |bytes: u64| bytes as f64 / count as f64;
    let (log, index) = (per_event(size("log")?), per_event(size("index")?));
    let beside = log + index - PAYLOAD_BYTES as f64;
    println!("{log:.1} bytes an event in the log, {index:.1} in the index: payload + {beside:.1}");
    Ok(())
}

/// Appends everything, says so, and waits to be killed.
fn import(directory: &Path, events: u64, streams: u64) -> Outcome<()> {
    let store = LogStore::builder(directory).create()?;
    let ids = UuidIds::default();
    for first in (0..events).step_by(usize::try_from(EVENTS_PER_APPEND)?) {
        let mut append = Append::builder(ids.append_id());
        for n in first..(first + EVENTS_PER_APPEND).min(events) {
            append = append.write(stream(n % streams)?, Expected::Any, [line_added(n)?]);
        }
        block_on(store.append(append.build()?))?;
    }
    println!("{ACKNOWLEDGED}");
    loop {
        std::thread::park_timeout(Duration::from_mins(1));
    }
}

fn read_some(store: &LogStore, streams: u64) -> Outcome<()> {
    let began = Instant::now();
    let mut read = 0;
    for n in (0..streams).step_by(usize::try_from(streams / 1000 + 1)?) {
        read += block_on(store.read(ReadRequest::stream(stream(n)?)))?
            .events
            .len();
    }
    println!(
        "read {read} events of some streams in {:.1?}",
        began.elapsed()
    );
    Ok(())
}

fn stream(n: u64) -> Outcome<StreamId> {
    Ok(StreamId::parse(&format!("order-{n}"))?)
}

fn line_added(n: u64) -> Outcome<NewEvent> {
    let mut payload = format!(
        r#"{{"line":{n},"sku":"sku-{}","quantity":{},"note":""#,
        n % 9973,
        n % 9
    );
    while payload.len() < PAYLOAD_BYTES - 2 {
        payload.push(char::from(b'a' + u8::try_from(payload.len() % 26)?));
    }
    payload.push_str("\"}");
    Ok(NewEvent::new(LINE_ADDED, ContentType::JSON, payload)?)
}

/// A line of `/proc/<id>/status`, in MB.
fn resident(process: u32, line: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes = line.and_then(|text| text.split_whitespace().next());
    Ok(kilobytes.ok_or("no such line")?.parse::<u64>()? / 1000)
}

/// What the files of a directory take on the disk.
fn bytes_in(directory: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
