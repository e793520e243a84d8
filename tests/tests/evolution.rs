//! The laws of schema evolution, in every form of bytes: a chain of upcasts is the direct one, and what old bytes
//! say of the state is what the events say that they were upcast to.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::sync::Arc;

use annals_aggregate::Repository;
use annals_codec::{
    BincodeCodec, CborCodec, Codecs, Compressed, EventCodec, EventCodecExt, Evolution, Evolving,
    Format, JsonCodec, MessagePackCodec, PostcardCodec,
};
use annals_core::{Aggregate, Append, EventStore, Expected, Ids, NewEvent, StreamId, UuidIds};
use annals_store_memory::MemoryStore;
use annals_tests::evolving::{
    DepositedV1, DepositedV2, Moved, OpenedV1, Paid, Purse, PurseEvent, Recorded, chained, direct,
    on_values,
};
use futures_executor::block_on;
use proptest::prelude::*;

fn present() -> impl Strategy<Value = PurseEvent> {
    prop_oneof![
        (any::<String>(), "[A-Z]{3}")
            .prop_map(|(owner, currency)| PurseEvent::Opened { owner, currency }),
        (any::<u64>(), any::<Option<String>>())
            .prop_map(|(cents, note)| PurseEvent::Deposited { cents, note }),
        any::<u64>().prop_map(|cents| PurseEvent::Withdrawn { cents }),
    ]
}

fn recorded() -> impl Strategy<Value = Recorded> {
    prop_oneof![
        any::<String>().prop_map(|owner| Recorded::OpenedV1(OpenedV1 { owner })),
        any::<u32>().prop_map(|euros| Recorded::DepositedV1(DepositedV1 { euros })),
        any::<u64>().prop_map(|cents| Recorded::DepositedV2(DepositedV2 { cents })),
        any::<(u64, u32)>()
            .prop_map(|(outward, inward)| Recorded::Moved(Moved { outward, inward })),
        (any::<u32>(), any::<String>()).prop_map(|(euros, by)| Recorded::Paid(Paid { euros, by })),
        Just(Recorded::Viewed),
        present().prop_map(Recorded::Present),
    ]
}

/// What each recorded event reads as.
fn read<C>(codec: C, evolution: Evolution<PurseEvent>, history: &[Recorded]) -> Vec<Vec<PurseEvent>>
where
    C: EventCodec<PurseEvent> + Format + Copy,
{
    let evolving = Evolving::new(codec, evolution).unwrap();
    let read = |recorded: &Recorded| {
        let decoded = evolving.decode_content(recorded.record(&codec).content());
        decoded.unwrap().into_iter().collect()
    };
    history.iter().map(read).collect()
}

fn fold(events: impl IntoIterator<Item = PurseEvent>) -> Purse {
    let mut purse = Purse::default();
    for event in events {
        purse.apply(&event).unwrap();
    }
    purse
}

fn check<C>(codec: C, history: &[Recorded])
where
    C: EventCodec<PurseEvent> + Format + Copy,
{
    let meanings: Vec<Vec<PurseEvent>> = history.iter().map(Recorded::meaning).collect();
    let chain = read(codec, chained(), history);
    assert_eq!(chain, meanings, "a chain of upcasts");
    assert_eq!(read(codec, direct(), history), meanings, "direct upcasts");
    if codec.describes_itself() {
        assert_eq!(
            read(codec, on_values(), history),
            meanings,
            "upcasts on values"
        );
    }
    let by_meaning = fold(meanings.into_iter().flatten());
    assert_eq!(fold(chain.into_iter().flatten()), by_meaning, "the state");
}

/// The form in which a release recorded an event.
#[derive(Clone, Copy, Debug)]
enum Form {
    Json,
    Bincode,
    MessagePack,
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        Just(Form::Json),
        Just(Form::Bincode),
        Just(Form::MessagePack),
    ]
}

impl Form {
    fn record(self, recorded: &Recorded) -> NewEvent {
        match self {
            Self::Json => recorded.record(&JsonCodec),
            Self::Bincode => recorded.record(&BincodeCodec),
            Self::MessagePack => recorded.record(&MessagePackCodec),
        }
    }
}

/// Writes `MessagePack`, and reads every version of every event in all three forms.
fn mixed() -> Codecs<PurseEvent> {
    let evolution = Arc::new(chained());
    Codecs::writing(Evolving::new(MessagePackCodec, evolution.clone()).unwrap())
        .reading(Evolving::new(JsonCodec, evolution.clone()).unwrap())
        .reading(Evolving::new(BincodeCodec, evolution).unwrap())
}

/// Records events in one stream, and loads what a repository makes of them.
fn loaded(events: Vec<NewEvent>) -> Purse {
    let store = Arc::new(MemoryStore::new());
    let purses = Repository::<Purse>::new(store.clone(), mixed());
    let stream = StreamId::parse("purse-1").unwrap();
    let append = Append::builder(UuidIds::default().append_id());
    let append = append.write(stream, Expected::NoStream, events);
    block_on(store.append(append.build().unwrap())).unwrap();
    block_on(purses.load("1")).unwrap().into_state()
}

proptest! {
    #[test]
    fn one_stream_of_many_forms_and_versions_is_one_history(
        history in prop::collection::vec((recorded(), form()), 1..12),
    ) {
        let events = history.iter().map(|(recorded, form)| form.record(recorded)).collect();
        let meaning = history.iter().flat_map(|(recorded, _)| recorded.meaning());
        prop_assert_eq!(loaded(events), fold(meaning));
    }

    #[test]
    fn old_bytes_mean_what_their_upcasts_mean(history in prop::collection::vec(recorded(), 0..12)) {
        check(JsonCodec, &history);
        check(BincodeCodec, &history);
        check(MessagePackCodec, &history);
        check(CborCodec, &history);
        check(PostcardCodec, &history);
    }

    #[test]
    fn the_present_is_read_and_written_as_without_upcasters(event in present()) {
        let evolving = Evolving::new(JsonCodec, chained()).unwrap();
        let new = evolving.encode(&event).unwrap();
        prop_assert_eq!(&new, &JsonCodec.encode(&event).unwrap());
        prop_assert_eq!(&evolving.decode_one(new.content()).unwrap(), &event);
        let around = Compressed::new(evolving).threshold_bytes(0);
        let new = around.encode(&event).unwrap();
        prop_assert_eq!(around.decode_one(new.content()).unwrap(), event);
    }

    #[test]
    fn wrappers_go_around(recorded in recorded()) {
        let around = Compressed::new(Evolving::new(CborCodec, chained()).unwrap());
        let decoded = around.decode_content(recorded.record(&CborCodec).content()).unwrap();
        prop_assert_eq!(decoded.into_iter().collect::<Vec<_>>(), recorded.meaning());
    }
}
