//! Decisions of several models: one read, each model its own events.

use std::sync::Arc;

use annals_aggregate::{DecisionModel, Decisions, Selected};
use annals_codec::{Decoded, EventCodec, JsonCodec};
use annals_core::{
    Aggregate, Append, ContentRef, ContentType, Criteria, Error, ErrorKind, EventStore, Expected,
    Ids, NewEvent, ReadRequest, Refusal, Selection, StreamId, Tag, UuidIds,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::meddled::Meddled;
use crate::seats::{
    GuestEvent, Occupied, RoomEvent, arrived, decisions, occupant, painted, presence, record, taken,
};

#[test]
fn a_tuple_is_read_once_and_each_model_has_its_own_events() {
    block_on(async {
        let store = Meddled::after_reads([]);
        record(
            &store.inner,
            vec![taken("7", "ada"), taken("8", "ben"), painted("7")],
        )
        .await;
        let welcome = |(room, other, guest): &(_, _, _)| {
            assert_eq!(
                room,
                &crate::seats::Occupant {
                    room: "7",
                    guests: vec!["ada".into()]
                }
            );
            assert_eq!(
                other,
                &crate::seats::Occupant {
                    room: "8",
                    guests: vec!["ben".into()]
                }
            );
            assert_eq!(guest, &presence("ada"));
            Ok::<_, Occupied>([arrived("ada"), arrived("ben")])
        };
        let all = (occupant("7"), occupant("8"), presence("ada"));
        decisions(&store).decide(all, welcome).await.unwrap();
        assert_eq!(store.calls().reads.len(), 1);

        let nested = (
            occupant("7"),
            (vec![presence("ada"), presence("ben")], ()),
            (presence("cleo"),),
        );
        let read = decisions(&store).read(nested).await.unwrap();
        let (room, (guests, ()), (absent,)) = read.decision;
        assert_eq!(room.guests, ["ada"]);
        assert_eq!(
            guests
                .iter()
                .map(|guest| guest.arrivals)
                .collect::<Vec<_>>(),
            [1, 1]
        );
        assert_eq!(absent.arrivals, 0);
        assert_eq!(store.calls().reads.len(), 2);
    });
}

/// Any of the models makes the append a conflict.
#[test]
fn every_model_guards_the_append() {
    block_on(async {
        for (other, attempts) in [
            (taken("7", "x"), 2),
            (taken("8", "x"), 2),
            (taken("9", "x"), 1),
        ] {
            let store = Meddled::after_reads([vec![other]]);
            let both = (occupant("7"), (presence("ada"), occupant("8")));
            let decisions = decisions(&store);
            let decided = decisions.decide(both, |_| Ok::<_, ()>(painted("1")));
            assert_eq!(decided.await.unwrap().attempts, attempts);
        }
    });
}

/// The same question twice is one item of the criteria.
#[test]
fn the_union_has_no_repeats() {
    block_on(async {
        let store = Meddled::after_reads([]);
        let all: Vec<_> = (0..200).map(|_| occupant("7")).collect();
        decisions(&store).read(all).await.unwrap();
        let calls = store.calls();
        let Some(Selection::Criteria(criteria)) = calls.reads.first().map(|read| &read.selection)
        else {
            panic!("{calls:?}");
        };
        assert_eq!(criteria, &occupant("7").criteria().unwrap());
    });
}

/// A codec that counts what it decodes.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl<E> EventCodec<E> for Counting
where
    JsonCodec: EventCodec<E>,
{
    fn content_type(&self) -> ContentType {
        EventCodec::<E>::content_type(&JsonCodec)
    }

    fn encode(&self, event: &E) -> Result<NewEvent, annals_codec::Error> {
        JsonCodec.encode(event)
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<E>, annals_codec::Error> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        JsonCodec.decode_content(content)
    }
}

#[test]
fn an_event_is_decoded_once_for_all_models_of_its_type() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        record(
            &store,
            vec![taken("7", "ada"), taken("7", "ben"), taken("8", "cleo")],
        )
        .await;
        let codec = Arc::new(Counting::default());
        let decisions = Decisions::new(store, codec.clone());
        let both = vec![occupant("7"), occupant("7"), occupant("9")];
        let read = decisions.read(both).await.unwrap().decision;
        let guests: Vec<usize> = read.iter().map(|room| room.guests.len()).collect();
        assert_eq!(guests, [2, 2, 0]);
        assert_eq!(codec.0.load(std::sync::atomic::Ordering::Relaxed), 2);
    });
}

/// An aggregate over whatever its criteria select.
#[derive(Debug, Default, PartialEq)]
struct Painter(usize);

impl Aggregate for Painter {
    type Event = RoomEvent;

    fn apply(&mut self, event: &RoomEvent) -> Result<(), Refusal> {
        match event {
            RoomEvent::Painted { .. } => self.0 += 1,
            RoomEvent::Taken { .. } => return Err(Refusal::new("painters take no rooms")),
        }
        Ok(())
    }
}

#[test]
fn an_aggregate_is_a_model_by_its_criteria() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        record(&store, vec![painted("7"), taken("7", "ada"), painted("8")]).await;
        let criteria = Criteria::of_kinds::<RoomEvent>(["painted"]).unwrap();
        let painter = Selected::<Painter>::new(criteria);
        let read = decisions(&store)
            .read((painter, presence("ada")))
            .await
            .unwrap();
        assert_eq!(read.decision.0.state(), &Painter(2));

        let everything = Selected::<Painter>::new(Criteria::of_event::<RoomEvent>().unwrap());
        let refused = decisions(&store).read(everything).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(
            format!("{refused:?}").contains("painters take no rooms"),
            "{refused:?}"
        );
    });
}

#[test]
fn a_selected_event_of_another_type_is_an_error_that_names_it() {
    #[derive(Debug)]
    struct Anything;

    impl DecisionModel for Anything {
        type Event = GuestEvent;

        fn criteria(&self) -> Result<Criteria, Error> {
            Criteria::of_tags([Tag::from_static("guest:ada")])
        }

        fn apply(&mut self, _: &GuestEvent) -> Result<(), Refusal> {
            Ok(())
        }
    }

    block_on(async {
        let store = Arc::new(MemoryStore::new());
        record(&store, vec![taken("7", "ada")]).await;
        let refused = decisions(&store).read(Anything).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Undecodable);
        assert!(refused.to_string().contains("room"), "{refused}");
    });
}

#[test]
fn a_misspelt_kind_is_refused() {
    let error = Criteria::of_kinds::<RoomEvent>(["taken", "panted"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("panted") && text.contains("taken painted"),
        "{text}"
    );
}

/// An event is selected by what was recorded, whatever its type would give by now.
#[test]
fn tags_are_those_that_were_recorded() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let untagged: NewEvent = JsonCodec.encode(&taken("7", "ada")).unwrap();
        let untagged = untagged.with_tags(annals_core::Tags::EMPTY);
        let append = Append::builder(UuidIds::default().append_id())
            .write(StreamId::from_static("room"), Expected::Any, [untagged])
            .build();
        store.append(append.unwrap()).await.unwrap();
        let read = decisions(&store).read(occupant("7")).await.unwrap();
        assert!(read.decision.guests.is_empty());
        let all = store.read(ReadRequest::all()).await.unwrap();
        assert_eq!(read.cursor, all.cursor);
    });
}
