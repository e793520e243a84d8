//! What a command carries to its events, and commands that come twice.

use annals_aggregate::{CommandError, Context};
use annals_core::{
    AppendId, CausationId, CorrelationId, ErrorKind, EventStoreExt, Metadata, ReadRequest,
    Timestamp, Version,
};
use futures_executor::block_on;

use crate::account::{AccountError, AccountEvent, Noon, accounts, memory};
use crate::scripted::{Scripted, Step, deposit};

fn payment() -> Context {
    Context::new().with_append_id(AppendId::parse("order-17/pay").unwrap())
}

#[test]
fn every_event_carries_the_context_of_its_command() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let metadata = Metadata::EMPTY
            .with_correlation_id(CorrelationId::parse("request-1").unwrap())
            .and_then(|metadata| metadata.with_causation_id(CausationId::parse("command-2")?))
            .and_then(|metadata| metadata.with_header("user", "ada"))
            .unwrap();
        let context = Context::from(metadata.clone());
        let two = || Ok::<_, ()>([1, 2].map(|amount| AccountEvent::Deposited { amount }));
        accounts
            .execute_with(&context, "42", |_| two())
            .await
            .unwrap();
        let events = store.collect(ReadRequest::all()).await.unwrap();
        assert_eq!(events.len(), 2);
        for event in &events {
            assert_eq!(event.metadata(), &metadata);
            assert_eq!(event.recorded_at(), Noon::NOW);
        }

        let at = Timestamp::from_seconds(5);
        let cause = events.first().unwrap();
        let context = Context::caused_by(cause).unwrap().with_recorded_at(at);
        accounts
            .execute_with(&context, "43", |_| two())
            .await
            .unwrap();
        let caused = store
            .last_event(&accounts.stream("43").unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            caused.metadata().correlation_id(),
            metadata.correlation_id()
        );
        assert_eq!(
            caused.metadata().causation_id().unwrap(),
            &cause.id().to_string().as_str()
        );
        assert_eq!(caused.recorded_at(), at);
    });
}

#[test]
fn a_correlation_begins_with_the_first_cause() {
    block_on(async {
        let store = memory();
        deposit(&store, "42", 1).await;
        let event = store
            .collect(ReadRequest::all())
            .await
            .unwrap()
            .pop()
            .unwrap();
        let context = Context::caused_by(&event).unwrap();
        let id = event.id().to_string();
        assert_eq!(context.metadata().correlation_id().unwrap(), &id.as_str());
        assert_eq!(context.metadata().causation_id().unwrap(), &id.as_str());
    });
}

#[test]
fn a_command_with_a_fixed_append_id_is_recorded_once() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        let context = payment();
        let pay = || accounts.execute_with(&context, "42", |account| account.deposit(5));
        let first = pay().await.unwrap();
        deposit(&store, "42", 100).await;
        let second = pay().await.unwrap();
        assert_eq!(
            first.receipt.map(|receipt| receipt.as_duplicate()),
            second.receipt
        );
        assert_eq!(first.events, second.events);
        assert_eq!((first.state, first.version), (second.state, second.version));
        let loaded = accounts.load("42").await.unwrap();
        assert_eq!(
            (loaded.state().balance, loaded.version()),
            (105, Version::new(2))
        );
    });
}

#[test]
fn a_second_execution_that_decides_otherwise_writes_nothing() {
    block_on(async {
        let store = memory();
        let accounts = accounts(&store);
        deposit(&store, "42", 5).await;
        let context = payment();
        let empty =
            || accounts.execute_with(&context, "42", |account| Ok::<_, ()>(account.empty()));
        assert!(empty().await.unwrap().is_recorded());
        assert!(
            !empty().await.unwrap().is_recorded(),
            "nothing is left to decide"
        );
        deposit(&store, "42", 7).await;
        let error = empty().await.unwrap_err();
        let CommandError::AppendIdReused(error) = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.kind(), ErrorKind::AppendIdReused);

        let context = Context::new().with_append_id(AppendId::parse("open").unwrap());
        let open = || accounts.execute_with(&context, "42", |account| account.open("Ada"));
        open().await.unwrap();
        assert_eq!(
            open().await.unwrap_err().refused(),
            Some(&AccountError::AlreadyOpen)
        );
        assert_eq!(
            accounts.load("42").await.unwrap().version(),
            Version::new(4)
        );
    });
}

#[test]
fn a_fixed_append_id_lasts_through_conflicts_and_losses() {
    block_on(async {
        let store = Scripted::new([Step::Compete("42", 1), Step::LoseAnswer]);
        let accounts = accounts(&store);
        let executed = accounts
            .execute_with(&payment(), "42", |account| account.deposit(5))
            .await
            .unwrap();
        assert_eq!((executed.state.balance, executed.attempts), (6, 2));
        let ids = store.calls().append_ids;
        assert_eq!(ids, [payment().append_id().unwrap(); 3]);
    });
}
