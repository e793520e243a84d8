//! annals: `Repository` and JSON over the embedded store.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use annals_aggregate::Repository;
use annals_codec::JsonCodec;
use annals_core::{Aggregate, Refusal};
use annals_snapshot::CacheSettings;
use annals_store_log::LogStore;
use anyhow::{Context, Result};

use super::{Full, OrderEvent, key};
use crate::commands::{Framework, LINES_MAX};
use crate::event::OrderLine;

/// annals as a framework.
#[derive(Debug)]
pub struct Annals<K> {
    store: Arc<LogStore>,
    orders: Repository<Order>,
    keeps: PhantomData<K>,
}

/// Whether states are kept between commands.
pub trait Keeps: Send + Sync + 'static {
    fn keeping(orders: Repository<Order>) -> Repository<Order>;
}

/// Every command folds all events of its order.
#[derive(Debug)]
pub struct Nothing;

/// Every command goes on from the state that is in memory, and reads the tail after it.
#[derive(Debug)]
pub struct States;

/// How many lines an order has, and what they cost.
#[derive(Clone, Debug, Default)]
pub struct Order {
    lines: u64,
    cents: u64,
}

impl Aggregate for Order {
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) -> Result<(), Refusal> {
        let OrderEvent::LineAdded(line) = event;
        self.lines += 1;
        self.cents += line.cents();
        Ok(())
    }
}

impl Order {
    fn add(&self, line: &OrderLine) -> Result<OrderEvent, Full> {
        match self.lines {
            LINES_MAX.. => Err(Full),
            _ => Ok(OrderEvent::LineAdded(line.clone())),
        }
    }
}

impl Keeps for Nothing {
    fn keeping(orders: Repository<Order>) -> Repository<Order> {
        orders
    }
}

impl Keeps for States {
    fn keeping(orders: Repository<Order>) -> Repository<Order> {
        orders.with_cache(CacheSettings::default())
    }
}

impl<K: Keeps> Framework for Annals<K> {
    fn open(dir: &Path) -> Result<Self> {
        let store = Arc::new(LogStore::builder(dir).open_or_create()?);
        let orders = Repository::new(store.clone(), JsonCodec);
        Ok(Self {
            store,
            orders: K::keeping(orders),
            keeps: PhantomData,
        })
    }

    async fn add_line(&self, order: u64, line: OrderLine) -> Result<()> {
        let decide = |order: &Order| order.add(&line);
        self.orders.execute(&key(order), decide).await?;
        Ok(())
    }

    async fn lines(&self, order: u64) -> Result<u64> {
        Ok(self.orders.load(&key(order)).await?.state().lines)
    }

    fn close(self) -> Result<()> {
        drop(self.orders);
        let store = Arc::into_inner(self.store).context("the store is in use at its end")?;
        Ok(store.close()?)
    }
}
