//! How fast a small aggregate folds: `fold` against a plain loop over the same `Vec`.

use std::hint::black_box;

use annals_benches::account::{Account, AccountEvent, movements};
use annals_core::fold;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const EVENTS: u64 = 10_000;

fn bench(criterion: &mut Criterion) {
    let history = movements(EVENTS);
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("limit: plain loop over a Vec", |bencher| {
        bencher.iter(|| plain(black_box(&history)));
    });
    group.bench_function("annals_core::fold", |bencher| {
        bencher.iter(|| fold::<Account>(black_box(&history)));
    });
    group.finish();
}

/// The same transition without any trait, errors included.
fn plain(history: &[AccountEvent]) -> Option<u64> {
    let mut balance = 0_u64;
    for event in history {
        balance = match event {
            AccountEvent::Deposited { cents } => balance.checked_add(*cents)?,
            AccountEvent::Withdrawn { cents } => balance.checked_sub(*cents)?,
        };
    }
    Some(balance)
}

criterion_group!(benches, bench);
criterion_main!(benches);
