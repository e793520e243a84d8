//! Comparing two versions of a model.

use std::collections::BTreeMap;
use std::fmt;

use annals_core::{Cursor, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::difference::RowDifference;
use super::rows::{ModelRow, ModelRows};
use super::settings::{ComparedFields, RebuildSettings};

/// How two versions of a model compare, of the same events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Up to where the events are in both.
    pub cursor: Cursor,
    /// How many rows the live version has.
    pub rows_live: u64,
    /// How many rows the new version has.
    pub rows_new: u64,
    /// How many rows each table has, where the models have tables.
    #[serde(default)]
    pub tables: Vec<TableRows>,
    /// How many rows were compared.
    pub compared: u64,
    /// How many of them differ.
    pub different: u64,
    /// The first rows that differ, [`DIFFERENCES_MAX`](Self::DIFFERENCES_MAX) at most.
    pub differences: Vec<RowDifference>,
    /// Why the new version may not take over; empty where it may.
    pub objections: Vec<String>,
}

/// How many rows a table has in two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// The name of the table, without what tells versions apart.
    pub table: String,
    /// How many rows the live version has; `None` where it has no such table.
    pub live: Option<u64>,
    /// How many rows the new version has; `None` where it has no such table.
    pub new: Option<u64>,
}

impl Comparison {
    /// How many differences are listed: 20.
    pub const DIFFERENCES_MAX: usize = 20;

    /// Whether the new version may take over.
    pub fn is_passed(&self) -> bool {
        self.objections.is_empty()
    }

    fn note(&mut self, live: Option<ModelRow>, new: Option<ModelRow>, fields: ComparedFields) {
        self.compared += 1;
        let key = live.as_ref().or(new.as_ref()).map(|row| row.key.clone());
        let (live, new) = (live.map(|row| row.value), new.map(|row| row.value));
        if is_same(live.as_ref(), new.as_ref(), fields) {
            return;
        }
        self.different += 1;
        if self.differences.len() < Self::DIFFERENCES_MAX {
            let key = key.unwrap_or_default();
            self.differences.push(RowDifference::new(&key, live, new));
        }
    }

    fn judge(&mut self, settings: &RebuildSettings) {
        if let Some(max) = settings.count_difference_max {
            let tables = self.tables.iter();
            let apart = tables.filter_map(|table| table.objection(max, settings.fields));
            self.objections.extend(apart);
        }
        let differences_max = u64::try_from(settings.differences_max).unwrap_or(u64::MAX);
        if self.different > differences_max {
            self.objections.push(format!(
                "{} of {} compared rows differ",
                self.different, self.compared
            ));
        }
    }
}

impl TableRows {
    fn of(live: &BTreeMap<String, u64>, new: &BTreeMap<String, u64>) -> Vec<Self> {
        let added = new.keys().filter(|table| !live.contains_key(*table));
        let tables = live.keys().chain(added);
        let rows = tables.map(|table| Self {
            table: table.clone(),
            live: live.get(table).copied(),
            new: new.get(table).copied(),
        });
        rows.collect()
    }

    /// Why these numbers keep the new version from taking over, where they are further apart than this. A table that
    /// one version has alone is no objection where only what both have is compared.
    fn objection(&self, max: u64, fields: ComparedFields) -> Option<String> {
        let is_in_one = self.live.is_none() || self.new.is_none();
        let (live, new) = (self.live.unwrap_or(0), self.new.unwrap_or(0));
        if live.abs_diff(new) <= max || (is_in_one && fields == ComparedFields::Common) {
            return None;
        }
        let name = match self.table.as_str() {
            "" => String::new(),
            table => format!("{table}: "),
        };
        Some(format!(
            "{name}{new} rows against {live} of the live version"
        ))
    }
}

/// Compares two models of the same events: their sizes, and rows picked from each.
pub(super) async fn compare(
    live: &impl ModelRows,
    new: &impl ModelRows,
    settings: &RebuildSettings,
    seed: u64,
) -> Result<Comparison, Error> {
    let tables = TableRows::of(&live.counts().await?, &new.counts().await?);
    let sum = |rows: fn(&TableRows) -> Option<u64>| -> u64 { tables.iter().filter_map(rows).sum() };
    let mut comparison = Comparison {
        cursor: live.cursor().clone(),
        rows_live: sum(|table| table.live),
        rows_new: sum(|table| table.new),
        tables,
        compared: 0,
        different: 0,
        differences: Vec::new(),
        objections: Vec::new(),
    };
    let half = settings.sample_rows_max.div_ceil(2);
    for row in live.sample(half, seed).await? {
        let other = new.row(&row.key).await?;
        comparison.note(Some(row), other, settings.fields);
    }
    let rest = settings.sample_rows_max.saturating_sub(half);
    for row in new.sample(rest, seed).await? {
        let other = live.row(&row.key).await?;
        comparison.note(other, Some(row), settings.fields);
    }
    comparison.judge(settings);
    Ok(comparison)
}

fn is_same(live: Option<&Value>, new: Option<&Value>, fields: ComparedFields) -> bool {
    match (live, new, fields) {
        (Some(Value::Object(live)), Some(Value::Object(new)), ComparedFields::Common) => {
            let mut live = live.iter();
            live.all(|(field, value)| new.get(field).is_none_or(|other| other == value))
        }
        (live, new, _) => live == new,
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at {}: {} rows against {} live, {} of {} compared differ",
            self.cursor, self.rows_new, self.rows_live, self.different, self.compared
        )?;
        for objection in &self.objections {
            write!(f, "; {objection}")?;
        }
        if let Some(first) = self.differences.first() {
            write!(f, "; first, {first}")?;
        }
        Ok(())
    }
}
