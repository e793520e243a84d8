//! Short runs of what is long by nature: the fuzz bodies and the benchmarks.
//!
//! Both select targets of the whole workspace with all features, so that cargo reuses what the tests
//! have built: one package alone would mean other features and another build.

use anyhow::{Result, bail};

use crate::cargo::Cargo;
use crate::tidy;
use crate::workspace::Workspace;

/// The environment variable that tells the `fuzz` test how long each body runs; unset, each body
/// takes a small fixed number of inputs.
const FUZZ_SECONDS: &str = "ANNALS_FUZZ_SECONDS";
const FUZZ_SECONDS_SMOKE: u32 = 10;

/// Feeds seeded random bytes to every fuzz body for a few seconds, after checking that each body
/// has its libFuzzer shell and each shell its body.
pub(crate) fn fuzz(workspace: &Workspace) -> Result<()> {
    let violations = tidy::fuzz_shells(workspace)?;
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("fuzz shells and fuzz bodies do not match");
    }
    fuzz_command().run(&workspace.root)
}

/// Runs every benchmark once, unmeasured: `cargo test` starts criterion in its test mode, and the
/// development profile spares a second, optimised build.
pub(crate) fn bench(workspace: &Workspace) -> Result<()> {
    bench_command().run(&workspace.root)
}

fn fuzz_command() -> Cargo {
    targets(["--test", "fuzz", "--", "--nocapture"])
        .env(FUZZ_SECONDS, FUZZ_SECONDS_SMOKE.to_string())
}

fn bench_command() -> Cargo {
    targets(["--bench", "*"])
}

fn targets<const N: usize>(words: [&str; N]) -> Cargo {
    Cargo::new(["test", "--workspace", "--all-features"]).args(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &Cargo, expected: &str) {
        assert_eq!(command.to_string(), expected);
    }

    #[test]
    fn the_fuzz_bodies_run_for_ten_seconds_each() {
        check(
            &fuzz_command(),
            "ANNALS_FUZZ_SECONDS=10 cargo test --workspace --all-features --test fuzz -- --nocapture",
        );
    }

    #[test]
    fn the_benchmarks_run_under_the_test_profile() {
        check(
            &bench_command(),
            "cargo test --workspace --all-features --bench '*'",
        );
    }
}
