//! Names of tables: in the schema of the models, apart for each version of a projection.

use annals_core::{Error, ErrorKind};
use annals_projection::{ExpandedSql, ModelId, SqlDialect};

/// The longest name that PostgreSQL keeps whole, in bytes: it cuts longer ones without a word.
const NAME_BYTES_MAX: usize = 63;

const DIALECT: SqlDialect = SqlDialect {
    name_bytes_max: NAME_BYTES_MAX,
    reserved: &["annals_", "pg_"],
    quotes: &[('\'', "'"), ('"', "\"")],
};

/// How the tables of one model are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    schema: String,
    suffix: String,
}

/// A name as SQL takes it, whatever characters it has.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Names {
    pub(crate) fn new(schema: &str, model: &ModelId) -> Self {
        Self {
            schema: quoted(schema),
            suffix: model.table_suffix(),
        }
    }

    /// For a schema of tables before there is a model.
    pub(crate) fn of_any(schema: &str) -> Self {
        Self {
            schema: quoted(schema),
            suffix: "_v1".to_owned(),
        }
    }

    /// The schema, quoted.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The name of one table, without its schema and unquoted.
    pub(crate) fn whole(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    /// SQL that reads and changes rows, which may run with any search path.
    pub(crate) fn expand(&self, sql: &str) -> Result<ExpandedSql, Error> {
        let Self { schema, .. } = self;
        self.fit(DIALECT.expand(sql, |name| format!("{schema}.\"{}\"", self.whole(name)))?)
    }

    /// SQL that makes tables, which runs with the schema as its search path: names of indexes take no schema.
    pub(crate) fn expand_schema(&self, sql: &str) -> Result<ExpandedSql, Error> {
        self.fit(DIALECT.expand(sql, |name| format!("\"{}\"", self.whole(name)))?)
    }

    fn fit(&self, expanded: ExpandedSql) -> Result<ExpandedSql, Error> {
        let mut names = expanded.names.iter();
        match names.find(|name| self.whole(name).len() > NAME_BYTES_MAX) {
            None => Ok(expanded),
            Some(name) => {
                let message = "name is over 63 bytes with its version; choose a shorter one";
                Err(Error::new(ErrorKind::Invalid, message).with("name", self.whole(name)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use annals_core::CheckpointName;
    use annals_projection::Partition;

    use super::*;

    #[test]
    fn names_in_braces_get_their_schema_and_version() {
        let model = ModelId {
            name: CheckpointName::parse("orders").unwrap(),
            version: 2,
            partition: Partition::WHOLE,
        };
        let names = Names::new("my \"shop", &model);
        for (sql, expected) in [
            (
                "SELECT '{a}' FROM {orders}",
                "SELECT '{a}' FROM \"my \"\"shop\".\"orders_v2\"",
            ),
            (
                "SELECT ARRAY[{o}.x]",
                "SELECT ARRAY[\"my \"\"shop\".\"o_v2\".x]",
            ),
        ] {
            assert_eq!(names.expand(sql).unwrap().text, expected);
        }
        let made = names.expand_schema("CREATE INDEX {i} ON {t} (x)").unwrap();
        assert_eq!(made.text, "CREATE INDEX \"i_v2\" ON \"t_v2\" (x)");
        for refused in ["{}", "{a b}", "{annals_progress}", "{pg_class}", "{a"] {
            assert!(names.expand(refused).is_err(), "{refused}");
        }
        let long = "x".repeat(NAME_BYTES_MAX - 3);
        assert!(names.expand(&format!("{{{long}}}")).is_ok());
        assert!(names.expand(&format!("{{{long}x}}")).is_err());
    }
}
