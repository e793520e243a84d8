//! Events that can't be handled: tried again, parked, skipped, or the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_codec::{Decoded, EventCodec, JsonCodec};
use annals_concurrency::{ManualTimer, RetryPolicy};
use annals_core::{ContentRef, ContentType, ErrorKind, EventStore, EventType, NewEvent, Position};
use annals_projection::{
    ConsumerState, FailurePolicy, MemorySink, MemoryView, ParkedCause, ParkedEvents, Processor,
    ProcessorHandle, ProcessorSettings, Projection,
};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::rig::shop::{OrderEvent, append, placed};

/// Amounts that fail, and how often they still do.
type Failing = Arc<Mutex<Vec<(u64, usize)>>>;

struct World {
    store: Arc<dyn EventStore>,
    timer: ManualTimer,
    view: MemoryView<Vec<u64>>,
    running: ProcessorHandle,
    calls: Arc<AtomicUsize>,
}

/// Notes the amounts of orders; some fail, some panic.
fn amounts(
    failing: Failing,
    calls: Arc<AtomicUsize>,
    policy: FailurePolicy,
) -> Projection<Vec<u64>> {
    let builder = Projection::<Vec<u64>>::builder("amounts", 1).unwrap();
    let builder = builder.on(JsonCodec, move |amounts, event: &OrderEvent, _| {
        calls.fetch_add(1, Ordering::SeqCst);
        let OrderEvent::Placed { cents } = event else {
            return Ok(());
        };
        // Half of the change is made before it fails: it has to be undone.
        amounts.push(*cents);
        let mut failing = failing.lock().unwrap();
        for (amount, times) in &mut *failing {
            if amount == cents && *times > 0 {
                *times -= 1;
                if *cents == 13 {
                    drop(failing);
                    panic!("thirteen");
                }
                return Err(format!("{cents} is refused").into());
            }
        }
        Ok(())
    });
    builder.on_failure(policy).build().unwrap()
}

impl World {
    fn new(policy: FailurePolicy, failing: &[(u64, usize)]) -> Self {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let failing: Failing = Arc::new(Mutex::new(failing.to_vec()));
        let timer = ManualTimer::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let sink = MemorySink::new(Vec::new());
        let view = sink.view();
        let projection = amounts(failing, Arc::clone(&calls), policy);
        let processor = Processor::builder(Arc::clone(&store))
            .timer(timer.clone())
            .project(projection, sink)
            .build()
            .unwrap();
        Self {
            store,
            timer,
            view,
            running: processor.start(),
            calls,
        }
    }

    /// Appends orders of these amounts to a stream, and waits until they are handled.
    async fn order(&self, stream: &str, amounts: &[u64]) -> Result<(), annals_core::Error> {
        let events = amounts.iter().copied().map(placed);
        let receipt = append(&*self.store, stream, events).await;
        self.running.wait_for("amounts", &receipt).await?;
        // That it is live is shown a moment after the cursor.
        self.running.wait_until_live("amounts").await
    }

    fn parked(&self) -> Arc<ParkedEvents> {
        self.running.parked("amounts").unwrap().remove(0)
    }

    async fn state(&self) -> ConsumerState {
        self.running.status().await.remove(0).state
    }
}

fn five_times(policy: FailurePolicy) -> FailurePolicy {
    let mut retry = RetryPolicy::DEFAULT;
    retry.attempts_max = 5;
    retry.jitter = annals_concurrency::Jitter::None;
    policy.retrying(retry)
}

#[test]
fn an_event_is_tried_again_with_longer_and_longer_pauses() {
    let world = World::new(five_times(FailurePolicy::stop()), &[(2, 4)]);
    block_on(async {
        world.order("order-1", &[1, 2, 3]).await.unwrap();
        assert_eq!(*world.view.read(), [1, 2, 3]);
        let millis = [1, 2, 4, 8].map(Duration::from_millis);
        // The reader's wait for a consumer that is slow, as this one is, is no pause between tries.
        let mut pauses = world.timer.pauses();
        pauses.retain(|pause| *pause != ProcessorSettings::DEFAULT.patience);
        assert_eq!(pauses, millis);
        assert_eq!(world.state().await, ConsumerState::Live);
        world.running.stop().await;
    });
}

#[test]
fn a_handler_that_panics_fails() {
    let world = World::new(five_times(FailurePolicy::park()), &[(13, 5)]);
    block_on(async {
        world.order("order-1", &[1]).await.unwrap();
        world.order("order-2", &[13]).await.unwrap();
        world.order("order-3", &[3]).await.unwrap();
        assert_eq!(*world.view.read(), [1, 3]);
        let expected = ParkedCause::Failed {
            error: "panics: thirteen".to_owned(),
            attempts: 5,
        };
        assert_eq!(world.parked().events()[0].cause, expected);
        world.running.stop().await;
    });
}

#[test]
fn a_stop_is_before_the_event_and_a_resume_goes_on_there() {
    let world = World::new(five_times(FailurePolicy::stop()), &[(3, 5)]);
    block_on(async {
        let error = world.order("order-1", &[1, 2, 3, 4]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        // The model holds all before it, and nothing of it.
        assert_eq!(*world.view.read(), [1, 2]);
        let ConsumerState::Failed(text) = world.state().await else {
            panic!("it is to fail");
        };
        for part in ["stream: order-1", "version: 3", "3 is refused"] {
            assert!(text.contains(part), "{text}");
        }
        world.running.resume("amounts").unwrap();
        let last = append(&*world.store, "order-2", [placed(5)]).await;
        while world.running.wait_for("amounts", &last).await.is_err() {
            std::thread::yield_now();
        }
        assert_eq!(*world.view.read(), [1, 2, 3, 4, 5]);
        world.running.stop().await;
    });
}

#[test]
fn a_skipped_event_is_on_record() {
    let world = World::new(five_times(FailurePolicy::skip()), &[(2, 5)]);
    block_on(async {
        world.order("order-1", &[1, 2, 3]).await.unwrap();
        assert_eq!(*world.view.read(), [1, 3]);
        let parked = world.parked();
        assert_eq!((parked.events().len(), parked.skipped_count()), (0, 1));
        assert_eq!(parked.skipped()[0].error, "2 is refused");
        assert_eq!(parked.skipped()[0].position, Position::new(2));
        assert_eq!(world.running.status().await[0].skipped, 1);
        world.running.stop().await;
    });
}

#[test]
fn later_events_of_a_parked_key_wait_and_others_go_on() {
    let world = World::new(five_times(FailurePolicy::park()), &[(2, 5 + 1)]);
    block_on(async {
        world.order("order-1", &[1, 2, 3]).await.unwrap();
        world.order("order-2", &[20]).await.unwrap();
        world.order("order-1", &[4]).await.unwrap();
        assert_eq!(*world.view.read(), [1, 20]);
        assert_eq!(world.state().await, ConsumerState::Parked(3));
        let parked = world.parked();
        let waiting: Vec<_> = parked.events().iter().map(|event| &event.cause).collect();
        assert!(matches!(
            waiting[0],
            ParkedCause::Failed { attempts: 5, .. }
        ));
        assert_eq!(waiting[1..], [&ParkedCause::Waits, &ParkedCause::Waits]);
        assert_eq!(*world.view.read().parked(), *parked);

        // It fails once more, and stays what it is.
        assert_eq!(
            world.running.retry_parked("amounts", None).await.unwrap(),
            0
        );
        let cause = world.parked().events()[0].cause.clone();
        assert!(matches!(cause, ParkedCause::Failed { attempts: 6, .. }));
        assert_eq!(*world.view.read(), [1, 20]);

        // Then it is taken, and those behind it in their order.
        let other = world.running.retry_parked("amounts", Some("order-2")).await;
        assert_eq!(other.unwrap(), 0);
        let taken = world.running.retry_parked("amounts", Some("order-1")).await;
        assert_eq!(taken.unwrap(), 3);
        assert_eq!(*world.view.read(), [1, 20, 2, 3, 4]);
        assert!(world.parked().is_empty());
        assert_eq!(world.state().await, ConsumerState::Live);
        world.order("order-1", &[5]).await.unwrap();
        assert_eq!(*world.view.read(), [1, 20, 2, 3, 4, 5]);
        world.running.stop().await;
    });
}

#[test]
fn a_parked_event_can_be_dropped() {
    let world = World::new(five_times(FailurePolicy::park()), &[(2, usize::MAX)]);
    block_on(async {
        world.order("order-1", &[1, 2, 3, 4]).await.unwrap();
        let unknown = world.running.drop_parked("amounts", Position::new(1)).await;
        assert_eq!(unknown.unwrap_err().kind(), ErrorKind::Invalid);
        let parked = world.running.drop_parked("amounts", Position::new(2));
        parked.await.unwrap();
        assert_eq!(*world.view.read(), [1, 3, 4]);
        let parked = world.parked();
        assert_eq!((parked.events().len(), parked.skipped_count()), (0, 1));
        world.running.stop().await;
    });
}

#[test]
fn what_is_parked_is_bounded() {
    let policy = five_times(FailurePolicy::park()).with_parked_max(2);
    let world = World::new(policy, &[(2, 5)]);
    block_on(async {
        world.order("order-1", &[1, 2, 3]).await.unwrap();
        assert!(world.order("order-1", &[4]).await.is_err());
        let ConsumerState::Failed(text) = world.state().await else {
            panic!("it is to fail");
        };
        assert!(text.contains("parked_max: 2"), "{text}");
        // It is mended by a retry, while it is stopped.
        assert_eq!(
            world.running.retry_parked("amounts", None).await.unwrap(),
            2
        );
        world.running.resume("amounts").unwrap();
        let last = append(&*world.store, "order-2", [placed(5)]).await;
        while world.running.wait_for("amounts", &last).await.is_err() {
            std::thread::yield_now();
        }
        assert_eq!(*world.view.read(), [1, 2, 3, 4, 5]);
        world.running.stop().await;
    });
}

#[test]
fn an_event_that_does_not_decode_is_one_that_fails() {
    let world = World::new(five_times(FailurePolicy::park()), &[]);
    block_on(async {
        world.order("order-1", &[1]).await.unwrap();
        let bad = NewEvent::new(EventType::from_static("placed"), ContentType::JSON, "{]").unwrap();
        let receipt = append(&*world.store, "order-2", [bad]).await;
        world.running.wait_for("amounts", &receipt).await.unwrap();
        world.order("order-2", &[2]).await.unwrap();
        world.order("order-3", &[3]).await.unwrap();
        assert_eq!(*world.view.read(), [1, 3]);
        let parked = world.parked();
        let ParkedCause::Failed { error, attempts } = &parked.events()[0].cause else {
            panic!("it failed");
        };
        assert_eq!(*attempts, 5);
        assert!(error.contains("version: 1"), "{error}");
        assert_eq!(parked.events()[1].cause, ParkedCause::Waits);
        assert!(world.calls.load(Ordering::SeqCst) >= 2);
        world.running.stop().await;
    });
}

#[test]
fn an_order_cuts_a_pause_short() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let failing: Failing = Arc::new(Mutex::new(vec![(2, 3)]));
    let mut retry = RetryPolicy::DEFAULT;
    // A pause that no test waits for.
    retry.backoff_initial = Duration::from_hours(1);
    retry.backoff_max = Duration::from_hours(1);
    retry.jitter = annals_concurrency::Jitter::None;
    let policy = FailurePolicy::stop().retrying(retry);
    let sink = MemorySink::new(Vec::new());
    let view = sink.view();
    let projection = amounts(failing, Arc::default(), policy);
    let processor = Processor::builder(Arc::clone(&store)).project(projection, sink);
    let running = processor.build().unwrap().start();
    block_on(async {
        append(&*store, "order-1", [placed(1), placed(2), placed(3)]).await;
        loop {
            let state = running.status().await.remove(0).state;
            if matches!(state, ConsumerState::Retrying { .. }) {
                break;
            }
            std::thread::yield_now();
        }
        running.pause("amounts").await.unwrap();
        assert_eq!(*view.read(), [1]);
        running.stop().await;
    });
}

/// Fails to decode an event as often as this says.
#[derive(Debug)]
struct Locked(AtomicUsize);

impl EventCodec<OrderEvent> for Locked {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, event: &OrderEvent) -> Result<NewEvent, annals_codec::Error> {
        JsonCodec.encode(event)
    }

    fn decode_content(
        &self,
        content: ContentRef<'_>,
    ) -> Result<Decoded<OrderEvent>, annals_codec::Error> {
        let left = self.0.load(Ordering::SeqCst);
        if left > 0 {
            self.0.store(left - 1, Ordering::SeqCst);
            let kind = annals_codec::ErrorKind::KeysUnavailable;
            return Err(annals_codec::Error::new(kind, "no keys now"));
        }
        JsonCodec.decode_content(content)
    }
}

#[test]
fn what_did_not_decode_is_decoded_anew_when_it_is_tried_again() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let sink = MemorySink::new(0);
    let view = sink.view();
    let projection = Projection::<usize>::builder("count", 1)
        .unwrap()
        .on(Locked(AtomicUsize::new(3)), |count, _: &OrderEvent, _| {
            *count += 1;
            Ok(())
        })
        .on_failure(five_times(FailurePolicy::stop()))
        .build()
        .unwrap();
    let processor = Processor::builder(Arc::clone(&store))
        .timer(ManualTimer::default())
        .project(projection, sink);
    let running = processor.build().unwrap().start();
    block_on(async {
        let receipt = append(&*store, "order-1", [placed(1)]).await;
        running.wait_for("count", &receipt).await.unwrap();
        assert_eq!(*view.read(), 1);
        running.stop().await;
    });
}
