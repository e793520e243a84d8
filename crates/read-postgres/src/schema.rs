//! The tables of a model: made, found and dropped.

use std::collections::BTreeSet;
use std::sync::Arc;

use annals_core::{Error, ErrorKind};
use annals_projection::ExpandedSql;
use annals_store_postgres::ask::Ask;
use tokio_postgres::types::{ToSql, Type};

use crate::names::{Names, quoted};
use crate::roles::Right;
use crate::row::PostgresRow;
use crate::session::{self, Encoded, Session};
use crate::sink::Place;
use crate::{errors, progress};

/// Held by whoever makes tables, so that two processes do not make the same: a number that nobody else takes, as the
/// migrations of a log in the same database do with theirs.
const MAKING: i64 = 0x61_6e6e_616c_736d;

/// Whatever has a name among the tables of a schema: tables, views, indexes, sequences, types of rows.
const NAMED: &str = "rpvmfiISc";

/// Whether a schema of models has a table of progress.
pub(crate) fn is_made(session: &Session, names: &Names) -> Result<bool, Error> {
    let table = format!("{}.annals_progress", names.schema());
    let found = ask(session, "SELECT to_regclass($1) IS NOT NULL", &table)?;
    first(&found)
}

/// Makes the schema of models with its table of progress, where they are missing, and keeps other processes from
/// making tables until the transaction ends.
pub(crate) fn make(session: &Session, names: &Names, schema: &str) -> Result<(), Error> {
    session.batch(&format!("SELECT pg_advisory_xact_lock({MAKING})"))?;
    // Asked first: a role that may not make a schema may use one that is there.
    let query = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    if !first(&ask(session, query, schema)?)? {
        let made = session.batch(&format!("CREATE SCHEMA {}", names.schema()));
        made.map_err(|error| Right::MakeSchema.named(names.schema(), error))?;
    }
    if !is_made(session, names)? {
        refuse_a_log(session, names)?;
        let made = session.batch(&progress::table(names.schema()));
        made.map_err(|error| Right::MakeTables.named(names.schema(), error))?;
    }
    Ok(())
}

/// Refuses the schema of a log: who writes models may change and delete what is in theirs.
fn refuse_a_log(session: &Session, names: &Names) -> Result<(), Error> {
    let (schema, query) = (names.schema(), "SELECT to_regclass($1) IS NOT NULL");
    for table in ["schema_migrations", "events"] {
        if !first(&ask(session, query, &format!("{schema}.{table}"))?)? {
            return Ok(());
        }
    }
    let message = "schema holds a log; put the models into a schema of their own";
    Err(Error::new(ErrorKind::Invalid, message).with("schema", schema))
}

/// Makes the tables of a model by its schema, which must make what it names in braces and nothing else.
pub(crate) fn create(
    session: &Session,
    names: &Names,
    schema: &str,
    made_by: &str,
) -> Result<(), Error> {
    let expanded = names.expand_schema(made_by)?;
    let roots = roots(names, &expanded);
    // Whatever its rows are of, a model that begins would put its own beside them.
    if let Some(taken) = relations(session, schema, NAMED)?
        .intersection(&roots)
        .next()
    {
        let message = "a table, view, index, sequence or type of this name is there already, of another model or left \
                       behind; choose another name, or drop it if nobody needs it";
        return Err(Error::new(ErrorKind::Invalid, message).with("name", taken));
    }
    let before = tables(session, schema)?;
    // In front of what there is, so that types and functions of extensions are found.
    let path = format!(
        "SELECT set_config('search_path', {} || ', ' || current_setting('search_path'), true)",
        literal(names.schema())
    );
    session.batch(&path)?;
    session.batch(&expanded.text)?;
    let made = tables(session, schema)?;
    match made.difference(&before).find(|made| !roots.contains(*made)) {
        None => Ok(()),
        Some(made) => {
            let message = "schema makes a table under a name without braces, which all versions would share; write it \
                           as {name}";
            Err(Error::new(ErrorKind::Invalid, message).with("name", made))
        }
    }
}

/// What the schema makes, by its whole names.
fn roots(names: &Names, expanded: &ExpandedSql) -> BTreeSet<String> {
    let made = expanded.names.iter();
    made.map(|name| names.whole(name)).collect()
}

/// Drops the tables that this schema made. What the application has made of them, as a view, stands in the way.
pub(crate) fn drop_all(
    session: &Session,
    names: &Names,
    schema: &str,
    made_by: &str,
) -> Result<(), Error> {
    let expanded = names.expand_schema(made_by)?;
    let roots = roots(names, &expanded);
    for (kinds, of) in [
        ("v", "VIEW"),
        ("m", "MATERIALIZED VIEW"),
        ("rp", "TABLE"),
        ("S", "SEQUENCE"),
        ("c", "TYPE"),
    ] {
        let found = relations(session, schema, kinds)?;
        let dropped: Vec<String> = found
            .intersection(&roots)
            .map(|name| format!("{}.{}", names.schema(), quoted(name)))
            .collect();
        if !dropped.is_empty() {
            // All at once, as they may refer to each other.
            session.batch(&format!("DROP {of} {}", dropped.join(", ")))?;
        }
    }
    Ok(())
}

/// Keeps everybody away from the tables that this schema made.
pub(crate) fn lock_all(
    session: &Session,
    names: &Names,
    schema: &str,
    made_by: &str,
) -> Result<(), Error> {
    lock(
        session,
        names,
        &tables_of(session, names, schema, made_by)?,
        "ACCESS EXCLUSIVE",
    )
}

/// Locks tables of a model until the transaction ends.
pub(crate) fn lock(
    session: &Session,
    names: &Names,
    tables: &[String],
    mode: &str,
) -> Result<(), Error> {
    let tables = tables
        .iter()
        .map(|name| format!("{}.{}", names.schema(), quoted(&names.whole(name))));
    let tables: Vec<String> = tables.collect();
    if tables.is_empty() {
        return Ok(());
    }
    session.batch(&format!("LOCK TABLE {} IN {mode} MODE", tables.join(", ")))
}

/// Whether the names of these tables mean something else by now than at the moment that the transaction sees.
pub(crate) fn are_replaced(
    session: &Session,
    names: &Names,
    schema: &str,
    tables: &[String],
) -> Result<bool, Error> {
    let query = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.oid IS DISTINCT FROM \
                 to_regclass(quote_ident(n.nspname) || '.' || quote_ident(c.relname))::oid";
    let rows = ask(session, query, schema)?;
    let replaced = rows.iter().map(|row| row.get(0));
    let replaced: BTreeSet<String> = replaced.collect::<Result<_, Error>>()?;
    let mut tables = tables.iter();
    Ok(tables.any(|name| replaced.contains(&names.whole(name))))
}

/// The constraints of a model's tables that are looked at when a transaction commits, as SQL names them; `None` where
/// there are none.
pub(crate) async fn deferred<A>(
    transaction: &A,
    names: &Names,
    place: &Place,
) -> Result<Option<String>, Error>
where
    A: Ask<Answer: Into<PostgresRow>>,
{
    let expanded = names.expand_schema(&place.tables)?;
    let tables: Vec<String> = expanded
        .names
        .iter()
        .map(|name| names.whole(name))
        .collect();
    let query = "SELECT DISTINCT o.conname::text FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND c.relname::text = ANY($2) AND o.condeferred ORDER BY 1";
    let values: [(&(dyn ToSql + Sync), Type); 2] =
        [(&place.schema, Type::TEXT), (&tables, Type::TEXT_ARRAY)];
    let rows = transaction.ask(query, &values).await;
    let found = session::own(rows.map_err(errors::of)?);
    let found: Vec<String> = found
        .iter()
        .map(|row| row.get(0))
        .collect::<Result<_, _>>()?;
    let quoted = found
        .iter()
        .map(|name| format!("{}.{}", names.schema(), quoted(name)));
    let quoted: Vec<String> = quoted.collect();
    Ok((!quoted.is_empty()).then(|| quoted.join(", ")))
}

/// The names, without what tells versions apart, of the tables that a schema made.
pub(crate) fn tables_of(
    session: &Session,
    names: &Names,
    schema: &str,
    made_by: &str,
) -> Result<Vec<String>, Error> {
    let mut tables = names.expand_schema(made_by)?.names;
    let found = relations(session, schema, "rp")?;
    tables.retain(|name| found.contains(&names.whole(name)));
    Ok(tables)
}

fn tables(session: &Session, schema: &str) -> Result<BTreeSet<String>, Error> {
    relations(session, schema, "rpvm")
}

/// The names of what a schema has of these kinds.
fn relations(session: &Session, schema: &str, kinds: &str) -> Result<BTreeSet<String>, Error> {
    let query = format!(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND strpos('{kinds}', c.relkind::text) > 0"
    );
    let rows = ask(session, &query, schema)?;
    rows.iter().map(|row| row.get(0)).collect()
}

fn ask(session: &Session, query: &str, text: &str) -> Result<Vec<PostgresRow>, Error> {
    let value: &(dyn ToSql + Sync) = &text;
    let encoded = Encoded::new(value, &Type::TEXT).map_err(|source| {
        Error::new(ErrorKind::Invalid, "value does not fit; see the cause").caused_by(source)
    })?;
    session.query(&Arc::from(query), vec![(encoded, Type::TEXT)])
}

fn first(rows: &[PostgresRow]) -> Result<bool, Error> {
    let row = rows.first().ok_or_else(errors::lost)?;
    row.get(0)
}

/// A text as SQL takes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
