//! Workloads of event stores on annals, on its rivals and on the bare machine, and of frameworks on annals and others.
//!
//! Called by `cargo xtask bench compare`. It knows how to open, append to and read each subject, and
//! nothing of their insides.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod batcher;
mod commands;
mod compare;
mod event;
mod frameworks;
mod machine;
mod measure;
mod names;
mod report;
mod subject;
mod subjects;
mod workload;

/// Workloads of event stores and of frameworks, for annals and its rivals.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare annals with its rivals and with the limits of the machine
    Compare(compare::Options),
    /// Run one workload on one subject in this process
    #[command(hide = true)]
    Run(compare::Run),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Compare(options) => compare::compare(&options),
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
