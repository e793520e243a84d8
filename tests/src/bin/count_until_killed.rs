//! Appends events to count to the store in a directory, until it is killed: `count_until_killed <directory>`.

#![expect(clippy::print_stdout, reason = "it says when it begins")]

use std::env;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{Append, AppendId, EventStore, Expected, StreamId};
use annals_store_log::{LogStore, Settings};
use annals_tests::counted::{Counted, KEYS};
use futures_executor::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = env::args().nth(1).ok_or("give a directory")?;
    let mut settings = Settings::default();
    // Small, so that whoever follows meets sealed segments and index files.
    settings.segment_bytes = 256 * 1024;
    settings.index_bytes_max = 64 * 1024;
    let builder = LogStore::builder(directory).settings(settings);
    let store = builder.create()?;
    println!("open");
    for number in 0_u32.. {
        block_on(store.append(append(number)?))?;
    }
    Ok(())
}

/// The append of this number: one to four events, each to another key.
fn append(number: u32) -> Result<Append, Box<dyn std::error::Error>> {
    let id = AppendId::parse(&format!("count-{number}"))?;
    let mut append = Append::builder(id);
    for event in 0..=number % 4 {
        let key = number.wrapping_mul(7).wrapping_add(event * 131) % KEYS;
        let amount = i64::from(number % 1000) - 500;
        let stream = StreamId::parse(&format!("count-{key}"))?;
        let event = JsonCodec.encode(&Counted { key, amount })?;
        append = append.write(stream, Expected::Any, [event]);
    }
    Ok(append.build()?)
}
