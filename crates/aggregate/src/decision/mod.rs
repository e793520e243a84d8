//! Decisions whose boundary is what they read (DCB): no aggregate, no stream of their own.

mod answers;
mod arriving;
mod compose;
mod decisions;
mod made_before;
mod model;
mod reading;
mod selected;

pub use answers::{DecisionMade, Informed};
pub use compose::Decision;
pub use decisions::Decisions;
pub use model::DecisionModel;
pub use selected::Selected;
