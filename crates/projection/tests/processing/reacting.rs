//! Reactions: effects are caused once, whatever crashes, and never by a replay.

use std::sync::{Arc, Mutex};

use annals_codec::{EventCodec, JsonCodec};
use annals_concurrency::{ManualTimer, RetryPolicy};
use annals_core::{
    Append, CheckpointStore, Cursor, ErrorKind, EventStore, EventStoreExt, Expected, Position,
    ReadRequest, StreamId,
};
use annals_macros::Event;
use annals_projection::{
    ConsumerState, Delivery, FailurePolicy, ParkedCause, Processor, ProcessorHandle, Reaction,
    Start,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

use crate::rig::faulty::Faulty;
use crate::rig::shop::{OrderEvent, append, placed};
use crate::rig::tasks::{Tasks, pass};
use crate::rig::turn_timer::TurnTimer;

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "mail")]
struct Sent {
    cents: u64,
}

/// Writes down the amounts that it is told of.
fn noting(start: Start, noted: &Arc<Mutex<Vec<u64>>>) -> Reaction {
    let noted = Arc::clone(noted);
    let builder = Reaction::builder("noting", start).unwrap();
    let builder = builder.on(JsonCodec, move |order: Delivery<OrderEvent>| {
        let noted = Arc::clone(&noted);
        async move {
            if let OrderEvent::Placed { cents } = *order {
                noted.lock().unwrap().push(cents);
            }
            Ok(())
        }
    });
    builder.build().unwrap()
}

fn start(store: &Arc<MemoryStore>, reaction: Reaction) -> ProcessorHandle {
    let checkpoints: Arc<dyn CheckpointStore> = store.clone();
    let processor = Processor::builder(store.clone())
        .timer(ManualTimer::default())
        .react(reaction, checkpoints);
    processor.build().unwrap().start()
}

#[test]
fn a_new_reaction_begins_where_it_says_and_then_goes_on() {
    for (begin, expected) in [
        (Start::Now, vec![3, 4]),
        (Start::Beginning, vec![1, 2, 3, 4]),
        (Start::After(Cursor::at(Position::new(1))), vec![2, 3, 4]),
    ] {
        let store = Arc::new(MemoryStore::new());
        let noted = Arc::default();
        block_on(async {
            append(&*store, "order-1", [placed(1), placed(2)]).await;
            let running = start(&store, noting(begin, &noted));
            running.wait_until_live("noting").await.unwrap();
            let receipt = append(&*store, "order-1", [placed(3)]).await;
            running.wait_for("noting", &receipt).await.unwrap();
            running.stop().await;
            // Once it has begun, it matters no more.
            let receipt = append(&*store, "order-1", [placed(4)]).await;
            let running = start(&store, noting(Start::Now, &noted));
            running.wait_for("noting", &receipt).await.unwrap();
            running.stop().await;
        });
        assert_eq!(*noted.lock().unwrap(), expected);
    }
}

#[test]
fn a_reaction_is_never_replayed() {
    let store = Arc::new(MemoryStore::new());
    let noted = Arc::default();
    block_on(async {
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        let running = start(&store, noting(Start::Beginning, &noted));
        running.wait_for("noting", &receipt).await.unwrap();
        let refused = running.reset("noting").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        let receipt = append(&*store, "order-1", [placed(2)]).await;
        running.wait_for("noting", &receipt).await.unwrap();
        running.stop().await;
    });
    assert_eq!(*noted.lock().unwrap(), [1, 2]);
}

#[test]
fn two_under_one_name_are_found_out() {
    let store = Arc::new(MemoryStore::new());
    let (ours, theirs) = (Arc::default(), Arc::default());
    block_on(async {
        let one = start(&store, noting(Start::Beginning, &ours));
        one.wait_until_live("noting").await.unwrap();
        let two = start(&store, noting(Start::Beginning, &theirs));
        two.wait_until_live("noting").await.unwrap();
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        let answers = [
            one.wait_for("noting", &receipt).await,
            two.wait_for("noting", &receipt).await,
        ];
        assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
        one.stop().await;
        two.stop().await;
    });
}

/// Sends a mail for each order, as an event.
fn mailing(store: &Arc<dyn EventStore>) -> Reaction {
    let store = Arc::clone(store);
    let builder = Reaction::builder("mailing", Start::Beginning).unwrap();
    let builder = builder.on(JsonCodec, move |order: Delivery<OrderEvent>| {
        let store = Arc::clone(&store);
        async move {
            pass().await;
            let OrderEvent::Placed { cents } = *order else {
                return Ok(());
            };
            let sent = JsonCodec.encode(&Sent { cents })?;
            let append = Append::builder(order.append_id(0))
                .write(
                    StreamId::parse("mail-1")?,
                    Expected::Any,
                    [sent.with_metadata(order.metadata()?)],
                )
                .build()?;
            store.append(append).await?;
            pass().await;
            Ok(())
        }
    });
    builder.concurrent_keys(3).build().unwrap()
}

#[test]
fn effects_in_the_log_are_there_once_wherever_it_crashes() {
    for seed in 0..300_u64 {
        let tasks = Tasks::new(seed);
        let memory = Arc::new(MemoryStore::new());
        let store: Arc<dyn EventStore> = Faulty::new(memory.clone());
        let start = |tasks: &Tasks| {
            let processor = Processor::builder(Arc::clone(&store))
                .spawn(tasks.clone())
                .timer(TurnTimer::new(5))
                .react(mailing(&store), memory.clone());
            processor.build().unwrap().start()
        };
        let mut running = start(&tasks);
        for number in 0..6 {
            let (store, stream) = (Arc::clone(&store), format!("order-{}", number % 4));
            tasks.run(
                async move { append(&*store, &stream, [placed(number), placed(number)]).await },
            );
            for _ in 0..tasks.below(150) {
                tasks.turn();
            }
            if tasks.below(2) == 0 {
                tasks.crash();
                running = start(&tasks);
            }
        }
        let (store, ended) = (Arc::clone(&store), running.clone());
        let mails = tasks.run(async move {
            ended.wait_until_live("mailing").await.unwrap();
            ended.stop().await;
            let mails = StreamId::parse("mail-1").unwrap();
            store.collect(ReadRequest::stream(mails)).await.unwrap()
        });
        let mut causes: Vec<_> = mails
            .iter()
            .map(|mail| mail.metadata().causation_id().unwrap())
            .collect();
        causes.sort();
        causes.dedup();
        assert_eq!((mails.len(), causes.len()), (12, 12), "seed {seed}");
    }
}

#[test]
fn what_an_event_causes_is_named_for_ever() {
    use annals_core::{EventId, Placement, RecordedEvent, Timestamp, Version};
    use std::num::NonZeroU128;

    let id =
        EventId::from_number(NonZeroU128::new(0x0190_1234_5678_7abc_8def_0123_4567_89ab).unwrap());
    let placement = Placement {
        id,
        stream: StreamId::parse("order-1").unwrap(),
        version: Version::FIRST,
        position: Position::FIRST,
        recorded_at: Timestamp::EPOCH,
        appended_at: Timestamp::EPOCH,
    };
    let recorded = RecordedEvent::new(placed(1), placement);
    let named = Arc::new(Mutex::new(Vec::new()));
    let writing = Arc::clone(&named);
    let reaction = Reaction::builder("mailer", Start::Beginning)
        .unwrap()
        .on(JsonCodec, move |order: Delivery<OrderEvent>| {
            let ids = [0, 1].map(|number| order.append_id(number).to_string());
            writing.lock().unwrap().extend(ids);
            std::future::ready(Ok(()))
        })
        .build()
        .unwrap();
    let store = Arc::new(MemoryStore::new());
    let mut consumer =
        annals_projection::ReactionConsumer::new(reaction, store.clone(), store).unwrap();
    block_on(async {
        use annals_core::Page;
        use annals_projection::{Batch, Consumer, EventChoice, FeedPage, Handled};
        consumer.open().await.unwrap();
        let page = Page {
            events: vec![recorded],
            next: None,
            cursor: Cursor::START,
            stream: None,
        };
        let page = FeedPage::new(Cursor::START, page, EventChoice::ALL);
        let handled = consumer
            .handle(&Batch::whole(Arc::new(page)))
            .await
            .unwrap();
        assert!(matches!(handled, Handled::Whole));
    });
    // Computed from the rule that is written down, by another program.
    assert_eq!(*named.lock().unwrap(), EXPECTED_IDS);
}

const EXPECTED_IDS: [&str; 2] = [
    "caused-b720fe52adea63d0227c15b24aecc120",
    "caused-8cc8c081947ce75b8c7aa12f1a1756fe",
];

/// Fails for an amount as often as it is told to; counts all calls.
fn picky(refused: u64, times: usize, calls: &Arc<Mutex<Vec<(u64, u32)>>>, keys: usize) -> Reaction {
    let (calls, left) = (Arc::clone(calls), Arc::new(Mutex::new(times)));
    let mut retry = RetryPolicy::DEFAULT;
    retry.attempts_max = 3;
    let builder = Reaction::builder("picky", Start::Beginning).unwrap();
    let builder = builder.on(JsonCodec, move |order: Delivery<OrderEvent>| {
        let (calls, left) = (Arc::clone(&calls), Arc::clone(&left));
        async move {
            let OrderEvent::Placed { cents } = *order else {
                return Ok(());
            };
            calls.lock().unwrap().push((cents, order.attempt()));
            let mut left = left.lock().unwrap();
            if cents == refused && *left > 0 {
                *left -= 1;
                return Err("refused".into());
            }
            Ok(())
        }
    });
    builder
        .on_failure(FailurePolicy::park().retrying(retry))
        .concurrent_keys(keys)
        .build()
        .unwrap()
}

#[test]
fn a_failing_event_repeats_no_others_effects() {
    for keys in [1, 4] {
        let store = Arc::new(MemoryStore::new());
        let calls = Arc::default();
        block_on(async {
            append(&*store, "order-1", [placed(1)]).await;
            append(&*store, "order-2", [placed(2), placed(3)]).await;
            let receipt = append(&*store, "order-3", [placed(4)]).await;
            let running = start(&store, picky(2, 2, &calls, keys));
            running.wait_for("picky", &receipt).await.unwrap();
            running.stop().await;
        });
        let mut calls = calls.lock().unwrap().clone();
        calls.sort_unstable();
        let expected = [(1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1)];
        assert_eq!(calls, expected, "{keys} keys");
    }
}

#[test]
fn what_is_parked_is_there_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let calls = Arc::default();
    block_on(async {
        append(&*store, "order-1", [placed(1), placed(2), placed(3)]).await;
        let receipt = append(&*store, "order-2", [placed(4)]).await;
        let running = start(&store, picky(2, 3, &calls, 1));
        running.wait_for("picky", &receipt).await.unwrap();
        let before = running.parked("picky").unwrap().remove(0);
        running.stop().await;

        let running = start(&store, picky(2, 0, &calls, 1));
        running.wait_until_live("picky").await.unwrap();
        let after = running.parked("picky").unwrap().remove(0);
        assert_eq!(before, after);
        let causes: Vec<_> = after.events().iter().map(|event| &event.cause).collect();
        assert!(matches!(causes[0], ParkedCause::Failed { attempts: 3, .. }));
        assert_eq!(causes[1..], [&ParkedCause::Waits]);
        let state = running.status().await.remove(0).state;
        assert_eq!(state, ConsumerState::Parked(2));
        assert_eq!(running.retry_parked("picky", None).await.unwrap(), 2);
        running.stop().await;
        let record = StreamId::parse("parked-picky").unwrap();
        let record = store.collect(ReadRequest::stream(record)).await.unwrap();
        let types: Vec<_> = record
            .iter()
            .map(|event| event.event_type().as_str())
            .collect();
        let expected = [
            "event-parked",
            "event-parked",
            "event-released",
            "event-released",
        ];
        assert_eq!(types, expected);
    });
    let calls = calls.lock().unwrap();
    assert_eq!(calls[calls.len() - 2..], [(2, 4), (3, 1)]);
}

#[test]
fn a_stop_waits_for_the_delivery_at_hand_and_no_other() {
    let tasks = Tasks::new(9);
    let memory = Arc::new(MemoryStore::new());
    let noted: Arc<Mutex<Vec<u64>>> = Arc::default();
    let slow = |noted: &Arc<Mutex<Vec<u64>>>| {
        let noted = Arc::clone(noted);
        let builder = Reaction::builder("slow", Start::Beginning).unwrap();
        let builder = builder.on(JsonCodec, move |order: Delivery<OrderEvent>| {
            let noted = Arc::clone(&noted);
            async move {
                for _ in 0..20 {
                    pass().await;
                }
                if let OrderEvent::Placed { cents } = *order {
                    noted.lock().unwrap().push(cents);
                }
                Ok(())
            }
        });
        builder.build().unwrap()
    };
    let start = || {
        let processor = Processor::builder(memory.clone())
            .spawn(tasks.clone())
            .timer(TurnTimer::new(100))
            .react(slow(&noted), memory.clone());
        processor.build().unwrap().start()
    };
    let store = memory.clone();
    tasks.run(async move { append(&*store, "order-1", (0..100).map(placed)).await });
    let running = start();
    while noted.lock().unwrap().len() < 10 {
        tasks.turn();
    }
    let stopping = running.clone();
    tasks.run(async move { stopping.stop().await });
    let stopped_at = noted.lock().unwrap().len();
    assert!(stopped_at < 15, "{stopped_at}");
    let running = start();
    tasks.run(async move {
        running.wait_until_live("slow").await.unwrap();
        running.stop().await;
    });
    // Nothing is left out, and nothing comes again.
    assert_eq!(*noted.lock().unwrap(), (0..100).collect::<Vec<u64>>());
}

#[test]
fn now_is_when_it_was_first_opened() {
    let store = Arc::new(MemoryStore::new());
    let noted = Arc::default();
    block_on(async {
        append(&*store, "order-1", [placed(1)]).await;
        let running = start(&store, noting(Start::Now, &noted));
        running.wait_until_live("noting").await.unwrap();
        running.stop().await;
        let receipt = append(&*store, "order-1", [placed(2)]).await;
        let running = start(&store, noting(Start::Now, &noted));
        running.wait_for("noting", &receipt).await.unwrap();
        running.stop().await;
    });
    assert_eq!(*noted.lock().unwrap(), [2]);
}
