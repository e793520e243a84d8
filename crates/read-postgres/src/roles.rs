//! What the role of an application is granted.

use annals_core::Error;

use crate::errors;

/// What whoever makes the tables of models grants to the role of an application, as SQL with `annals_app` for the role
/// and `annals_models` for the schema of the models; beside what it is granted of the log
/// ([`annals_store_postgres::ROLES`]).
pub const ROLES: &str = include_str!("roles.sql");

/// The SQLSTATE of a right that a role lacks.
const LACKS_A_RIGHT: &str = "42501";

/// What a role lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// To make the schema of models.
    MakeSchema,
    /// To make tables in it.
    MakeTables,
    /// To drop tables, which only who made them has.
    DropTables,
    /// To read and change rows.
    Rows,
    /// To read rows.
    Read,
}

impl Right {
    /// As [`named`](Self::named), where what was refused is the schema, or one of these tables of it or a sequence of
    /// one: a statement of the application's may be refused what is no model's.
    pub(crate) fn named_of(self, schema: &str, tables: &[String], error: Error) -> Error {
        let said = errors::said(&error).unwrap_or_default();
        let unquoted = schema.trim_matches('"').replace("\"\"", "\"");
        let mut words = said.split(|character: char| character.is_whitespace() || character == '"');
        let is_of_a_table = words.any(|word| {
            let mut tables = tables.iter();
            tables.any(|table| {
                let rest = word.strip_prefix(table.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("_seq"))
            })
        });
        let is_of_the_schema = said.ends_with(&format!(" schema {unquoted}"));
        if is_of_a_table || is_of_the_schema {
            return self.named(schema, error);
        }
        error
    }

    /// Tells what to grant, where an error is of a role that lacks a right in this schema, which is quoted.
    pub(crate) fn named(self, schema: &str, error: Error) -> Error {
        if errors::code(&error).as_deref() != Some(LACKS_A_RIGHT) {
            return error;
        }
        let grants = match self {
            Self::MakeSchema => vec![format!("CREATE SCHEMA {schema} AUTHORIZATION <role>")],
            Self::MakeTables => vec![format!("GRANT CREATE, USAGE ON SCHEMA {schema} TO <role>")],
            Self::DropTables => vec![format!(
                "ALTER TABLE {schema}.<table> OWNER TO <role>, for each table of the model"
            )],
            Self::Rows => vec![
                format!("GRANT USAGE ON SCHEMA {schema} TO <role>"),
                format!(
                    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO <role>"
                ),
                format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO <role>"),
            ],
            Self::Read => vec![
                format!("GRANT USAGE ON SCHEMA {schema} TO <role>"),
                format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO <role>"),
            ],
        };
        // Each by itself, as a fact is short.
        let grants = grants.into_iter();
        grants.fold(error, |error, grant| error.with("grant", grant))
    }
}
