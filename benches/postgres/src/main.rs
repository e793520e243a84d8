//! Workloads of event stores on one PostgreSQL server: annals, bare statements on a plain table, and other stores.
//!
//! Called by `cargo xtask bench postgres`. It knows how to open, append to and read each subject, and nothing of their
//! insides.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod compare;
#[path = "../../rivals/src/event.rs"]
#[expect(dead_code, reason = "the embedded stores need more of the event")]
mod event;
#[path = "../../rivals/src/machine.rs"]
mod machine;
mod names;
mod report;
mod run;
mod server;
mod subject;
mod subjects;

/// Workloads of event stores on one PostgreSQL server.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare annals with bare statements and with other stores, on one server
    Postgres(compare::Options),
    /// Run one workload on one subject in this process
    #[command(hide = true)]
    Run(run::Run),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Postgres(options) => compare::compare(&options),
        Command::Run(run) => run.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
