//! Queries that are put together for what is asked.

use std::collections::BTreeSet;

use annals_core::{
    Criteria, CriteriaItem, Direction, Error, EventType, ReadRequest, Selection, Tag,
};
use tokio_postgres::types::{ToSql, Type};

use crate::ask::Ask;
use crate::command::bigint;

/// Microseconds since 1970 on the server's clock, the same throughout a statement.
const SERVER_TIME: &str = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";

/// A query in the making: conditions on the events `e`, and the values that they are about.
pub(crate) struct Query {
    schema: String,
    now: String,
    /// Where the events are looked for.
    place: Place,
    /// The places in the log, after the first and up to the second where there is one, in SQL.
    span: (String, Option<String>),
    conditions: Vec<String>,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    text: String,
}

/// Where the events of a query are looked for.
enum Place {
    /// Where the conditions lead.
    Log,
    /// In the blocks of a category.
    Category(String),
    /// In the blocks of each of these types, and where this condition leads that those of other items meet.
    Types(String, Option<String>),
}

/// The conditions for an event to stand in a block `b`.
const IN_ITS_BLOCK: &str = "e.position BETWEEN b.block * 32 AND b.block * 32 + 31";

impl Query {
    /// A query of the log in a schema, whose clock shows `at_time`; `None` for the server's.
    pub(crate) fn new(schema: &str, at_time: Option<i64>) -> Self {
        let mut query = Self {
            schema: schema.to_owned(),
            now: String::new(),
            place: Place::Log,
            span: ("0".to_owned(), None),
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

    /// Only events after this place in the log, and up to that one.
    pub(crate) fn between(&mut self, since: &str, until: Option<&str>) {
        self.require_place("e.position", since, until);
    }

    /// The same of the few events that other conditions lead to, so that no plan looks up in the index of positions
    /// which events the span has: it may have all of them.
    pub(crate) fn between_of_few(&mut self, since: &str, until: Option<&str>) {
        self.require_place("e.position + 0", since, until);
    }

    fn require_place(&mut self, place: &str, since: &str, until: Option<&str>) {
        self.require(format!("{place} > {since}"));
        if let Some(until) = until {
            self.require(format!("{place} <= {until}"));
        }
        self.span = (since.to_owned(), until.map(str::to_owned));
    }

    /// Only events of the versions that a request asks for.
    pub(crate) fn versions(&mut self, request: &ReadRequest) {
        self.beyond("e.version", bigint(request.after_version.value()));
        let until = self.value(bigint(request.until_version.value()), Type::INT8);
        self.require(format!("e.version <= {until}"));
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
                let condition = format!("split_part(e.stream, '-', 1) = {category}");
                self.place = Place::Category(category);
                condition
            }
            Selection::Criteria(criteria) => {
                self.criteria(criteria);
                return Ok(());
            }
            other => return Err(Error::unsupported("read").with("selection", format!("{other:?}"))),
        };
        self.require(condition);
        Ok(())
    }

    fn criteria(&mut self, criteria: &Criteria) {
        let is_of_types = |item: &&CriteriaItem| item.tags().is_empty() && !item.types().is_empty();
        let (of_types, others): (Vec<_>, Vec<_>) = criteria.items().iter().partition(is_of_types);
        let others: Vec<String> = others.into_iter().map(|item| self.item(item)).collect();
        let others = (!others.is_empty()).then(|| format!("({})", others.join(" OR ")));
        if of_types.is_empty() {
            self.conditions.extend(others);
            return;
        }
        let types = of_types.iter().flat_map(|item| item.types());
        let types: BTreeSet<String> = types.map(EventType::to_string).collect();
        let types: Vec<String> = types.into_iter().collect();
        self.place = Place::Types(self.value(types, Type::TEXT_ARRAY), others);
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

    /// The query of these columns of the first events that meet the conditions, so many in this order.
    pub(crate) fn events(&self, columns: &str, (key, order): (&str, &str), count: &str) -> String {
        let Self { schema, place, .. } = self;
        let by = format!("ORDER BY e.{key} {order} LIMIT {count}");
        match place {
            Place::Log => {
                let conditions = self.conditions_and(None);
                format!("SELECT {columns} FROM {schema}.events e WHERE {conditions} {by}")
            }
            Place::Category(category) => self.in_blocks(columns, ("c", category), order, count),
            Place::Types(types, others) => {
                let of_type = self.in_blocks("e.position, e.type", ("t", "t.name"), order, count);
                let mut found = format!(
                    "SELECT f.position FROM unnest({types}) t(name) CROSS JOIN LATERAL ({of_type}) f"
                );
                if let Some(others) = others {
                    let conditions = self.conditions_and(Some(others));
                    found = format!(
                        "{found} UNION (SELECT e.position FROM {schema}.events e WHERE {conditions} {by})"
                    );
                }
                format!(
                    "SELECT {columns} FROM ({found}) f JOIN {schema}.events e ON e.position = f.position {by}"
                )
            }
        }
    }

    /// The same for the events in the blocks of a kind and name.
    fn in_blocks(
        &self,
        columns: &str,
        (kind, name): (&str, &str),
        order: &str,
        count: &str,
    ) -> String {
        let Self { schema, span, .. } = self;
        let until = span
            .1
            .as_ref()
            .map(|until| format!(" AND b.block <= {until} / 32"));
        let of_type = (kind == "t").then(|| format!("e.type = {name}"));
        format!(
            "SELECT {columns} FROM {schema}.blocks b JOIN {schema}.events e ON {IN_ITS_BLOCK} \
             WHERE b.kind = '{kind}' AND b.name = {name} AND b.block >= {} / 32{} AND {} \
             ORDER BY b.block {order}, e.position {order} LIMIT {count}",
            span.0,
            until.unwrap_or_default(),
            self.conditions_and(of_type.as_deref())
        )
    }

    fn conditions_and(&self, one: Option<&str>) -> String {
        let all = self.conditions.iter().map(String::as_str).chain(one);
        all.collect::<Vec<_>>().join(" AND ")
    }

    /// The query of one column of the first events by this key.
    pub(crate) fn first(mut self, column: &str, key: &str, count: usize) -> Self {
        self.text = self.events(&format!("e.{column}"), (key, "ASC"), &count.to_string());
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
    pub(crate) async fn run<A: Ask>(&self, client: &A) -> Result<Vec<A::Answer>, Error> {
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            self.values().into_iter().zip(self.types()).collect();
        Ok(client.ask(&self.text, &values).await?)
    }
}

/// `ASC` or `DESC`.
pub(crate) fn order_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    }
}
