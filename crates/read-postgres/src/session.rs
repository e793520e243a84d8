//! A session of the database as handlers use it: they block a thread, while a task has the connection.
//!
//! Handlers are no futures, and the transaction that they write into may be borrowed from an application. So whoever
//! has the connection serves, and the thread of the handlers asks.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, mpsc};

use annals_core::Error;
use annals_store_postgres::Connector;
use annals_store_postgres::ask::Ask;
use annals_store_postgres::error::StatementError;
use bytes::{BufMut, BytesMut};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use crate::errors;
use crate::row::PostgresRow;

/// How many statements a session of its own keeps prepared; those of more are prepared anew.
const STATEMENTS_MAX: usize = 256;

/// A value as it is sent, or none.
#[derive(Debug)]
pub(crate) struct Encoded(Option<BytesMut>);

/// Where an answer goes.
type Answer<T> = mpsc::Sender<Result<T, StatementError>>;

/// What the thread of the handlers asks.
enum Request {
    /// The types of a statement's parameters.
    Describe(Arc<str>, Answer<Arc<[Type]>>),
    Query(Arc<str>, Vec<(Encoded, Type)>, Answer<Vec<PostgresRow>>),
    Execute(Arc<str>, Vec<(Encoded, Type)>, Answer<u64>),
    /// Statements without parameters.
    Batch(String, Answer<()>),
}

/// The way to a session. When it is dropped, whoever serves is done.
#[derive(Debug)]
pub(crate) struct Session {
    requests: UnboundedSender<Request>,
}

/// What a session is asked, for whoever serves it.
pub(crate) struct Requests(UnboundedReceiver<Request>);

impl Session {
    /// A session, and what it is asked.
    pub(crate) fn new() -> (Self, Requests) {
        let (requests, asked) = unbounded();
        (Self { requests }, Requests(asked))
    }

    /// A session on a connection of its own, which ends when it is dropped. Blocks.
    pub(crate) fn connect(connector: &Connector) -> Result<Self, Error> {
        let (session, requests) = Self::new();
        let (connected, answer) = mpsc::channel();
        let connecting = connector.clone();
        connector.runtime().spawn(async move {
            match connecting.client().await {
                Ok(client) => {
                    if connected.send(Ok(())).is_ok() {
                        requests.serve_alone(&client).await;
                    }
                }
                // Nobody waits any more where it can't be told.
                Err(error) => drop(connected.send(Err(error))),
            }
        });
        answer.recv().unwrap_or_else(|_| Err(errors::lost()))?;
        Ok(session)
    }

    /// The types of a statement's parameters.
    pub(crate) fn describe(&self, sql: &Arc<str>) -> Result<Arc<[Type]>, Error> {
        self.ask(|answer| Request::Describe(Arc::clone(sql), answer))
    }

    pub(crate) fn query(
        &self,
        sql: &Arc<str>,
        values: Vec<(Encoded, Type)>,
    ) -> Result<Vec<PostgresRow>, Error> {
        self.ask(|answer| Request::Query(Arc::clone(sql), values, answer))
    }

    pub(crate) fn execute(
        &self,
        sql: &Arc<str>,
        values: Vec<(Encoded, Type)>,
    ) -> Result<u64, Error> {
        self.ask(|answer| Request::Execute(Arc::clone(sql), values, answer))
    }

    pub(crate) fn batch(&self, sql: &str) -> Result<(), Error> {
        self.ask(|answer| Request::Batch(sql.to_owned(), answer))
    }

    /// The same for a commit, whose fate may stay unknown, which is told so.
    pub(crate) fn commit(&self, unknown: &'static str) -> Result<(), Error> {
        let (answer, answered) = mpsc::channel();
        let request = Request::Batch("COMMIT".to_owned(), answer);
        let sent = self.requests.unbounded_send(request);
        sent.map_err(|_| errors::lost())?;
        match answered.recv() {
            Ok(done) => done.map_err(annals_store_postgres::error::of_change),
            Err(_) => Err(Error::new(annals_core::ErrorKind::Unknown, unknown)),
        }
    }

    fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, Error> {
        let (answer, answered) = mpsc::channel();
        let sent = self.requests.unbounded_send(request(answer));
        sent.map_err(|_| errors::lost())?;
        let answer = answered.recv().map_err(|_| errors::lost())?;
        answer.map_err(errors::of)
    }
}

impl Requests {
    /// Answers on a connection that is the session's alone: statements stay prepared.
    async fn serve_alone(mut self, client: &Client) {
        let mut prepared: HashMap<Arc<str>, Statement> = HashMap::new();
        while let Some(request) = self.0.next().await {
            match request {
                Request::Describe(sql, answer) => {
                    let statement = client.prepare(&sql).await.map_err(StatementError::from);
                    let types = statement.map(|statement| {
                        let types = Arc::from(statement.params());
                        if prepared.len() >= STATEMENTS_MAX {
                            prepared.clear();
                        }
                        prepared.insert(sql, statement);
                        types
                    });
                    tell(&answer, types);
                }
                Request::Query(sql, values, answer) => match prepared.get(&sql) {
                    Some(statement) => {
                        let rows = client.query(statement, &of_values(&values)).await;
                        tell(&answer, rows.map(own).map_err(StatementError::from));
                    }
                    None => tell(&answer, client.ask(&sql, &typed(&values)).await.map(own)),
                },
                Request::Execute(sql, values, answer) => match prepared.get(&sql) {
                    Some(statement) => {
                        let changed = client.execute(statement, &of_values(&values)).await;
                        tell(&answer, changed.map_err(StatementError::from));
                    }
                    None => tell(&answer, client.change(&sql, &typed(&values)).await),
                },
                Request::Batch(sql, answer) => tell(&answer, client.batch(&sql).await),
            }
        }
    }

    /// Answers on a connection that is somebody else's, and is left as it is.
    pub(crate) async fn serve_in<A>(mut self, client: &A)
    where
        A: Ask<Answer: Into<PostgresRow>>,
    {
        while let Some(request) = self.0.next().await {
            match request {
                Request::Describe(sql, answer) => {
                    tell(&answer, client.describe(&sql).await.map(Arc::from));
                }
                Request::Query(sql, values, answer) => {
                    tell(&answer, client.ask(&sql, &typed(&values)).await.map(own));
                }
                Request::Execute(sql, values, answer) => {
                    tell(&answer, client.change(&sql, &typed(&values)).await);
                }
                Request::Batch(sql, answer) => tell(&answer, client.batch(&sql).await),
            }
        }
    }
}

/// Rows, whoever's client they came by.
pub(crate) fn own(rows: Vec<impl Into<PostgresRow>>) -> Vec<PostgresRow> {
    rows.into_iter().map(Into::into).collect()
}

/// A thread that is gone wants no answer.
fn tell<T>(answer: &Answer<T>, answered: Result<T, StatementError>) {
    drop(answer.send(answered));
}

fn typed(values: &[(Encoded, Type)]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values
        .iter()
        .map(|(value, of)| (value as &(dyn ToSql + Sync), of.clone()))
        .collect()
}

fn of_values(values: &[(Encoded, Type)]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|(value, _)| value as &(dyn ToSql + Sync))
        .collect()
}

impl Encoded {
    /// # Errors
    /// Where the value is not one of this type.
    pub(crate) fn new(
        value: &(dyn ToSql + Sync),
        of: &Type,
    ) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let mut bytes = BytesMut::new();
        match value.to_sql_checked(of, &mut bytes)? {
            IsNull::Yes => Ok(Self(None)),
            IsNull::No => Ok(Self(Some(bytes))),
        }
    }
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
            Some(bytes) => {
                out.put_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}
