//! An order from its placing to its parcel: stock, payment and shipping, none of which knows of the others, led by a
//! process manager.

pub mod fulfilment;
pub mod order;
pub mod payment;
pub mod read_model;
pub mod shipping;
pub mod shop;
pub mod stock;
pub mod story_time;
pub mod versions;
pub mod watch;
