//! Rules that no aggregate holds, as decisions: the seven published examples of dynamic consistency
//! boundaries (<https://dcb.events>), a module each.

pub mod course;
pub mod course_aggregate;
pub mod invoice;
pub mod occupancy;
pub mod opt_in;
pub mod order;
pub mod price;
pub mod username;

/// What comes of a command: the decision that was made, or why it was not.
pub type Made<E, R> = Result<annals::DecisionMade<E>, annals::CommandError<R>>;
