//! Looking into models in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use annals_core::{Cursor, Error};
use async_trait::async_trait;
use serde_json::Value;

use super::rows::{Inspect, ModelRow, ModelRows};
use crate::memory::view::{MemoryView, ReadModel};

/// Looks into a model in memory; from [`MemoryView::inspect`].
pub struct MemoryInspect<S> {
    view: MemoryView<S>,
    rows: ListRows<S>,
}

type ListRows<S> = Arc<dyn Fn(&S) -> Vec<ModelRow> + Send + Sync>;

/// A model in memory at one moment, with its rows. Dereferences to the state.
pub struct MemoryRows<S> {
    model: ReadModel<S>,
    rows: BTreeMap<String, Value>,
}

impl<S> MemoryView<S> {
    /// Looks into the model by the rows that this lists, as for comparing it with another version of its projection.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use annals_projection::{MemorySink, ModelRow};
    ///
    /// let sink = MemorySink::new(BTreeMap::<String, u64>::new());
    /// let inspect = sink.view().inspect(|stock| {
    ///     let rows = stock.iter().map(|(item, pieces)| ModelRow::new(item, *pieces));
    ///     rows.collect()
    /// });
    /// ```
    pub fn inspect(
        &self,
        rows: impl Fn(&S) -> Vec<ModelRow> + Send + Sync + 'static,
    ) -> MemoryInspect<S> {
        MemoryInspect {
            view: self.clone(),
            rows: Arc::new(rows),
        }
    }
}

#[async_trait]
impl<S: Send + Sync + 'static> Inspect for MemoryInspect<S> {
    type Rows = MemoryRows<S>;

    async fn look(&self) -> Result<MemoryRows<S>, Error> {
        let model = self.view.read();
        let rows = (self.rows)(&model).into_iter();
        Ok(MemoryRows {
            rows: rows.map(|row| (row.key, row.value)).collect(),
            model,
        })
    }
}

#[async_trait]
impl<S: Send + Sync + 'static> ModelRows for MemoryRows<S> {
    fn cursor(&self) -> &Cursor {
        self.model.cursor()
    }

    async fn counts(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        Ok(BTreeMap::from([(String::new(), rows)]))
    }

    async fn sample(&self, rows_max: usize, seed: u64) -> Result<Vec<ModelRow>, Error> {
        let stride = self.rows.len().div_ceil(rows_max.max(1)).max(1);
        let first = usize::try_from(seed).unwrap_or(usize::MAX) % stride;
        let rows = self.rows.iter().skip(first).step_by(stride).take(rows_max);
        Ok(rows
            .map(|(key, value)| ModelRow::new(key, value.clone()))
            .collect())
    }

    async fn row(&self, key: &str) -> Result<Option<ModelRow>, Error> {
        let value = self.rows.get(key);
        Ok(value.map(|value| ModelRow::new(key, value.clone())))
    }
}

impl<S> Deref for MemoryRows<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.model
    }
}

impl<S> Clone for MemoryInspect<S> {
    fn clone(&self) -> Self {
        Self {
            view: self.view.clone(),
            rows: Arc::clone(&self.rows),
        }
    }
}

impl<S> fmt::Debug for MemoryInspect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryInspect")
            .field("cursor", self.view.read().cursor())
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for MemoryRows<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRows")
            .field("cursor", self.model.cursor())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}
