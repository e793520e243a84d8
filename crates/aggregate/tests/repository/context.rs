//! What a command carries to its events.

use annals_aggregate::Context;
use annals_core::{CausationId, CorrelationId, EventStoreExt, Metadata, ReadRequest, Timestamp};
use futures_executor::block_on;

use crate::account::{AccountEvent, Noon, accounts, memory};
use crate::scripted::deposit;

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
            cause.id().to_string().as_str()
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
        assert_eq!(context.metadata().correlation_id().unwrap(), id.as_str());
        assert_eq!(context.metadata().causation_id().unwrap(), id.as_str());
    });
}
