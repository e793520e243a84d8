//! What the checksum of a record costs, against a copy of it and against the `crc32c` crate.

use std::hint::black_box;

use annals_log::checksum::crc32c;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Where one of so many buffers begins; records have no alignment.
const STEP_BYTES: usize = 269;

fn checksums(criterion: &mut Criterion) {
    let content: Vec<u8> = (0..16_384_u32).map(|at| at.to_le_bytes()[0]).collect();
    let mut group = criterion.benchmark_group("checksum");
    for length in [64, 128, 200, 270, 512, 1024, 4096] {
        group.throughput(Throughput::Bytes(length as u64));
        let mut at = 0;
        let mut next = || {
            at = (at + STEP_BYTES) % 8192;
            black_box(content.get(at..at + length).unwrap_or_default())
        };
        let mut copy = Vec::with_capacity(length);
        group.bench_function(BenchmarkId::new("limit: copy", length), |bencher| {
            bencher.iter(|| {
                copy.clear();
                copy.extend_from_slice(next());
                black_box(copy.as_slice()).len()
            });
        });
        group.bench_function(BenchmarkId::new("crc32c crate", length), |bencher| {
            bencher.iter(|| crc32c::crc32c(next()));
        });
        group.bench_function(BenchmarkId::new("ours", length), |bencher| {
            bencher.iter(|| crc32c(next()));
        });
    }
    group.finish();
}

criterion_group!(benches, checksums);
criterion_main!(benches);
