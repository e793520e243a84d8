//! The code of the chapter "Choosing a codec" of the book.

#![cfg(all(
    feature = "json",
    feature = "macros",
    feature = "memory",
    feature = "messagepack",
    feature = "zstd"
))]

use std::sync::Arc;

use annals::prelude::*;
use annals::{Codecs, Compressed, Dictionary, MessagePackCodec};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "note")]
enum NoteEvent {
    Noted { text: String },
}

#[derive(Default)]
struct Note(Vec<String>);

impl Aggregate for Note {
    type Event = NoteEvent;

    fn apply(&mut self, event: &NoteEvent) -> Result<(), Refusal> {
        let NoteEvent::Noted { text } = event;
        self.0.push(text.clone());
        Ok(())
    }
}

fn noted(text: &str) -> NoteEvent {
    let text = text.to_owned();
    NoteEvent::Noted { text }
}

#[test]
fn a_store_changes_its_codec() {
    futures_executor::block_on(async {
        let store = Arc::new(MemoryStore::new());
        let old = Repository::<Note>::new(store.clone(), JsonCodec);
        old.execute("a", |_| Ok::<_, Refusal>(noted("one")))
            .await
            .unwrap();
        // ANCHOR: migrate
        // First every reader learns the new form, then writers turn it round.
        let readers = Codecs::writing(JsonCodec).reading(MessagePackCodec);
        let writers = Codecs::writing(MessagePackCodec).reading(JsonCodec);
        // ANCHOR_END: migrate
        let new = Repository::<Note>::new(store.clone(), writers);
        new.execute("a", |_| Ok::<_, Refusal>(noted("two")))
            .await
            .unwrap();
        let lagging = Repository::<Note>::new(store, readers);
        assert_eq!(lagging.load("a").await.unwrap().state().0, ["one", "two"]);
    });
}

#[test]
fn payloads_are_compressed_with_a_dictionary() {
    let events: Vec<NoteEvent> = (0..1_000)
        .map(|number| {
            noted(&format!(
                "order {number}: paid by card, sent by mail, {}",
                number * 7919 % 997
            ))
        })
        .collect();
    // ANCHOR: dictionary
    // Once, offline: from payloads as the inner codec writes them. Keep the bytes with the application.
    let samples = events
        .iter()
        .map(|event| JsonCodec.encode(event).unwrap().payload().clone());
    let kept = Dictionary::train(samples, 4 << 10)
        .unwrap()
        .as_bytes()
        .clone();

    // Wherever events are written or read.
    let dictionary = Dictionary::from_bytes(kept).unwrap();
    let codec = Compressed::new(JsonCodec)
        .threshold_bytes(64)
        .writing(dictionary);
    // ANCHOR_END: dictionary
    let event = events.first().unwrap();
    let content = codec.encode(event).unwrap();
    assert!(
        content
            .content_type()
            .as_str()
            .starts_with("application/json+zstd.")
    );
    let decoded: NoteEvent = codec.decode_one(content.content()).unwrap();
    assert_eq!(&decoded, event);
}
