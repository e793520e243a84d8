//! A store with inputs, and what leads the process manager and the timers over it.

use std::sync::Arc;
use std::time::Duration;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Append, AppendId, BoxError, Category, Event, EventStore, EventStoreExt, Expected, Ids,
    ManualClock, ReadRequest, RecordedEvent, StreamId, Timestamp, UuidIds,
};
use annals_projection::{
    Batch, Consumer, Delivery, EventChoice, FeedPage, Handled, ProcessManager, ReactionConsumer,
    Start, TimerSettings, Timers,
};
use annals_store_memory::MemoryStore;

use crate::order::{DAY, Fulfilment, IdOf, OrderEvent, PaymentEvent, manager};
use crate::stepping::{SteppingTimer, until_idle};

/// What survives a crash: the store, the checkpoint, the time.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) clock: ManualClock,
    pub(crate) batch: usize,
    pub(crate) pending_max: usize,
}

/// An input of the tests.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Order(u8, OrderEvent),
    Paid(u8, u64),
}

pub(crate) const BEGINNING: Timestamp = Timestamp::from_seconds(1_700_000_000);

impl World {
    pub(crate) fn new(inputs: &[Input]) -> Self {
        let clock = ManualClock::at(BEGINNING);
        let memory = MemoryStore::builder()
            .clock(Arc::new(clock.clone()))
            .build();
        let world = Self {
            memory: Arc::new(memory),
            clock,
            batch: 1,
            pending_max: 100,
        };
        for input in inputs {
            world.record(input);
        }
        world
    }

    pub(crate) fn record(&self, input: &Input) {
        match input {
            Input::Order(order, event) => self.append("order", *order, event),
            Input::Paid(order, cents) => {
                let paid = PaymentEvent::Paid {
                    order: order.to_string(),
                    cents: *cents,
                };
                self.append("payment", 100 + order, &paid);
            }
        }
    }

    fn append<E: Event>(&self, category: &str, key: u8, event: &E)
    where
        JsonCodec: EventCodec<E>,
    {
        let stream = StreamId::parse(&format!("{category}-{key}")).unwrap();
        let append = Append::builder(UuidIds::default().append_id())
            .write(stream, Expected::Any, [JsonCodec.encode(event).unwrap()])
            .build()
            .unwrap();
        futures_executor::block_on(self.memory.append(append)).unwrap();
    }

    /// The manager over the store as it is.
    pub(crate) fn manager(&self) -> ProcessManager<Fulfilment> {
        manager(self.memory.clone(), Delivery::append_id)
    }

    /// Every event of a category, in order.
    pub(crate) fn recorded(&self, category: &'static str) -> Vec<RecordedEvent> {
        let category = Category::from_static(category);
        let all = self.memory.collect(ReadRequest::category(category));
        futures_executor::block_on(all).unwrap()
    }

    /// The names of the events of a category, in order.
    pub(crate) fn names(&self, category: &'static str) -> Vec<String> {
        let recorded = self.recorded(category);
        let names = recorded
            .iter()
            .map(|event| format!("{} {}", event.stream(), event.event_type()));
        names.collect()
    }

    pub(crate) fn timers(&self, store: &Arc<dyn EventStore>) -> Timers {
        let mut settings = TimerSettings::DEFAULT;
        settings.pending_max = self.pending_max;
        settings.page_events_max = 3;
        settings.mark_events = 1;
        Timers::new(
            Arc::clone(store),
            Arc::new(self.clock.clone()),
            Arc::new(SteppingTimer(self.clock.clone())),
        )
        .with_settings(settings)
        .unwrap()
        .with_checkpoints(self.memory.clone(), "timers".parse().unwrap())
    }

    /// Takes the inputs from the checkpoint on, as a processor does, batch by batch.
    pub(crate) async fn drive(
        &self,
        store: &Arc<dyn EventStore>,
        manager: &ProcessManager<Fulfilment>,
    ) -> Result<(), BoxError> {
        let reaction = manager.reaction(Start::Beginning)?;
        let mut consumer = ReactionConsumer::new(reaction, Arc::clone(store), self.memory.clone())?;
        let mut cursor = consumer.open().await?.cursor;
        loop {
            let request = ReadRequest::new(manager.choice().selection()).after(cursor.clone());
            let page = store.read(request.events_max(self.batch)).await?;
            let is_last = page.next.is_none();
            let page = Arc::new(FeedPage::new(cursor, page, EventChoice::ALL));
            let events = page.events().iter().enumerate();
            let own = events.filter(|(_, event)| manager.choice().contains(event));
            let own: Vec<usize> = own.map(|(index, _)| index).collect();
            cursor = page.cursor().clone();
            match consumer.handle(&Batch::of(page, own)).await? {
                Handled::Whole if is_last => return Ok(()),
                Handled::Whole => {}
                Handled::Failed { error, .. } => return Err(error),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything that is to happen: the inputs are taken, days go by, timers fire and are taken.
    pub(crate) async fn whole(
        &self,
        store: Arc<dyn EventStore>,
        id_of: IdOf,
    ) -> Result<(), BoxError> {
        let manager = manager(Arc::clone(&store), id_of);
        self.drive(&store, &manager).await?;
        for days in [1, 3] {
            self.clock
                .set(BEGINNING.after(days * DAY + Duration::from_secs(1)));
            // Twice: where an answer never comes, the first run rests without having done all.
            for _ in 0..2 {
                if let Some(ended) = until_idle(self.timers(&store).run()).await {
                    ended?;
                }
            }
            self.drive(&store, &manager).await?;
        }
        Ok(())
    }

    /// Every event but the inputs, as a multiset.
    pub(crate) fn effects(&self) -> Vec<String> {
        let all = futures_executor::block_on(self.memory.collect(ReadRequest::all())).unwrap();
        let mut effects: Vec<String> = all
            .iter()
            .map(|event| {
                let payload = String::from_utf8_lossy(event.payload());
                format!("{} {} {payload}", event.stream(), event.event_type())
            })
            .collect();
        effects.sort_unstable();
        effects
    }
}

/// A fresh id in place of the derived one: the bug that the tests must see.
pub(crate) fn fresh() -> AppendId {
    UuidIds::default().append_id()
}
