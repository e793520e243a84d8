//! Tables that are declared, and changes of their rows.

mod change;
mod declared;
mod value;

pub use change::Change;
pub use declared::{ColumnType, Table, TableBuilder};
pub use value::SqlValue;
