//! The command line, as clap parses it.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::archives::Moved;
use crate::commands::{
    append, at, backup, completions, copy, diff, doctor, export, find, history, import, init, man,
    optimize, parked, profile, projections, read, repair, restore, schema, schemas, show, stats,
    streams, subjects, tail, trace, verify,
};
use crate::store_at::StoreAddress;
use crate::top;

/// Look into event stores, and keep them, from a terminal.
///
/// A store is named by `--store` or by the variable `ANNALS_STORE`; else it is the directory that you are in. One that
/// an application writes can be read, followed, checked and backed up meanwhile. Answers go to the standard output,
/// as tables, or with `--json` as a line of JSON for each item; progress, notes, questions and errors go to the
/// standard error.
#[derive(Clone, Debug, Parser)]
#[command(name = "annals", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 it failed, 2 wrong usage, 3 not found, 4 damage was found, \
    5 refused, 6 unknown whether it was recorded (the same command again finds out), 130 interrupted.";

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The store: a directory.
    #[arg(
        short,
        long,
        global = true,
        env = "ANNALS_STORE",
        hide_env_values = true,
        value_name = "STORE",
        default_value = ".",
        help_heading = "Global options"
    )]
    pub(crate) store: StoreAddress,
    /// An archive of the store is at another place by now than the store knows: absolute paths or URLs; may be given
    /// several times.
    #[arg(
        long = "archive-moved",
        global = true,
        value_name = "FROM=TO",
        help_heading = "Global options"
    )]
    pub(crate) archives_moved: Vec<Moved>,
    /// A line of JSON for each item, of a shape that stays.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Times in UTC rather than in local time.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) utc: bool,
    /// Whether to use colours.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    Append(append::AppendArgs),
    Read(read::Read),
    Tail(tail::Tail),
    Find(find::Find),
    Show(show::Show),
    Streams(streams::Streams),
    Stats(stats::Stats),
    Schemas(schemas::Schemas),
    History(history::History),
    At(at::At),
    Diff(diff::Diff),
    Trace(trace::Trace),
    Export(export::Export),
    Import(import::Import),
    Copy(copy::Copy),
    Verify(verify::Verify),
    Repair(repair::Repair),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Optimize(optimize::Optimize),
    Profile(profile::Profile),
    Top(top::Top),
    Projections(projections::Projections),
    Parked(parked::Parked),
    Subjects(subjects::Subjects),
    Schema(schema::Schema),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(man::Man),
}
