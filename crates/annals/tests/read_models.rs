//! The code of the book's chapter "Read models".

use std::collections::BTreeMap;
use std::sync::Arc;

use annals::prelude::*;
use annals::{AfterRetries, ConsumerState, MemoryView, ProcessorHandle, RetryPolicy};
use futures_executor::block_on;
use serde::{Deserialize, Serialize};

// ANCHOR: events
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
enum OrderEvent {
    Placed { customer: String, cents: u64 },
    Cancelled { customer: String, cents: u64 },
}
// ANCHOR_END: events

// ANCHOR: model
/// What each customer spent, in cents.
#[derive(Clone, Debug, Default, PartialEq)]
struct Spending {
    by_customer: BTreeMap<String, u64>,
}

impl Spending {
    fn of(&mut self, customer: &str) -> &mut u64 {
        self.by_customer.entry(customer.to_owned()).or_default()
    }
}
// ANCHOR_END: model

// ANCHOR: projection
fn spending() -> Result<Projection<Spending>, annals::Error> {
    Projection::<Spending>::builder("spending", 1)?
        .on(JsonCodec, |spending, event: &OrderEvent, _recorded| {
            match event {
                OrderEvent::Placed { customer, cents } => *spending.of(customer) += cents,
                OrderEvent::Cancelled { customer, cents } => {
                    let spent = spending.of(customer);
                    *spent = spent
                        .checked_sub(*cents)
                        .ok_or("cancelled more than placed")?;
                }
            }
            Ok(())
        })
        .on_failure(FailurePolicy::park())
        .build()
}
// ANCHOR_END: projection

// ANCHOR: start
fn start(
    store: Arc<dyn EventStore>,
) -> Result<(ProcessorHandle, MemoryView<Spending>), annals::Error> {
    let sink = MemorySink::new(Spending::default());
    let view = sink.view();
    let running = Processor::builder(store)
        .project(spending()?, sink)
        .build()?
        .start();
    Ok((running, view))
}
// ANCHOR_END: start

async fn append(
    store: &dyn EventStore,
    order: &str,
    event: &OrderEvent,
) -> Result<Receipt, annals::Error> {
    let append = Append::builder(UuidIds::default().append_id())
        .write(
            StreamId::parse(order)?,
            Expected::Any,
            [JsonCodec.encode(event)?],
        )
        .build()?;
    store.append(append).await
}

fn placed(customer: &str, cents: u64) -> OrderEvent {
    let customer = customer.to_owned();
    OrderEvent::Placed { customer, cents }
}

fn cancelled(customer: &str, cents: u64) -> OrderEvent {
    let customer = customer.to_owned();
    OrderEvent::Cancelled { customer, cents }
}

#[test]
fn a_model_is_read_after_what_was_written() -> Result<(), annals::Error> {
    block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let (running, view) = start(Arc::clone(&store))?;
        // ANCHOR: read
        let receipt = append(&*store, "order-7", &placed("ada", 250)).await?;
        running.wait_for("spending", &receipt).await?;
        let spending = view.read();
        assert_eq!(spending.by_customer["ada"], 250);
        // ANCHOR_END: read
        running.stop().await;
        Ok(())
    })
}

#[test]
fn a_failed_event_is_parked_and_tried_again() -> Result<(), annals::Error> {
    block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let (running, view) = start(Arc::clone(&store))?;
        append(&*store, "order-1", &cancelled("ada", 5)).await?;
        append(&*store, "order-2", &placed("ada", 100)).await?;
        running.wait_until_live("spending").await?;
        // ANCHOR: parked
        let status = running.status().await;
        assert_eq!(status[0].state, ConsumerState::Parked(1));
        for parked in running.parked("spending")?[0].events() {
            println!("{} {:?}", parked.stream, parked.cause);
        }
        let taken = running.retry_parked("spending", None).await?;
        // ANCHOR_END: parked
        assert_eq!((taken, view.read().by_customer["ada"]), (1, 95));
        running.stop().await;
        Ok(())
    })
}

// ANCHOR: policy
fn patient() -> FailurePolicy {
    let mut retry = RetryPolicy::DEFAULT;
    retry.attempts_max = 20;
    let mut policy = FailurePolicy::skip().retrying(retry);
    policy.then = AfterRetries::Stop; // on second thoughts
    policy
}
// ANCHOR_END: policy

#[test]
fn a_policy_is_data() {
    assert_eq!(patient().then, AfterRetries::Stop);
}

#[test]
fn a_model_can_be_split() -> Result<(), annals::Error> {
    block_on(async {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let receipt = append(&*store, "order-7", &placed("ada", 250)).await?;
        // ANCHOR: split
        let (sinks, views) = MemorySink::split(4, &Spending::default());
        let running = Processor::builder(store)
            .project_split(&spending()?, sinks)
            .build()?
            .start();
        running.wait_for("spending", &receipt).await?;
        let part = views.read("order-7")?;
        // ANCHOR_END: split
        assert_eq!(part.by_customer["ada"], 250);
        running.stop().await;
        Ok(())
    })
}

#[test]
fn a_reaction_causes_once() -> Result<(), annals::Error> {
    block_on(async {
        let memory = Arc::new(MemoryStore::new());
        let store: Arc<dyn EventStore> = memory.clone();
        // ANCHOR: reaction
        let welcomes = Reaction::builder("welcomes", Start::Beginning)?
            .on(JsonCodec, {
                let store = Arc::clone(&store);
                move |order: Delivery<OrderEvent>| {
                    let store = Arc::clone(&store);
                    async move {
                        let OrderEvent::Placed { customer, .. } = &*order else {
                            return Ok(());
                        };
                        let sent = NewEvent::new(
                            EventType::parse("welcome-sent")?,
                            ContentType::JSON,
                            format!("{{\"to\":\"{customer}\"}}"),
                        )?;
                        let append = Append::builder(order.append_id(0))
                            .write(
                                StreamId::parse("mail-out")?,
                                Expected::Any,
                                [sent.with_metadata(order.metadata()?)],
                            )
                            .build()?;
                        store.append(append).await?;
                        Ok(())
                    }
                }
            })
            .build()?;
        let running = Processor::builder(Arc::clone(&store))
            .react(welcomes, memory)
            .build()?
            .start();
        // ANCHOR_END: reaction
        let receipt = append(&*store, "order-7", &placed("ada", 250)).await?;
        running.wait_for("welcomes", &receipt).await?;
        assert!(running.reset("welcomes").await.is_err());
        running.stop().await;
        let mails = store.collect(ReadRequest::stream(StreamId::parse("mail-out")?));
        assert_eq!(mails.await?.len(), 1);
        Ok(())
    })
}
