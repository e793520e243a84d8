//! The sink.

use std::fmt;

use annals_core::{Error, ErrorKind};
use annals_projection::{ModelId, Progress, Sink, Step};
use annals_store_postgres::Connector;
use tokio::runtime::Handle;

use crate::inspect::PostgresInspect;
use crate::model::PostgresModel;
use crate::names::Names;
use crate::progress::{self, Kept, Lock};
use crate::roles::Right;
use crate::schema;
use crate::session::Session;

/// Keeps the model of a projection in tables of a PostgreSQL database: rows, progress and parked events in one
/// transaction, so that every event is in the rows exactly once, whenever the process or the server dies.
///
/// The events may come from any store: the database need not be that of a [`PostgresStore`]. Where it is, the same
/// projection can be [inline](crate::PostgresInline) instead.
///
/// A schema of the database can hold the models of many projections and versions: the tables of each have its version
/// in their names ([`PostgresModel`]), and the table `annals_progress` tells how far each got. Readers see whole
/// steps; they ask for the tables as for any others ([`expand`](Self::expand)).
///
/// The role of its address makes the tables of a new version, and needs more for that than to write rows ([`ROLES`]): have
/// one that may make them open the sink once, or let the application make its own. What is refused tells what to grant.
///
/// One process at a time writes a model. A second one that does is told so by [`ErrorKind::Conflict`] before it changes
/// anything, whichever of the two comes later.
///
/// ```no_run
/// use annals_read_postgres::PostgresSink;
///
/// # fn example() -> Result<(), annals_core::Error> {
/// let sink = PostgresSink::builder("postgres://app@db.example/shop")
///     .in_schema("models")
///     .schema("CREATE TABLE {orders} (id text PRIMARY KEY, cents bigint NOT NULL)")
///     .schema("CREATE INDEX {orders_by_cents} ON {orders} (cents)")
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// # Durability
/// That of the server: a step is committed with `synchronous_commit` at least `on`. A commit whose answer was lost is
/// told as unknown; the sink that is opened again finds the step or does not, and the processor goes on from there.
///
/// # Runtime
/// Its connection works on the tokio runtime that the sink was built on. Its calls block, on threads that may.
///
/// [`PostgresStore`]: annals_store_postgres::PostgresStore
/// [`ROLES`]: crate::ROLES
pub struct PostgresSink {
    connector: Connector,
    place: Place,
    model: PostgresModel,
    opened: Option<Opened>,
}

/// Where models are, and what makes their tables.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) schema: String,
    pub(crate) tables: String,
}

/// Which model is open, and at which of its steps.
#[derive(Debug)]
struct Opened {
    id: ModelId,
    revision: i64,
    /// What made the tables, which may be another schema than the present one.
    made_by: String,
}

/// A [`PostgresSink`] in the making.
#[must_use = "call `build` to have a sink"]
#[derive(Clone)]
pub struct PostgresSinkBuilder {
    url: String,
    place: Place,
    runtime: Option<Handle>,
}

/// The schema of the database that models are in unless said otherwise.
const SCHEMA: &str = "annals_models";

impl PostgresSink {
    /// Begins a sink in the database of this address, as `postgres://user@host/database` or in the form of libpq.
    pub fn builder(url: &str) -> PostgresSinkBuilder {
        PostgresSinkBuilder {
            url: url.to_owned(),
            place: Place {
                schema: SCHEMA.to_owned(),
                tables: String::new(),
            },
            runtime: None,
        }
    }

    /// SQL with the names of a model's tables in place of those in braces, for whoever reads them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what stands in braces and is no name.
    pub fn expand(&self, model: &ModelId, sql: &str) -> Result<String, Error> {
        let expanded = Names::new(&self.place.schema, model).expand(sql)?;
        Ok(expanded.text)
    }

    /// What looks into a model of this database from outside, as a [`Rebuild`](annals_projection::Rebuild) does that
    /// compares two versions.
    pub fn inspect(&self, model: &ModelId) -> PostgresInspect {
        PostgresInspect::new(self.connector.clone(), &self.place.schema, model)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Does something in a transaction that is the whole of it.
    fn at_once<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.model.begin()?;
        let done = call(self).and_then(|answer| {
            self.model.commit()?;
            Ok(answer)
        });
        if done.is_err() {
            // The first error is the one that tells.
            let _ = self.model.roll_back();
        }
        done
    }

    /// What the database has of a model, which is made where there is nothing.
    fn load(&mut self, id: &ModelId) -> Result<Kept, Error> {
        if let Some(kept) = self.found(id)? {
            return Ok(kept);
        }
        self.at_once(|sink| {
            let Place { schema, tables } = &sink.place;
            let (session, names) = (sink.model.session()?, sink.model.names());
            schema::make(session, names, schema)?;
            let find = progress::find(names.schema(), id, Lock::None);
            // Another process may have been faster.
            if progress::kept(id, &find.query(session)?)?.is_none() {
                let made = schema::create(session, names, schema, tables);
                made.map_err(|error| Right::MakeTables.named(names.schema(), error))?;
                let noted = progress::create(names.schema(), id, tables).execute(session);
                noted.map_err(|error| Right::Rows.named(names.schema(), error))?;
            }
            Ok(())
        })?;
        self.found(id)?.ok_or_else(|| progress::taken_away(id))
    }

    fn found(&self, id: &ModelId) -> Result<Option<Kept>, Error> {
        let (session, names) = (self.model.session()?, self.model.names());
        let find = || {
            if !schema::is_made(session, names)? {
                return Ok(None);
            }
            let find = progress::find(names.schema(), id, Lock::None);
            progress::kept(id, &find.query(session)?)
        };
        find().map_err(|error| Right::Rows.named(names.schema(), error))
    }

    fn opened(&self) -> Result<&Opened, Error> {
        self.opened
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::Unavailable, "sink is not open; open it first"))
    }

    /// Refuses to go on where another writer was at the model, and keeps others away until the step ends.
    fn refuse_second_writer(&self) -> Result<(), Error> {
        let Opened { id, revision, .. } = self.opened()?;
        let schema = self.model.names().schema();
        let find = progress::find(schema, id, Lock::UntilTheEnd);
        let found = find.query(self.model.session()?);
        let found = found.map_err(|error| Right::Rows.named(schema, error))?;
        match progress::kept(id, &found)? {
            Some(kept) if kept.revision == *revision => Ok(()),
            _ => Err(progress::taken_away(id)),
        }
    }

    /// A session that can be begun on.
    fn connected(&mut self) -> Result<Session, Error> {
        if let Some(session) = self.model.take_session()
            && session.batch("ROLLBACK").is_ok()
        {
            return Ok(session);
        }
        Session::connect(&self.connector)
    }
}

impl PostgresSinkBuilder {
    /// In this schema of the database, which is made with the first model in it. Default: `annals_models`.
    ///
    /// A schema of its own: whoever writes models may change and delete whatever is in it ([`ROLES`](crate::ROLES)). To
    /// open a sink in the schema of a log is refused as [`ErrorKind::Invalid`].
    pub fn in_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.place.schema);
        self
    }

    /// Adds a part of the schema, which makes the tables of the model when it is new: statements that create tables,
    /// indexes and views, their names in braces, as `{orders}`.
    ///
    /// Raise the version of the projection where you change it: the sink refuses the tables of another schema.
    pub fn schema(mut self, sql: &str) -> Self {
        let sql = sql.trim().trim_end_matches(';');
        self.place.tables.push_str(sql);
        self.place.tables.push_str(";\n");
        self
    }

    /// With connections that work on this tokio runtime, in place of the one that `build` is called on.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The sink. Nothing is asked of the database yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an address or a name of a schema that is none, for a schema that names no table in
    /// braces, and outside of a tokio runtime where none is named. [`ErrorKind::Unsupported`] for an address that
    /// demands TLS where the crate is built without it.
    pub fn build(self) -> Result<PostgresSink, Error> {
        let refused = |message: &'static str| {
            Err(Error::new(ErrorKind::Invalid, message).during("postgres sink"))
        };
        let Self {
            url,
            place,
            runtime,
        } = self;
        if !(1..=63).contains(&place.schema.len()) || place.schema.contains('\0') {
            return refused("name of the schema has not 1 to 63 bytes; choose another");
        }
        let names = Names::of_any(&place.schema);
        if names.expand_schema(&place.tables)?.names.is_empty() {
            return refused(
                "schema makes no table; write its name in braces, as CREATE TABLE {orders} (...)",
            );
        }
        let Some(runtime) = runtime.or_else(|| Handle::try_current().ok()) else {
            return refused(
                "no tokio runtime here; build the sink on one, or name it in the builder",
            );
        };
        Ok(PostgresSink {
            connector: Connector::new(&url, runtime)?,
            place,
            model: PostgresModel::new(names),
            opened: None,
        })
    }
}

impl Sink for PostgresSink {
    type Model = PostgresModel;

    fn open(&mut self, model: &ModelId) -> Result<Progress, Error> {
        self.opened = None;
        let session = self.connected()?;
        self.model
            .set(session, Names::new(&self.place.schema, model));
        let kept = self.load(model)?;
        let opened = self.opened.insert(Opened {
            id: model.clone(),
            revision: kept.revision,
            made_by: kept.made_by,
        });
        model.check_schema(&opened.made_by, &self.place.tables)?;
        Ok(kept.progress)
    }

    fn begin(&mut self) -> Result<(), Error> {
        let Opened { id, made_by, .. } = self.opened()?;
        id.check_schema(made_by, &self.place.tables)?;
        if self.model.is_begun() {
            self.model.roll_back()?;
        }
        self.model.begin()?;
        let alone = self.refuse_second_writer();
        if alone.is_err() {
            self.model.roll_back()?;
        }
        alone
    }

    fn model(&mut self) -> &mut PostgresModel {
        &mut self.model
    }

    fn commit(&mut self, step: &Step<'_>) -> Result<(), Error> {
        self.model.refuse_outside()?;
        let Opened { id, revision, .. } = self.opened()?;
        let save = progress::save(self.model.names().schema(), id, *revision, step)?;
        if save.execute(self.model.session()?)? != 1 {
            return Err(progress::taken_away(id));
        }
        self.model.commit()?;
        if let Some(opened) = &mut self.opened {
            opened.revision += 1;
        }
        Ok(())
    }

    fn second_copy(&mut self) -> Option<&mut PostgresModel> {
        None
    }

    fn roll_back(&mut self) -> Result<(), Error> {
        self.model.roll_back()
    }

    fn reset(&mut self) -> Result<(), Error> {
        self.roll_back()?;
        self.at_once(|sink| {
            sink.refuse_second_writer()?;
            let Opened { id, made_by, .. } = sink.opened()?;
            let Place { schema, tables } = &sink.place;
            let (session, names) = (sink.model.session()?, sink.model.names());
            let dropped = schema::drop_all(session, names, schema, made_by);
            dropped.map_err(|error| Right::DropTables.named(names.schema(), error))?;
            let made = schema::create(session, names, schema, tables);
            made.map_err(|error| Right::MakeTables.named(names.schema(), error))?;
            let set_back = progress::reset(names.schema(), id, tables).execute(session);
            set_back.map_err(|error| Right::Rows.named(names.schema(), error))?;
            Ok(())
        })?;
        if let Some(opened) = &mut self.opened {
            opened.revision += 1;
            opened.made_by.clone_from(&self.place.tables);
        }
        Ok(())
    }

    fn puts_off(&self) -> bool {
        // An open step is a transaction, which locks rows and keeps the server from tidying up.
        false
    }

    fn blocks(&self) -> bool {
        true
    }
}

impl fmt::Debug for PostgresSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSink")
            .field("connector", &self.connector)
            .field("place", &self.place)
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresSinkBuilder {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSinkBuilder")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
