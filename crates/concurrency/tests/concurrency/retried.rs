//! A command without a repository is tried again as its policy says.

use annals_concurrency::{ManualTimer, Retrier, RetryPolicy};
use annals_core::{ErrorKind, EventStore, Expected};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;

use crate::support::{append, event, stream};

/// Appends at the version that was seen, where another writer comes first in the first so many attempts.
fn run(attempts_max: u32, competitors: u32) -> (u32, Result<u64, ErrorKind>) {
    let store = MemoryStore::new();
    let mut policy = RetryPolicy::DEFAULT;
    policy.attempts_max = attempts_max;
    let retrier = Retrier::new(policy, ManualTimer::default()).unwrap();
    let mut attempts = 0;
    let ended = block_on(retrier.run(async |tries| {
        attempts += 1;
        let seen = store.stream_head(&stream("a-1")).await?.version;
        if attempts <= competitors {
            let other = append().write(stream("a-1"), Expected::Any, [event("e")]);
            store.append(other.build()?).await?;
        }
        let ours = append().write(stream("a-1"), Expected::Exactly(seen), [event("e")]);
        tries.append(&store, &ours.build()?).await?;
        Ok(seen.next().value())
    }));
    (attempts, ended.map_err(|error| error.kind()))
}

#[test]
fn a_conflict_is_tried_again_so_often() {
    assert_eq!(run(3, 0), (1, Ok(1)));
    assert_eq!(run(3, 2), (3, Ok(3)));
    assert_eq!(run(3, 3), (3, Err(ErrorKind::Conflict)));
    assert_eq!(run(1, 1), (1, Err(ErrorKind::Conflict)));
}
