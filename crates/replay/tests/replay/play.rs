//! Histories at a chosen speed.

use std::sync::Arc;
use std::time::Duration;

use annals_codec::{EventCodec, JsonCodec};
use annals_concurrency::ManualTimer;
use annals_core::{Append, EventStore, Expected, Ids, ReadRequest, StreamId, UuidIds};
use annals_replay::{Pace, PacedBy, play};
use annals_store_memory::MemoryStore;
use futures_executor::block_on;
use futures_util::TryStreamExt;

use crate::cart::{put, seconds};

/// The pauses of a history whose events happened at these seconds, in milliseconds.
fn pauses(times: &[i64], pace: Pace, busy: Duration) -> Vec<u128> {
    block_on(async {
        let store = MemoryStore::new();
        for time in times {
            let event = JsonCodec.encode(&put(1, 1)).unwrap();
            let event = event.with_recorded_at(seconds(*time));
            let append = Append::builder(UuidIds::default().append_id())
                .write(StreamId::from_static("cart-1"), Expected::Any, [event])
                .build();
            store.append(append.unwrap()).await.unwrap();
        }
        let clock = ManualTimer::default();
        let playing = play(&store, ReadRequest::all(), pace, Arc::new(clock.clone()));
        let taken = playing.try_for_each(|_| {
            clock.advance(busy);
            async { Ok(()) }
        });
        taken.await.unwrap();
        let pauses = clock.pauses().into_iter();
        pauses.map(|pause| pause.as_millis()).collect()
    })
}

#[test]
fn each_event_comes_at_its_time() {
    let idle = Duration::ZERO;
    let scaled = |factor| Pace::scaled(PacedBy::Recorded, factor).unwrap();
    let rate = |rate| Pace::events_per_second(rate).unwrap();
    for (times, pace, expected) in [
        (&[0, 10, 11][..], Pace::UNLIMITED, &[][..]),
        (&[0, 10, 11], scaled(1.0), &[10_000, 1_000]),
        (&[0, 10, 11], scaled(10.0), &[1_000, 100]),
        (&[0, 10, 11], scaled(0.5), &[20_000, 2_000]),
        // A clock that went back: nothing is waited for twice.
        (&[0, 10, 5, 11], scaled(1.0), &[10_000, 1_000]),
        (
            &[0, 10, 11],
            scaled(1.0).with_pause_max(Duration::from_secs(2)),
            &[2_000, 1_000],
        ),
        (&[0, 10, 5, 11], rate(4.0), &[250, 250, 250]),
        (&[], rate(4.0), &[]),
    ] {
        assert_eq!(pauses(times, pace, idle), expected, "{times:?} {pace:?}");
    }
}

#[test]
fn time_that_was_lost_is_made_up_for() {
    let rate = Pace::events_per_second(10.0).unwrap();
    let busy = Duration::from_millis(30);
    assert_eq!(pauses(&[0; 4], rate, busy), [70, 70, 70]);
    let busy = Duration::from_millis(300);
    assert_eq!(pauses(&[0; 4], rate, busy), [0; 0]);
}

#[test]
fn a_pace_is_a_number_above_0() {
    for number in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        Pace::events_per_second(number).unwrap_err();
        Pace::scaled(PacedBy::Appended, number).unwrap_err();
    }
}
