//! The law of snapshots holds for a state that survives its form, and catches those that don't.

use std::collections::HashMap;
use std::fmt::Debug;

use annals_codec::JsonCodec;
use annals_core::{Aggregate, Refusal};
use annals_testkit::laws;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::account::{AccountEvent, deposited, opened};
use crate::support::failure_of;

fn histories() -> [Vec<AccountEvent>; 2] {
    [vec![opened(), deposited(100)], vec![]]
}

fn check<A>(parts: &[&str])
where
    A: Aggregate<Event = AccountEvent> + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let message = failure_of(|| {
        laws::a_snapshot_and_its_tail_are_the_whole::<A>(&JsonCodec, &histories());
    });
    let title = "broken law: a snapshot and its tail are the whole";
    for part in parts.iter().chain(&[title]) {
        assert!(message.contains(part), "{message}");
    }
}

/// An aggregate that counts its events in a field, by this function.
macro_rules! counting {
    ($name:ident, $count:expr) => {
        impl Aggregate for $name {
            type Event = AccountEvent;

            fn apply(&mut self, _: &AccountEvent) -> Result<(), Refusal> {
                let count: fn(&mut Self) = $count;
                count(self);
                Ok(())
            }
        }
    };
}

#[test]
fn a_state_that_survives_keeps_the_law() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Count(u64);
    counting!(Count, |state| state.0 += 1);
    laws::a_snapshot_and_its_tail_are_the_whole::<Count>(&JsonCodec, &histories());
}

#[test]
fn a_field_that_is_not_written_is_caught() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Forgetful {
        #[serde(skip)]
        count: u64,
    }
    counting!(Forgetful, |state| state.count += 1);
    check::<Forgetful>(&[
        "comes back from its snapshot as another",
        "after its first 1 events",
        "count: 1",
    ]);
}

#[test]
fn a_state_that_can_not_be_written_is_caught() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Odd(HashMap<Vec<u8>, u8>);
    counting!(Odd, |state| state.0.extend([(vec![1], 1)]));
    check::<Odd>(&["the form refuses to write a state"]);
}

#[test]
fn a_state_that_hides_a_difference_is_caught() {
    /// Equal by its count alone, while the next event looks at the other.
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Sly {
        count: u64,
        #[serde(skip)]
        step: u64,
    }
    impl PartialEq for Sly {
        fn eq(&self, other: &Self) -> bool {
            self.count == other.count
        }
    }
    counting!(Sly, |state| {
        state.count += state.step;
        state.step += 1;
    });
    check::<Sly>(&["goes on as another"]);
}
