//! evento over Fjall, with its default of a sync for every commit.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use anyhow::{Result, ensure};
use evento::Fjall;
use evento::ProjectionAggregate;
use evento::metadata::Event;
use evento::projection::Projection;

use super::key;
use crate::commands::{Framework, LINES_MAX};
use crate::event::OrderLine;

/// evento as a framework.
pub struct Evento<P> {
    executor: Fjall,
    projection: PhantomData<P>,
}

/// Loads an order by one of the projections below.
pub trait Orders: Send + Sync + 'static {
    type Order: ProjectionAggregate + Send;

    fn load(
        executor: &Fjall,
        order: u64,
    ) -> impl Future<Output = Result<Option<Self::Order>>> + Send;

    fn lines(order: &Self::Order) -> u64;
}

/// What happens to an order, as evento has it.
#[evento::aggregate(name = "shop/Order")]
pub enum Order {
    LineAdded {
        order: String,
        line: u64,
        article: String,
        quantity: u32,
        unit_price_cents: u64,
        currency: String,
        warehouse: String,
        requested_at: String,
    },
}

/// A projection of an order, and how it is loaded.
macro_rules! projection {
    ($orders:ident, $projection:ident, $handler:ident, $snapshot:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug)]
        pub struct $orders;

        #[evento::projection(id = id)]
        #[evento::snapshot($snapshot)]
        pub struct $projection {
            pub id: String,
            pub lines: u64,
            pub cents: u64,
        }

        #[evento::handler]
        async fn $handler(event: Event<LineAdded>, order: &mut $projection) -> anyhow::Result<()> {
            order.id = event.aggregate_id.clone();
            order.lines += 1;
            order.cents += event.data.unit_price_cents * u64::from(event.data.quantity);
            Ok(())
        }

        impl Orders for $orders {
            type Order = $projection;

            async fn load(executor: &Fjall, order: u64) -> Result<Option<$projection>> {
                let projection = Projection::<_, $projection>::new::<Order>().handler($handler());
                projection.load(key(order)).execute(executor).await
            }

            fn lines(order: &$projection) -> u64 {
                order.lines
            }
        }
    };
}

projection!(
    Replayed,
    ReplayedOrder,
    on_replayed,
    none,
    "Every load replays all events of its order."
);
projection!(
    Kept,
    KeptOrder,
    on_kept,
    memory,
    "States are kept in memory, and a load reads the tail."
);

impl<P: Orders> Framework for Evento<P> {
    fn open(dir: &Path) -> Result<Self> {
        Ok(Self {
            executor: Fjall::open(dir)?,
            projection: PhantomData,
        })
    }

    async fn add_line(&self, order: u64, line: OrderLine) -> Result<()> {
        let loaded = P::load(&self.executor, order).await?;
        let lines = loaded.as_ref().map_or(0, P::lines);
        ensure!(lines < LINES_MAX, "the order is full");
        let mut write = match loaded {
            Some(loaded) => loaded.write()?,
            None => evento::append(key(order)),
        };
        let added = LineAdded {
            order: line.order,
            line: line.line,
            article: line.article,
            quantity: line.quantity,
            unit_price_cents: line.unit_price_cents,
            currency: line.currency,
            warehouse: line.warehouse,
            requested_at: line.requested_at,
        };
        write.event(&added).commit(&self.executor).await?;
        Ok(())
    }

    async fn lines(&self, order: u64) -> Result<u64> {
        let loaded = P::load(&self.executor, order).await?;
        Ok(loaded.as_ref().map_or(0, P::lines))
    }

    fn close(self) -> Result<()> {
        self.executor.persist()
    }
}

impl<P> fmt::Debug for Evento<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evento").finish_non_exhaustive()
    }
}
