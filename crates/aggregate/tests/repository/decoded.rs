//! Events that read as several or none: all of them are folded, and what was skipped stays visible.

use std::sync::Arc;

use annals_aggregate::{Context, Repository, Skipped};
use annals_codec::{Decoded, Error, EventCodec, JsonCodec};
use annals_core::{AppendId, ContentRef, ContentType, NewEvent, Version};
use futures_executor::block_on;

use crate::account::{Account, AccountEvent, accounts, memory};

/// Reads a deposit as two of a half each, drops a deposit of 0, and skips one of more than 100.
#[derive(Debug)]
pub(crate) struct Halves;

impl EventCodec<AccountEvent> for Halves {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, event: &AccountEvent) -> Result<NewEvent, Error> {
        JsonCodec.encode(event)
    }

    fn decode_content(&self, content: ContentRef<'_>) -> Result<Decoded<AccountEvent>, Error> {
        let decoded: Decoded<AccountEvent> = JsonCodec.decode_content(content)?;
        let &[AccountEvent::Deposited { amount }] = decoded.as_slice() else {
            return Ok(decoded);
        };
        let half = AccountEvent::Deposited { amount: amount / 2 };
        Ok(match amount {
            0 => Decoded::Many(Vec::new()),
            1..=100 => Decoded::Many(vec![half.clone(), half]),
            _ => Decoded::Skipped(Error::new(annals_codec::ErrorKind::FutureVersion, "newer")),
        })
    }
}

#[test]
fn every_event_is_folded_and_what_is_skipped_is_told() {
    block_on(async {
        let store = memory();
        for amount in [4, 0, 1000, 6]
            .into_iter()
            .chain([500; Skipped::REASONS_MAX])
        {
            let deposit = |_: &Account| Ok::<_, ()>(AccountEvent::Deposited { amount });
            accounts(&store).execute("42", deposit).await.unwrap();
        }
        let accounts = Repository::<Account>::new(Arc::clone(&store) as _, Halves);
        let loaded = accounts.load_at("42", Version::new(4)).await.unwrap();
        assert_eq!(
            (loaded.state().balance, loaded.version()),
            (10, Version::new(4))
        );
        assert_eq!(loaded.skipped().count(), 1);
        let reasons: Vec<String> = loaded.skipped().reasons().map(Error::to_string).collect();
        assert_eq!(
            reasons,
            ["newer (stream: account-42, version: 3, position: 3)"]
        );

        let loaded = accounts.load("42").await.unwrap();
        let skipped = loaded.skipped();
        assert_eq!(
            (skipped.count(), skipped.reasons().count()),
            (17, Skipped::REASONS_MAX)
        );
        assert!(
            accounts
                .load_at("42", Version::new(2))
                .await
                .unwrap()
                .skipped()
                .is_empty()
        );
    });
}

/// A decision that nobody may ask for: its answer is not that of the store.
fn never(_: &Account) -> Result<AccountEvent, ()> {
    Err(())
}

#[test]
fn nothing_is_decided_on_a_state_that_leaves_out_events() {
    block_on(async {
        let store = memory();
        let deposit = |amount| move |_: &Account| Ok::<_, ()>(AccountEvent::Deposited { amount });
        let context = Context::new().with_append_id(AppendId::parse("first").unwrap());
        let all = accounts(&store);
        all.execute_with(&context, "42", deposit(1000))
            .await
            .unwrap();
        all.execute("7", deposit(4)).await.unwrap();
        let halves = Repository::<Account>::new(Arc::clone(&store) as _, Halves);
        let says = |error: &annals_core::Error| {
            assert_eq!(error.kind(), annals_core::ErrorKind::Undecodable);
            let text = error.to_string();
            assert!(
                text.contains("stream: account-42, skipped events: 1"),
                "{text}"
            );
        };

        let error = halves.execute("42", never).await.unwrap_err();
        says(error.store().unwrap());
        let both = |_: &Account, _: &Account| Err::<(AccountEvent, AccountEvent), ()>(());
        for (key, other) in [("42", "7"), ("7", "42")] {
            let context = Context::new();
            let error = halves.execute_both(&context, key, (&halves, other), both);
            says(error.await.unwrap_err().store().unwrap());
        }
        let mut loaded = halves.load("42").await.unwrap();
        assert!(format!("{loaded:?}").contains("skipped: 1"));
        says(loaded.execute(never).unwrap_err().store().unwrap());
        loaded
            .record(AccountEvent::Deposited { amount: 2 })
            .unwrap();
        says(&halves.save(&mut loaded, &Context::new()).await.unwrap_err());
        let transaction = halves.transaction().with(loaded);
        says(&transaction.commit(&Context::new()).await.unwrap_err());

        // What was executed before is answered, and tells; and so does who decides all the same.
        let executed = halves.execute_with(&context, "42", never).await.unwrap();
        assert_eq!(
            (executed.skipped.count(), executed.version),
            (1, Version::new(1))
        );
        let halves = halves.deciding_despite_skipped();
        let executed = halves.execute("42", deposit(6)).await.unwrap();
        assert_eq!(
            (
                executed.state.balance,
                executed.skipped.count(),
                executed.version
            ),
            (6, 1, Version::new(2))
        );
        assert!(
            all.execute("42", deposit(8))
                .await
                .unwrap()
                .skipped
                .is_empty()
        );
    });
}
