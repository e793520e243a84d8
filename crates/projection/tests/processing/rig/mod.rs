//! What the tests are made of: a small shop, a consumer that writes down what it is fed with, stores that fail, and
//! tasks that take turns by chance.

pub(crate) mod faulty;
pub(crate) mod log;
pub(crate) mod shop;
#[path = "../../common/tasks.rs"]
pub(crate) mod tasks;
pub(crate) mod turn_timer;
