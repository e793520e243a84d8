//! The frameworks, one a file, and the order that two of them share.

pub mod cqrs;
pub mod evento;
pub mod repository;

use annals_macros::Event;
use serde::{Deserialize, Serialize};

use crate::event::OrderLine;

/// What happens to an order.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
pub enum OrderEvent {
    LineAdded(OrderLine),
}

/// More lines than an order takes.
#[derive(Debug, thiserror::Error)]
#[error("the order is full")]
pub struct Full;

/// The name of an order.
fn key(order: u64) -> String {
    order.to_string()
}
