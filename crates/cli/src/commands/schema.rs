//! `annals schema`: what a store makes in a database.

use annals::postgres::{ROLES, migration_script};
use annals::postgres_models;
use clap::{Args, Subcommand};

use crate::failure::{Failure, Result};
use crate::session::Session;

/// Print what a store makes in a database.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Schema {
    #[command(subcommand)]
    of: Of,
}

const EXAMPLES: &str = "Examples:\n  annals schema postgres > annals.sql";

/// Of which store.
#[derive(Clone, Debug, Subcommand)]
enum Of {
    Postgres(Postgres),
}

const POSTGRES_EXAMPLES: &str = "Examples:\n  annals schema postgres > annals.sql\n  \
    annals schema postgres --schema shop | head -3\n  annals schema postgres --roles --role shop_app > roles.sql\n  \
    annals schema postgres --roles --models shop_models > roles.sql";

/// Print the migrations of a log on PostgreSQL as plain SQL: what a store runs that makes one.
///
/// To be read, or run in place of the store by whoever owns the schema, as `psql --file`. With --roles what is granted to
/// the role of an application, the least that it needs: it adds to the history, and neither changes nor removes it. With
/// --models what it needs to write read models too.
#[derive(Args, Clone, Debug)]
#[command(after_help = POSTGRES_EXAMPLES)]
struct Postgres {
    /// The schema that holds the log.
    #[arg(long, value_name = "NAME", default_value = "annals")]
    schema: String,
    /// What the role of an application is granted.
    #[arg(long)]
    roles: bool,
    /// The role of the application.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "annals_app",
        requires = "roles"
    )]
    role: String,
    /// The schema of read models that the role writes too.
    #[arg(long, value_name = "NAME", requires = "roles")]
    models: Option<String>,
}

pub(crate) fn run(args: &Schema, session: &mut Session) -> Result {
    let Of::Postgres(args) = &args.of;
    if !args.roles {
        return session.out.line(migration_script(&args.schema).trim_end());
    }
    for name in [&args.schema, &args.role].into_iter().chain(&args.models) {
        // They stand in texts and in names of SQL.
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_plain) {
            let message = format!("{name:?} is no plain name");
            return Err(Failure::usage(message).hint(
                "give small letters, digits and _, or print the roles as they are and edit them",
            ));
        }
    }
    refuse_one_schema(args)?;
    // By way of a name that is none, as one of the two may be a part of the other.
    let text = statements(ROLES)
        .replace("annals_app", "\u{0}")
        .replace("annals.", &format!("{}.", args.schema))
        .replace("SCHEMA annals ", &format!("SCHEMA {} ", args.schema))
        .replace('\u{0}', &args.role);
    session.out.line(&text)?;
    let Some(models) = &args.models else {
        return Ok(());
    };
    let text = statements(postgres_models::ROLES)
        .replace("annals_app", "\u{0}")
        .replace("annals_models", models)
        .replace('\u{0}', &args.role);
    session.out.line(&text)
}

/// Refuses models in the schema of the log: what writes models may change and delete all that is in theirs.
fn refuse_one_schema(args: &Postgres) -> Result {
    if args.models.as_ref() != Some(&args.schema) {
        return Ok(());
    }
    let message = format!(
        "{:?} holds the log: the role could change and delete the history",
        args.schema
    );
    Err(Failure::usage(message).hint("give the models a schema of their own"))
}

/// What a file of grants runs, without what it says before and after.
fn statements(file: &str) -> String {
    let lines = file
        .lines()
        .skip_while(|line| !line.starts_with("-- ANCHOR: "));
    let lines = lines.skip(1);
    let lines = lines.take_while(|line| !line.starts_with("-- ANCHOR_END: "));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_another_schema_than_the_log() {
        for (models, is_refused) in [(None, false), (Some("shop"), true), (Some("models"), false)] {
            let args = Postgres {
                schema: "shop".to_owned(),
                roles: true,
                role: "app".to_owned(),
                models: models.map(str::to_owned),
            };
            let refused = refuse_one_schema(&args);
            assert_eq!(refused.is_err(), is_refused, "{models:?}");
        }
    }
}
