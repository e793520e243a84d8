//! Queries that are put together for what is asked.

use annals_core::{Criteria, CriteriaItem, Direction, Error, EventType, Selection, Tag};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use crate::error::of_statement;

/// Microseconds since 1970 on the server's clock, the same throughout a statement.
const SERVER_TIME: &str = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";

/// A query in the making: conditions on the events `e`, and the values that they are about.
pub(crate) struct Query {
    schema: String,
    now: String,
    conditions: Vec<String>,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    text: String,
}

impl Query {
    /// A query of the log in a schema, whose clock shows `at_time`; `None` for the server's.
    pub(crate) fn new(schema: &str, at_time: Option<i64>) -> Self {
        let mut query = Self {
            schema: schema.to_owned(),
            now: String::new(),
            conditions: Vec::new(),
            values: Vec::new(),
            text: String::new(),
        };
        query.now = match at_time {
            Some(time) => query.value(time, Type::INT8),
            None => SERVER_TIME.to_owned(),
        };
        query
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The time that the log's clock shows, which may lie before its newest event.
    pub(crate) fn now(&self) -> &str {
        &self.now
    }

    /// A parameter for a value.
    pub(crate) fn value(&mut self, value: impl ToSql + Sync + Send + 'static, of: Type) -> String {
        self.values.push((Box::new(value), of));
        format!("${}", self.values.len())
    }

    /// Adds a condition.
    pub(crate) fn require(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// Only where this number lies beyond that one.
    pub(crate) fn beyond(&mut self, number: &str, bound: i64) {
        let bound = self.value(bound, Type::INT8);
        self.require(format!("{number} > {bound}"));
    }

    /// Only events of a selection.
    pub(crate) fn select(&mut self, selection: &Selection) -> Result<(), Error> {
        let condition = match selection {
            Selection::All => return Ok(()),
            Selection::Stream(stream) => {
                format!("e.stream = {}", self.value(stream.to_string(), Type::TEXT))
            }
            Selection::Category(category) => {
                let category = self.value(category.to_string(), Type::TEXT);
                format!("split_part(e.stream, '-', 1) = {category}")
            }
            Selection::Criteria(criteria) => self.criteria(criteria),
            other => return Err(Error::unsupported("read").with("selection", format!("{other:?}"))),
        };
        self.require(condition);
        Ok(())
    }

    fn criteria(&mut self, criteria: &Criteria) -> String {
        let items: Vec<String> = criteria
            .items()
            .iter()
            .map(|item| self.item(item))
            .collect();
        format!("({})", items.join(" OR "))
    }

    fn item(&mut self, item: &CriteriaItem) -> String {
        let mut parts = Vec::new();
        if !item.tags().is_empty() {
            let tags: Vec<String> = item.tags().iter().map(Tag::to_string).collect();
            parts.push(format!("e.tags @> {}", self.value(tags, Type::TEXT_ARRAY)));
        }
        if !item.types().is_empty() {
            let types: Vec<String> = item.types().iter().map(EventType::to_string).collect();
            parts.push(format!(
                "e.type = ANY ({})",
                self.value(types, Type::TEXT_ARRAY)
            ));
        }
        if parts.is_empty() {
            parts.push("true".to_owned());
        }
        format!("({})", parts.join(" AND "))
    }

    /// Only events that reads show. A subquery for each event rather than a join, which would be planned as one that
    /// loses the order; none where no stream has a policy.
    pub(crate) fn shown(&mut self, now: &str) {
        let schema = &self.schema;
        self.require(format!(
            "(NOT EXISTS (SELECT FROM {schema}.stream_policies) OR coalesce((\
             SELECT p.state = 0 AND e.version >= p.truncate_before \
             AND (p.max_age IS NULL OR {now}::numeric - e.appended_at <= p.max_age * 1000000) \
             AND (p.max_count IS NULL OR (SELECT v.version FROM {schema}.events v WHERE v.stream = e.stream \
             ORDER BY v.version DESC LIMIT 1) - e.version < p.max_count) \
             FROM {schema}.stream_policies p WHERE p.stream = e.stream), true))"
        ));
    }

    /// The time for which the log shows events: never before that of its newest.
    pub(crate) fn log_time(&self) -> String {
        let Self { now, schema, .. } = self;
        format!("greatest({now}, (SELECT l.appended_at FROM {schema}.log l WHERE l.id = 1))")
    }

    /// The events that meet the conditions, as a subquery's `FROM` and `WHERE`.
    pub(crate) fn source(&self) -> String {
        let schema = &self.schema;
        format!(
            "FROM {schema}.events e WHERE {}",
            self.conditions.join(" AND ")
        )
    }

    /// The query of one column of the first events in this order.
    pub(crate) fn first(mut self, column: &str, order: &str, count: usize) -> Self {
        let source = self.source();
        self.text = format!("SELECT {column} {source} ORDER BY {order} LIMIT {count}");
        self
    }

    /// The query of this text.
    pub(crate) fn with_text(mut self, text: String) -> Self {
        self.text = text;
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn types(&self) -> Vec<Type> {
        self.values.iter().map(|(_, of)| of.clone()).collect()
    }

    pub(crate) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values
            .iter()
            .map(|(value, _)| &**value as &(dyn ToSql + Sync))
            .collect()
    }

    /// Plans it for its values, and runs it, in one round trip.
    pub(crate) async fn run(
        &self,
        client: &(impl GenericClient + Sync),
    ) -> Result<Vec<Row>, Error> {
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            self.values().into_iter().zip(self.types()).collect();
        client
            .query_typed(&self.text, &values)
            .await
            .map_err(of_statement)
    }
}

/// `ASC` or `DESC`.
pub(crate) fn order_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    }
}
