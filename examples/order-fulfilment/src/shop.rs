//! The shop: the commands of people, the process that leads their orders, and the read model that shows them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use annals::prelude::*;
use annals::profile::{Monitor, ProfiledStore};
use annals::{
    BlockingThreads, CheckpointName, CheckpointStore, CommandError, ConsistencyLevel, Error,
    JsonCodec, Observer, ParkedEvent, Processor, ProcessorHandle, ReadModel, Start, Timers,
    TimersHandle,
};
use thiserror::Error;

use crate::fulfilment::{self, Hands};
use crate::order::{Order, PlacedBefore};
use crate::payment::{PaymentEvent, PaymentService};
use crate::read_model::Orders;
use crate::stock::Stock;
use crate::story_time::StoryTime;
use crate::versions::Versions;

/// A shop over a store, at work.
#[derive(Debug)]
pub struct Shop {
    store: Arc<dyn EventStore>,
    hands: Hands,
    processor: ProcessorHandle,
    timers: TimersHandle,
    versions: Versions,
}

/// What goes wrong in a shop.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ShopError {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Order(#[from] CommandError<PlacedBefore>),
    #[error(transparent)]
    Stock(#[from] CommandError<Infallible>),
}

impl Shop {
    /// Opens the shop: its process manager, its timers and its read model, in the versions that are recorded, begin to
    /// work.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn open<S: EventStore + CheckpointStore + 'static>(
        store: Arc<S>,
        payments: PaymentService,
        time: StoryTime,
    ) -> Result<Self, Error> {
        let checkpoints: Arc<dyn CheckpointStore> = store.clone();
        Self::over(store, checkpoints, payments, time, None).await
    }

    // ANCHOR: watched
    /// Opens a shop that is watched: its store, its repositories and its processor tell this monitor what they do.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_watched<S: EventStore + CheckpointStore + 'static>(
        store: Arc<S>,
        payments: PaymentService,
        time: StoryTime,
        monitor: &Monitor,
    ) -> Result<Self, Error> {
        let checkpoints: Arc<dyn CheckpointStore> = store.clone();
        let store = Arc::new(ProfiledStore::new(store, monitor.clone()));
        let observer: Arc<dyn Observer> = Arc::new(monitor.clone());
        Self::over(store, checkpoints, payments, time, Some(observer)).await
    }
    // ANCHOR_END: watched

    // ANCHOR: open
    /// Has the process manager, the timers and the read model begin to work.
    async fn over(
        store: Arc<dyn EventStore>,
        checkpoints: Arc<dyn CheckpointStore>,
        payments: PaymentService,
        time: StoryTime,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, Error> {
        let hands = Hands {
            orders: repository(&store, observer.as_ref()),
            stock: repository(&store, observer.as_ref()),
            parcels: repository(&store, observer.as_ref()),
            payments,
        };
        let manager = fulfilment::manager(store.clone(), hands.clone())?;
        let (versions, fed) = Versions::open(store.clone()).await?;
        let mut processor = Processor::builder(store.clone())
            .react(manager.reaction(Start::Beginning)?, checkpoints.clone());
        for version in fed {
            processor = processor.consume(version);
        }
        if let Some(observer) = observer {
            processor = processor.observer(observer);
        }
        let processor = processor.build()?.start();
        let name = CheckpointName::from_static("timers");
        let timers = Timers::new(store.clone(), Arc::new(time.clone()), Arc::new(time))
            .with_checkpoints(checkpoints, name)
            .start(&BlockingThreads);
        Ok(Self {
            store,
            hands,
            processor,
            timers,
            versions,
        })
    }
    // ANCHOR_END: open

    /// What watches and steers its process and its read model.
    pub fn processor(&self) -> &ProcessorHandle {
        &self.processor
    }

    /// Closes the shop. What was begun goes on when it is opened again.
    ///
    /// # Errors
    /// Why the timers had stopped before.
    pub async fn close(self) -> Result<(), Error> {
        self.processor.stop().await;
        self.versions.close().await;
        self.timers.stop().await
    }

    /// Takes more of an item into the stock.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn receive(&self, item: &str, quantity: u32) -> Result<(), ShopError> {
        let receive = |stock: &Stock| stock.receive(quantity);
        self.hands.stock.execute(item, receive).await?;
        Ok(())
    }

    /// Places an order under a number.
    ///
    /// # Errors
    /// [`PlacedBefore`]; or as the store has it.
    pub async fn place(
        &self,
        number: &str,
        customer: &str,
        what: (u32, &str),
        cents: u64,
    ) -> Result<(), ShopError> {
        let place = |order: &Order| order.place(customer, what, cents);
        self.hands.orders.execute(number, place).await?;
        Ok(())
    }

    /// Takes the payment of an order, as the service tells of it.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn pay(&self, number: &str, cents: u64) -> Result<(), ShopError> {
        let received = PaymentEvent::Received { cents };
        let received = JsonCodec.encode(&received).map_err(Error::from)?;
        let stream = StreamId::parse(&format!("payment-{number}"))?;
        let append = Append::builder(UuidIds::default().append_id());
        let append = append.write(stream, Expected::Any, [received]).build()?;
        self.store.append(append).await?;
        Ok(())
    }

    /// How many of an item are there for further orders.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn available(&self, item: &str) -> Result<u32, Error> {
        Ok(self.hands.stock.load(item).await?.state().available())
    }

    /// The orders as they are shown.
    ///
    /// # Errors
    /// For a version of the read model that is newer than this program.
    pub fn orders(&self) -> Result<ReadModel<Orders>, Error> {
        self.versions.read()
    }

    /// Where the orders stand, by their numbers.
    ///
    /// # Errors
    /// As for [`orders`](Self::orders).
    pub fn states(&self) -> Result<BTreeMap<String, String>, Error> {
        let orders = self.orders()?;
        let lines = orders.by_number.iter();
        let states = lines.map(|(number, line)| (number.clone(), line.state.clone()));
        Ok(states.collect())
    }

    /// The read model in its versions, to rebuild it and to roll it back.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    // ANCHOR: parked
    /// What the process could not do, and what waits behind it.
    ///
    /// # Errors
    /// None, as the process is there.
    pub fn parked(&self) -> Result<Vec<ParkedEvent>, Error> {
        let parked = self.processor.parked(fulfilment::NAME)?;
        let events = parked.iter().flat_map(|parked| parked.events().to_vec());
        Ok(events.collect())
    }

    /// Tries again what is parked, and tells how much of it was done.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn retry_parked(&self) -> Result<usize, Error> {
        self.processor.retry_parked(fulfilment::NAME, None).await
    }
    // ANCHOR_END: parked

    // ANCHOR: settled
    /// Waits until everything that is recorded was handled, with all that came of it.
    ///
    /// # Errors
    /// When the process or the read model stops before.
    pub async fn settled(&self) -> Result<(), Error> {
        loop {
            let head = self.store.head(ConsistencyLevel::Strong).await?;
            let process = fulfilment::NAME;
            self.processor.wait_for_cursor(process, &head).await?;
            self.versions.wait_for(&self.processor, &head).await?;
            if self.store.head(ConsistencyLevel::Strong).await? == head {
                return Ok(());
            }
        }
    }
    // ANCHOR_END: settled

    /// Waits until the store holds something that is not recorded yet, then until that is handled.
    ///
    /// # Errors
    /// As for [`settled`](Self::settled).
    pub async fn settled_after(&self, head: &Cursor) -> Result<(), Error> {
        self.store.changed_since(head).await?;
        self.settled().await
    }

    /// Where the store stands.
    ///
    /// # Errors
    /// As the store has it.
    pub async fn head(&self) -> Result<Cursor, Error> {
        self.store.head(ConsistencyLevel::Strong).await
    }
}

/// The aggregates of a type, told to the observer where there is one.
fn repository<A: Aggregate>(
    store: &Arc<dyn EventStore>,
    observer: Option<&Arc<dyn Observer>>,
) -> Repository<A>
where
    JsonCodec: EventCodec<A::Event>,
{
    let repository = Repository::new(Arc::clone(store), JsonCodec);
    match observer {
        Some(observer) => repository.with_observer(Arc::clone(observer)),
        None => repository,
    }
}
