//! postgres-es, the store of cqrs-es: its event repository alone, which is told the sequence.

use anyhow::Result;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository as _, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pool;
use crate::event::{EVENT_TYPE, Line, METADATA_NAME, OrderLine};
use crate::subject::Subject;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
     sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
     payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

/// The repository over its table, as postgres-es writes it down.
pub struct Cqrs {
    repository: PostgresEventRepository,
}

/// The aggregate, of which the repository takes the name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Order;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LineAdded(OrderLine);

#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

impl DomainEvent for LineAdded {
    fn event_type(&self) -> String {
        EVENT_TYPE.to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderLine;
    type Event = LineAdded;
    type Error = Never;
    type Services = ();

    async fn handle(
        &mut self,
        line: OrderLine,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Never> {
        sink.write(LineAdded(line), self).await;
        Ok(())
    }

    fn apply(&mut self, _: LineAdded) {}
}

impl Subject for Cqrs {
    type Known = ();

    async fn open(url: &str) -> Result<Self> {
        let pool = pool(url).await?;
        sqlx::query(TABLE).execute(&pool).await?;
        Ok(Self {
            repository: PostgresEventRepository::new(pool),
        })
    }

    async fn append(&self, _: usize, lines: &[Line], before: u64, (): &mut ()) -> Result<()> {
        let before = usize::try_from(before)?;
        let events = lines.iter().enumerate().map(|(place, line)| {
            Ok(SerializedEvent::new(
                line.order.to_string(),
                before + place + 1,
                Order::TYPE.to_owned(),
                EVENT_TYPE.to_owned(),
                "1.0".to_owned(),
                serde_json::from_slice(&line.payload())?,
                json!({ METADATA_NAME: line.metadata_value() }),
            ))
        });
        let events = events.collect::<Result<Vec<_>>>()?;
        self.repository.persist::<Order>(&events, None).await?;
        Ok(())
    }
}
