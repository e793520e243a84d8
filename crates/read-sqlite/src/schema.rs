//! The tables of a model: made, found and dropped.

use std::collections::BTreeSet;

use annals_core::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension};

use crate::access::{self, Access, Who};
use crate::{errors, names};

/// Makes the tables of a model by its schema, which must make what it names in braces and nothing else.
pub(crate) fn create(
    connection: &Connection,
    access: &Access,
    schema: &str,
    suffix: &str,
) -> Result<(), Error> {
    let expanded = names::expand(schema, suffix)?;
    let roots = roots(&expanded.names, suffix);
    let before = objects(connection)?;
    if let Some(taken) = roots.iter().find(|root| before.contains(*root)) {
        let message =
            "another model of the file has a table or an index of this name; choose another";
        return Err(Error::new(ErrorKind::Invalid, message).with("name", taken));
    }
    access.allow(roots.clone());
    let created = access.as_who(Who::Schema, || connection.execute_batch(&expanded.text));
    created.map_err(|error| errors::of(error, "create"))?;
    let made = objects(connection)?;
    let mut made = made
        .difference(&before)
        .filter(|made| !made.starts_with("sqlite_"));
    match made.find(|made| !roots.iter().any(|root| access::is_of(made, root))) {
        None => Ok(()),
        Some(made) => {
            let message = "schema makes something under a name without braces, which all versions would share; write \
                           it as {name}";
            Err(Error::new(ErrorKind::Invalid, message).with("name", made))
        }
    }
}

/// Lets handlers write the tables that this schema made.
pub(crate) fn allow(
    connection: &Connection,
    access: &Access,
    schema: &str,
    suffix: &str,
) -> Result<(), Error> {
    let roots = roots(&names::expand(schema, suffix)?.names, suffix);
    let query = "SELECT name, type = 'shadow' FROM pragma_table_list WHERE schema = 'main'";
    let found: rusqlite::Result<Vec<(String, bool)>> =
        connection.prepare(query).and_then(|mut query| {
            let rows = query.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        });
    let found = found.map_err(|error| errors::of(error, "open"))?;
    let own = found.into_iter().filter(|(name, is_shadow)| {
        let mut roots = roots.iter();
        roots.any(|root| name == root || (*is_shadow && access::is_of(name, root)))
    });
    access.allow(own.map(|(name, _)| name).collect());
    Ok(())
}

/// Drops the tables that this schema made.
pub(crate) fn drop_all(connection: &Connection, schema: &str, suffix: &str) -> Result<(), Error> {
    let failed = |error| errors::of(error, "drop");
    // Tables may refer to each other in any order.
    connection
        .pragma_update(None, "defer_foreign_keys", true)
        .map_err(failed)?;
    for root in roots(&names::expand(schema, suffix)?.names, suffix) {
        let query = "SELECT type FROM sqlite_schema WHERE name = ?1";
        let kind: Option<String> = connection
            .query_row(query, [&root], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        // Indexes and triggers go with their tables.
        let kind = match kind.as_deref() {
            Some("table") => "TABLE",
            Some("view") => "VIEW",
            _ => continue,
        };
        let dropped = connection.execute_batch(&format!("DROP {kind} \"{root}\""));
        dropped.map_err(failed)?;
    }
    Ok(())
}

/// The names, without what tells versions apart, of the tables that a schema made.
pub(crate) fn tables(
    connection: &Connection,
    schema: &str,
    suffix: &str,
) -> Result<Vec<String>, Error> {
    let mut tables = names::expand(schema, suffix)?.names;
    let found = objects_of(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table'",
    )?;
    tables.retain(|name| found.contains(&format!("{name}{suffix}")));
    Ok(tables)
}

fn roots(names: &[String], suffix: &str) -> BTreeSet<String> {
    names.iter().map(|name| format!("{name}{suffix}")).collect()
}

fn objects(connection: &Connection) -> Result<BTreeSet<String>, Error> {
    objects_of(connection, "SELECT name FROM sqlite_schema")
}

fn objects_of(connection: &Connection, query: &str) -> Result<BTreeSet<String>, Error> {
    let found = connection.prepare(query).and_then(|mut query| {
        let names = query.query_map((), |row| row.get(0))?;
        names.collect()
    });
    found.map_err(|error| errors::of(error, "open"))
}
