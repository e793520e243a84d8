//! The fuzz bodies on stable, fed from a seeded generator: a fixed number of inputs by default, or for
//! `ANNALS_FUZZ_SECONDS` each. `ANNALS_SEED` replays a run.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

use std::env;
use std::panic::catch_unwind;
use std::time::Duration;

use annals_core::{Clock, SystemClock};
use annals_tests::fuzz::TARGETS;

const INPUT_BYTES_MAX: u64 = 256;

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Random bytes, or a seed with a few bytes changed, dropped, doubled or inserted.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(8) == 0 {
            return (0..self.next() % INPUT_BYTES_MAX)
                .map(|_| self.byte())
                .collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..self.below(6) {
            let at = self.below(input.len());
            match self.below(5) {
                0 if !input.is_empty() => input[at] = self.byte(),
                1 if !input.is_empty() => drop(input.remove(at)),
                2 => input.insert(at, self.byte()),
                3 => input.extend_from_within(at..),
                _ => input.truncate(at + 1),
            }
        }
        input
    }
}

fn check(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target of this name");
    let seed = env::var("ANNALS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let seconds = env::var("ANNALS_FUZZ_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let began = SystemClock.now();
    let mut random = Random(seed);
    let mut inputs = 0;
    let goes_on = |inputs: u64| match seconds.map(Duration::from_secs) {
        Some(time) => SystemClock.now().since(began) < time,
        None => inputs < target.inputs,
    };
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.body)(seed);
    }
    while inputs % 1000 != 0 || goes_on(inputs) {
        let input = random.input(&seeds);
        let outcome = catch_unwind(|| (target.body)(&input));
        assert!(
            outcome.is_ok(),
            "{name} breaks on {input:?} (ANNALS_SEED={seed}, input {inputs})"
        );
        inputs += 1;
    }
    println!("{name}: {inputs} inputs from seed {seed}");
}

#[test]
fn names() {
    check("names");
}

#[test]
fn cursor() {
    check("cursor");
}

#[test]
fn times() {
    check("times");
}

#[test]
fn json_event() {
    check("json_event");
}

#[test]
fn message_pack_event() {
    check("message_pack_event");
}

#[test]
fn cbor_event() {
    check("cbor_event");
}

#[test]
fn bincode_event() {
    check("bincode_event");
}

#[test]
fn postcard_event() {
    check("postcard_event");
}

#[test]
fn compressed_event() {
    check("compressed_event");
}

#[test]
fn wide_event() {
    check("wide_event");
}

#[test]
fn value() {
    check("value");
}

#[test]
fn dictionary() {
    check("dictionary");
}

#[test]
fn upcast_event() {
    check("upcast_event");
}

#[test]
fn log_frame() {
    check("log_frame");
}

#[test]
fn log_segment_header() {
    check("log_segment_header");
}

#[test]
fn log_compressed() {
    check("log_compressed");
}

#[test]
fn log_manifest() {
    check("log_manifest");
}

#[test]
fn log_watermark() {
    check("log_watermark");
}

#[test]
fn log_directory() {
    check("log_directory");
}

#[test]
fn event_body() {
    check("event_body");
}

#[test]
fn note_body() {
    check("note_body");
}

#[test]
fn index_run() {
    check("index_run");
}

#[test]
fn checkpoint_file() {
    check("checkpoint_file");
}

#[test]
fn envelope() {
    check("envelope");
}

#[test]
fn key_file() {
    check("key_file");
}

#[test]
fn every_target_is_run_here() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let tests = include_str!("fuzz.rs");
    let missing = names
        .iter()
        .filter(|name| !tests.contains(&format!("check(\"{name}\")")));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
}
