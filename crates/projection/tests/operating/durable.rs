//! A sink that outlives its process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use annals_core::{Cursor, Error};
use annals_projection::{Inspect, ModelId, ModelRow, ModelRows, Progress, Sink, Step};
use async_trait::async_trait;

use crate::shop::Stock;

/// What is kept of one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Kept>>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kept {
    pub(crate) stock: Stock,
    pub(crate) cursor: Cursor,
}

#[derive(Debug)]
pub(crate) struct DiskSink {
    disk: Disk,
    draft: Stock,
}

impl Disk {
    pub(crate) fn sink(&self) -> DiskSink {
        DiskSink {
            disk: self.clone(),
            draft: Stock::new(),
        }
    }

    pub(crate) fn kept(&self) -> Kept {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for DiskSink {
    type Model = Stock;

    fn open(&mut self, _: &ModelId) -> Result<Progress, Error> {
        Ok(Progress {
            cursor: self.disk.kept().cursor,
            parked: annals_projection::ParkedEvents::default(),
        })
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.draft = self.disk.kept().stock;
        Ok(())
    }

    fn model(&mut self) -> &mut Stock {
        &mut self.draft
    }

    fn commit(&mut self, step: &Step<'_>) -> Result<(), Error> {
        *self.disk.0.lock().unwrap() = Kept {
            stock: std::mem::take(&mut self.draft),
            cursor: step.cursor.clone(),
        };
        Ok(())
    }

    fn second_copy(&mut self) -> Option<&mut Stock> {
        None
    }

    fn roll_back(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Error> {
        *self.disk.0.lock().unwrap() = Kept::default();
        Ok(())
    }

    fn puts_off(&self) -> bool {
        true
    }

    fn blocks(&self) -> bool {
        false
    }
}

#[async_trait]
impl Inspect for Disk {
    type Rows = Kept;

    async fn look(&self) -> Result<Kept, Error> {
        crate::tasks::pass().await;
        Ok(self.kept())
    }
}

#[async_trait]
impl ModelRows for Kept {
    fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    async fn counts(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows = u64::try_from(self.stock.len()).unwrap();
        Ok(BTreeMap::from([(String::new(), rows)]))
    }

    async fn sample(&self, rows_max: usize, _: u64) -> Result<Vec<ModelRow>, Error> {
        let rows = self.stock.iter().take(rows_max);
        Ok(rows
            .map(|(key, pieces)| ModelRow::new(key, *pieces))
            .collect())
    }

    async fn row(&self, key: &str) -> Result<Option<ModelRow>, Error> {
        let pieces = self.stock.get(key);
        Ok(pieces.map(|pieces| ModelRow::new(key, *pieces)))
    }
}
