//! A role that may no more than what is documented does what an application does; what is refused tells what to grant.

use std::sync::Arc;
use std::time::Duration;

use annals_core::{Error, ErrorKind, EventStore, EventStoreExt, ReadRequest};
use annals_projection::{Inspect, ModelId, Processor, Sink};
use annals_read_postgres::{PostgresInline, PostgresSink, ROLES, models};
use annals_store_postgres::PostgresStore;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::bank::{Bank, append_all, balances, balances_and, change, model_id};
use crate::support::{self, RUNTIME, client};

/// A role of one test, with nothing but what every role has.
struct Role {
    name: String,
    /// The address of the server for it.
    url: String,
}

impl Role {
    async fn new(bank: &Bank) -> Self {
        let name = format!("app_{}", bank.schema);
        let config: Config = bank.url.parse().unwrap();
        // The server of the tests is reached by TCP.
        let mut hosts = config.get_hosts().iter();
        let host = hosts.find_map(|host| match host {
            Host::Tcp(host) => Some(host),
            Host::Unix(_) => None,
        });
        let host = host.unwrap();
        let port = config.get_ports().first().unwrap_or(&5432);
        let database = config.get_dbname().unwrap_or("postgres");
        let url = format!("postgres://{name}:less@{host}:{port}/{database}");
        let made =
            format!("CREATE ROLE {name} LOGIN PASSWORD 'less' NOSUPERUSER NOCREATEDB NOCREATEROLE");
        let role = Self { name, url };
        role.owner_runs(bank, &made).await;
        role
    }

    async fn owner_runs(&self, bank: &Bank, sql: &str) {
        client(&bank.url).await.batch_execute(sql).await.unwrap();
    }

    /// Grants what is documented of the log.
    async fn granted_the_log(&self, bank: &Bank) {
        let grants = annals_store_postgres::ROLES
            .replace("annals_app", "{role}")
            .replace("annals", &bank.schema)
            .replace("{role}", &self.name);
        self.owner_runs(bank, &grants).await;
    }

    /// Grants what is documented of the models.
    async fn granted_the_models(&self, bank: &Bank) {
        let grants = ROLES
            .replace("annals_app", &self.name)
            .replace("annals_models", &bank.models);
        self.owner_runs(bank, &grants).await;
    }

    async fn store(&self, bank: &Bank) -> Result<Arc<PostgresStore>, Error> {
        let store = PostgresStore::builder(&self.url).schema(&bank.schema);
        store.open().await.map(Arc::new)
    }

    async fn gone(self, bank: &Bank) {
        let gone = format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name);
        self.owner_runs(bank, &gone).await;
    }
}

/// Opens a sink on a thread that may block.
async fn opened(mut sink: PostgresSink, id: ModelId) -> Result<PostgresSink, Error> {
    let opening = tokio::task::spawn_blocking(move || sink.open(&id).map(|_| sink));
    opening.await.unwrap()
}

/// What an error says is to be granted.
fn grant_of(error: &Error) -> String {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    loop {
        let error = at.unwrap();
        if let Some(error) = error.downcast_ref::<Error>() {
            let facts = error.context().filter(|(name, _)| *name == "grant");
            let grants: Vec<&str> = facts.map(|(_, grant)| grant).collect();
            if !grants.is_empty() {
                return grants.join("; ");
            }
        }
        at = error.source();
    }
}

#[test]
fn a_role_with_the_documented_grants_appends_reads_and_projects() {
    let name = "a_role_with_the_documented_grants_appends_reads_and_projects";
    let Some(url) = support::server(name) else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let role = Role::new(&bank).await;
        role.granted_the_log(&bank).await;
        role.granted_the_models(&bank).await;
        // Whoever may makes the tables: those of the first version after the grants, as those of any later one.
        for version in [1, 2] {
            let id = balances(version).build().unwrap().model_id();
            drop(opened(bank.sink(), id).await.unwrap());
        }
        let store = role.store(&bank).await.unwrap();
        append_all(&*store, 1, 3).await;
        assert_eq!(store.collect(ReadRequest::all()).await.unwrap().len(), 3);

        let inline = PostgresInline::builder(Arc::clone(&store))
            .project(balances(1).build().unwrap(), bank.sink_at(&role.url))
            .open()
            .await
            .unwrap();
        append_all(&inline, 1, 2).await;
        let mut client = client(&role.url).await;
        let transaction = client.transaction().await.unwrap();
        inline.append_in(&transaction, change(1, 9)).await.unwrap();
        transaction.commit().await.unwrap();
        bank.assert_even(1).await;

        let fed: Arc<dyn EventStore> = Arc::<PostgresStore>::clone(&store);
        let projection = balances(2).build().unwrap();
        let processor = Processor::builder(fed).project(projection, bank.sink_at(&role.url));
        let running = processor.build().unwrap().start();
        running.wait_until_live("balances").await.unwrap();
        running.stop().await;
        bank.assert_even(2).await;

        // It makes and drops nothing.
        for forbidden in [
            "CREATE TABLE {}.x ()",
            "DROP TABLE {}.balances_v1",
            "TRUNCATE {}.annals_progress",
        ] {
            let forbidden = forbidden.replace("{}", &bank.models);
            let refused = client.batch_execute(&forbidden).await.unwrap_err();
            assert_eq!(refused.code().unwrap().code(), "42501", "{forbidden}");
        }
        let mut sink = opened(bank.sink_at(&role.url), model_id()).await.unwrap();
        let reset = tokio::task::spawn_blocking(move || sink.reset());
        let refused = reset.await.unwrap().unwrap_err();
        assert!(grant_of(&refused).contains("OWNER TO"), "{refused}");
        bank.assert_even(1).await;
        role.gone(&bank).await;
    });
}

#[test]
fn who_only_reads_is_told_to_be_let_read() {
    let Some(url) = support::server("who_only_reads_is_told_to_be_let_read") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let role = Role::new(&bank).await;
        let id = model_id();
        drop(opened(bank.sink(), id.clone()).await.unwrap());
        let listed = || models(&role.url, &bank.models);
        let grant = grant_of(&listed().await.unwrap_err());
        assert!(
            !grant.contains("INSERT") && grant.contains("SELECT"),
            "{grant}"
        );
        let usage = format!("GRANT USAGE ON SCHEMA {} TO {}", bank.models, role.name);
        role.owner_runs(&bank, &usage).await;
        let inspect = bank.sink_at(&role.url).inspect(&id);
        let look = || inspect.look();
        let grant = grant_of(&listed().await.unwrap_err());
        assert!(!grant.contains("INSERT"), "{grant}");
        let grant_of_a_look = grant_of(&look().await.unwrap_err());
        assert_eq!(grant_of_a_look, grant);
        role.owner_runs(&bank, &grant.replace("<role>", &role.name))
            .await;
        assert_eq!(listed().await.unwrap().len(), 1);
        look().await.unwrap();
        role.gone(&bank).await;
    });
}

#[test]
fn models_are_kept_out_of_the_schema_of_a_log() {
    let Some(url) = support::server("models_are_kept_out_of_the_schema_of_a_log") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let bank = Bank {
            models: bank.schema.clone(),
            ..bank
        };
        let refused = opened(bank.sink(), model_id()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("holds a log"), "{refused}");
    });
}

/// The number that migrations of a log lock by is none of the models'.
#[test]
fn a_migration_of_a_log_does_not_hold_models_up() {
    let Some(url) = support::server("a_migration_of_a_log_does_not_hold_models_up") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let migrating = client(&url).await;
        let lock = "SELECT pg_advisory_lock(x'616e6e616c73'::bigint)";
        migrating.batch_execute(lock).await.unwrap();
        let opening = opened(bank.sink(), model_id());
        let opened = tokio::time::timeout(Duration::from_secs(20), opening).await;
        drop(opened.unwrap().unwrap());
    });
}

#[test]
fn what_a_role_lacks_is_told() {
    let Some(url) = support::server("what_a_role_lacks_is_told") else {
        return;
    };
    RUNTIME.block_on(async {
        let bank = Bank::open(&url).await;
        let made = bank.models.clone();
        let role = Role::new(&bank).await;
        let refused = role.store(&bank).await.unwrap_err();
        assert!(refused.to_string().contains("--roles"), "{refused}");
        role.granted_the_log(&bank).await;
        let store = role.store(&bank).await.unwrap();

        // One right after the other, each as the answer of before asks.
        let open = || opened(bank.sink_at(&role.url), model_id());
        for expected in [
            format!("CREATE SCHEMA \"{made}\" AUTHORIZATION <role>"),
            format!("GRANT USAGE ON SCHEMA \"{made}\" TO <role>; "),
            format!("GRANT CREATE, USAGE ON SCHEMA \"{made}\" TO <role>"),
        ] {
            let refused = open().await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
            let grant = grant_of(&refused);
            assert!(grant.starts_with(&expected), "{grant}");
            let given = match grant.split_once(" AUTHORIZATION") {
                // Another than the role makes it, so that the rest is lacking.
                Some((made, _)) => made.to_owned(),
                None => grant.replace("<role>", &role.name),
            };
            role.owner_runs(&bank, &given).await;
        }
        drop(open().await.unwrap());

        // The schema of another role, which makes its tables and fills them: the store's has to be let in.
        let bank = Bank {
            models: support::fresh_schema(),
            ..bank
        };
        let inline = || async {
            let inline = PostgresInline::builder(Arc::clone(&store));
            let inline = inline.project(balances(2).build().unwrap(), bank.sink());
            inline.open().await
        };
        bank.store.append(change(1, 1)).await.unwrap();
        let refused = inline().await.unwrap_err();
        let grant = grant_of(&refused);
        assert!(
            grant.contains("GRANT SELECT, INSERT, UPDATE, DELETE"),
            "{grant}"
        );
        role.owner_runs(&bank, &grant.replace("<role>", &role.name))
            .await;
        inline().await.unwrap().append(change(1, 1)).await.unwrap();
        bank.assert_even(2).await;

        nothing_is_told_of_the_tables_of_others(&bank, &role, &store).await;
        role.gone(&bank).await;
    });
}

/// What is not the models' is not said to be.
async fn nothing_is_told_of_the_tables_of_others(
    bank: &Bank,
    role: &Role,
    store: &Arc<PostgresStore>,
) {
    let secret = format!("CREATE TABLE public.{}_secret ()", role.name);
    role.owner_runs(bank, &secret).await;
    let peeking = format!("SELECT FROM public.{}_secret", role.name);
    let projection = balances_and(2, move |model, _| {
        model.query(&peeking, &[])?;
        Ok(())
    });
    let peeks = PostgresInline::builder(Arc::clone(store))
        .project(projection.build().unwrap(), bank.sink())
        .open()
        .await
        .unwrap();
    let refused = peeks.append(change(1, 1)).await.unwrap_err();
    let told = format!("{refused:?}");
    assert!(told.contains("42501") && !told.contains("GRANT"), "{told}");
    let gone = format!("DROP TABLE public.{}_secret", role.name);
    role.owner_runs(bank, &gone).await;
}
