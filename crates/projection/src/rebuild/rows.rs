//! Looking into a model from outside: how far it is, and its rows.

use std::collections::BTreeMap;
use std::fmt;

use annals_core::{Cursor, Error};
use async_trait::async_trait;
use serde_json::Value;

use crate::contract::choice::EventChoice;
use crate::projection::definition::Projection;

/// What a sink gives for looking into its model from outside, beside the sink itself, which a processor has: how far
/// the model is, and which rows it has. Versions of a projection are compared through it.
///
/// For a model in memory it is [`MemoryView::inspect`](crate::MemoryView::inspect); a sink on a database has one
/// connection more for it.
#[async_trait]
pub trait Inspect: fmt::Debug + Send + Sync {
    /// A look at the model.
    type Rows: ModelRows;

    /// The model as it is now, at one moment: what is asked of the look later is of that moment too, whatever is
    /// projected meanwhile.
    ///
    /// # Errors
    /// As the sink has it.
    async fn look(&self) -> Result<Self::Rows, Error>;
}

/// The rows of a model at one moment.
#[async_trait]
pub trait ModelRows: fmt::Debug + Send + Sync {
    /// Up to where the events are in the model, and no event after it.
    fn cursor(&self) -> &Cursor;

    /// How many rows each table has, by its name without what tells versions apart; all under the name `""` of a model
    /// without tables.
    async fn counts(&self) -> Result<BTreeMap<String, u64>, Error>;

    /// Up to so many rows, spread over the model; others with another seed, as far as the sink can.
    async fn sample(&self, rows_max: usize, seed: u64) -> Result<Vec<ModelRow>, Error>;

    /// The row of this key.
    async fn row(&self, key: &str) -> Result<Option<ModelRow>, Error>;
}

/// A row of a model, in the form in which versions are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRow {
    /// By what it is found again in another version.
    pub key: String,
    /// What it holds: an object of its fields, or one value.
    pub value: Value,
}

/// A version of a projection, with what its model is looked into by.
#[derive(Clone, Debug)]
pub struct ModelVersion<I> {
    pub(super) version: u32,
    pub(super) choice: EventChoice,
    pub(super) inspect: I,
}

impl ModelRow {
    /// A row of this key.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

impl<I: Inspect> ModelVersion<I> {
    /// The version that this projection is of; its model is looked into by that.
    pub fn new<M: 'static>(projection: &Projection<M>, inspect: I) -> Self {
        Self {
            version: projection.version(),
            choice: projection.choice().clone(),
            inspect,
        }
    }

    /// The number of the version.
    pub fn version(&self) -> u32 {
        self.version
    }
}
