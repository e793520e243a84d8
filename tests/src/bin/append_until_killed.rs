//! Appends to the store in a directory and prints each acknowledgement, until it is killed.
//!
//! `append_until_killed <directory> <name of the run>`. A line is the id of an append and its first position.

#![expect(clippy::print_stdout, reason = "the acknowledgements are its output")]

use std::env;
use std::io::Write;
use std::sync::Arc;
use std::thread;

use annals_core::{
    Append, AppendId, ContentType, Error, EventStore, EventType, Expected, NewEvent, StreamId,
};
use annals_store_log::{LogStore, Settings};
use futures_executor::block_on;

/// How many clients append at the same time, each to a stream of its own.
const CLIENTS: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let directory = arguments.next().ok_or("give a directory")?;
    let run = arguments.next().ok_or("give the run a name")?;
    let mut settings = Settings::default();
    // Small, so that segments are sealed and index files written and merged all the time.
    settings.segment_bytes = 64 * 1024;
    settings.index_bytes_max = 16 * 1024;
    let store = LogStore::builder(directory)
        .settings(settings)
        .open_or_create()?;
    let store = Arc::new(store);
    println!("open");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (store, run) = (Arc::clone(&store), run.clone());
            thread::spawn(move || append_for_ever(&*store, &run, client))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }
    Ok(())
}

fn append_for_ever(store: &dyn EventStore, run: &str, client: usize) -> Result<(), Error> {
    let stream = StreamId::parse(&format!("client-{client}"))?;
    let mut version = block_on(store.stream_head(&stream))?.version;
    for number in 0_usize.. {
        let id = AppendId::parse(&format!("{run}-{client}-{number}"))?;
        let expected = match version.value() {
            0 => Expected::NoStream,
            _ => Expected::Exactly(version),
        };
        let events = (0..=number % 3).map(|event| {
            let payload = format!("{id}-{event}-{}", "x".repeat(number % 300));
            NewEvent::new(
                EventType::from_static("appended"),
                ContentType::from_static("text/plain"),
                payload,
            )
        });
        let events: Vec<NewEvent> = events.collect::<Result<_, _>>()?;
        let append = Append::builder(id)
            .write(stream.clone(), expected, events)
            .build()?;
        let receipt = block_on(store.append(append))?;
        version = receipt.version_of(&stream).unwrap_or(version);
        let mut output = std::io::stdout().lock();
        // Whoever reads is gone when this fails, and so is the need to go on.
        if writeln!(output, "{id} {}", receipt.first_position)
            .and_then(|()| output.flush())
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}
