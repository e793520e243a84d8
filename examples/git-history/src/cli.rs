//! The command line, as clap parses it.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::codec::Codec;

/// Reads the mainline of a git repository (the first-parent chain of HEAD) as events: a stream for each
/// file, an atomic append for each commit.
///
/// Without a command it imports: the repository that is named, or else the one that you are in.
#[derive(Clone, Debug, Parser)]
#[command(version, override_usage = USAGE, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The repository to import, or a folder in it; one that is named like a command goes after `import`.
    // Not beside a command, which has its own. Clap could refuse the two together, but would then take the
    // command of `--json verify` for a repository.
    pub repository: Option<PathBuf>,
    /// Keep the history in this store, which is created when it is missing: a directory,
    /// `postgres://user@host/database`, or `nats://host:4222/<log>`. What is there is not read from
    /// git again, and an import that was interrupted goes on where it stopped. Without it, and with `memory:`, a
    /// command has a store of its own that is gone in the end.
    // It is parsed later, as a complaint about an argument would repeat it, with its password.
    #[arg(long, global = true, value_name = "STORE")]
    pub store: Option<OsString>,
    /// In which form to record what the store lacks. A store may hold events of several, and each is read in
    /// its own.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub codec: Codec,
    /// Keep the read models of the store in this file (SQLite), which is created when it is missing, and updated
    /// while the history is imported: what `authors`, `churn` and `sizes` print, also beside the import.
    #[arg(long, global = true, value_name = "FILE")]
    pub read_model: Option<PathBuf>,
    /// Print one JSON document for programs (`tail`: one a line), paths in their text form (`%` and hex for
    /// odd bytes).
    #[arg(long, global = true)]
    pub json: bool,
}

const USAGE: &str = "git-history [OPTIONS] [REPOSITORY]\n       git-history [OPTIONS] <COMMAND>";

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 `verify` found a difference, 2 any error.\n\
    A repository may be bare or shallow, and is named by any folder in it.";

/// What to do with a repository.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Record the history, fold it, and print counts (the default).
    Import {
        /// The repository, or a folder in it.
        #[arg(default_value = ".")]
        repository: PathBuf,
    },
    /// Print the tree as of a commit of the mainline, as `git ls-tree -r` does but for the text form of
    /// paths.
    At {
        /// The repository, or a folder in it.
        repository: PathBuf,
        /// A revision (branch, tag, hash, HEAD~3), an RFC 3339 time, or a day such as 2020-01-31 (to its
        /// end, UTC): the last commit by then.
        when: String,
    },
    /// Print what happened to a file.
    Log {
        /// The repository, or a folder in it.
        repository: PathBuf,
        /// The path from the top of the tree, as it is or in its text form.
        path: OsString,
    },
    /// Find the commit that first had a file or a folder, by halving the history.
    Bisect {
        /// The repository, or a folder in it.
        repository: PathBuf,
        /// The path from the top of the tree, as it is or in its text form.
        path: OsString,
    },
    /// Print how the tree would differ without a commit; nothing is recorded of it.
    WhatIf {
        /// The repository, or a folder in it.
        #[arg(default_value = ".")]
        repository: PathBuf,
        /// The commit that did not happen: a revision or a date, as for `at`.
        #[arg(long, value_name = "COMMIT")]
        without: String,
    },
    /// Compare the folded tree with `git ls-tree -r`, and exit with 1 where they differ.
    Verify(Verify),
    /// Print the newest commits of a store, also while another process records them. Needs no repository.
    Tail(Tail),
    /// Print who changed how much, out of a file of read models. Needs neither repository nor store.
    Authors {
        /// What an import was given as `--read-model`.
        file: PathBuf,
    },
    /// Print how often the files below each folder changed, out of a file of read models.
    Churn {
        /// What an import was given as `--read-model`.
        file: PathBuf,
    },
    /// Print how large a file was over time, out of a file of read models.
    Sizes {
        /// What an import was given as `--read-model`.
        file: PathBuf,
        /// The path from the top of the tree, as it is or in its text form.
        path: OsString,
    },
}

/// What to print of a store.
#[derive(Args, Clone, Copy, Debug)]
pub struct Tail {
    /// How many of the newest commits to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value = "10")]
    pub commits: usize,
    /// Every commit of the store.
    #[arg(long, conflicts_with = "commits")]
    pub all: bool,
    /// Go on with those that are recorded from now on, until ctrl-c.
    #[arg(short, long)]
    pub follow: bool,
}

/// What to verify.
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// The repository, or a folder in it.
    #[arg(default_value = ".")]
    pub repository: PathBuf,
    /// How many commits of the mainline to choose at random.
    #[arg(long, value_name = "N", default_value = "100")]
    pub commits: NonZeroUsize,
    /// Every commit of the mainline.
    #[arg(long, conflicts_with_all = ["commits", "seed"])]
    pub all: bool,
    /// Choose the same commits again; a run prints its seed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// What to compare with: git when there is one on the PATH, unless said otherwise.
    #[arg(long, value_enum)]
    pub against: Option<Against>,
}

/// Who says what a commit's tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// `git ls-tree -r`, once for each commit.
    Git,
    /// A walk over the tree objects, without git.
    Walk,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_path_is_a_repository_where_no_command_stands() {
        let import = |path: &str| format!("Import {{ repository: {path:?} }}");
        let cases: &[(&[&str], _, _)] = &[
            (&[], None, None),
            (&["--json"], None, None),
            (&["there"], None, Some("there")),
            (&["--json", "there"], None, Some("there")),
            (&["there", "--json"], None, Some("there")),
            (&["import"], Some(import(".")), None),
            (&["--json", "import", "there"], Some(import("there")), None),
            (&["import", "import"], Some(import("import")), None),
            (&["./import"], None, Some("./import")),
        ];
        for (arguments, command, repository) in cases {
            let cli = Cli::try_parse_from([&["git-history"], *arguments].concat()).unwrap();
            assert_eq!(
                (
                    cli.command.map(|command| format!("{command:?}")),
                    cli.repository
                ),
                (command.clone(), repository.map(PathBuf::from)),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn the_help_shows_both_forms() {
        let help = Cli::command().render_help().to_string();
        let usage =
            "Usage: git-history [OPTIONS] [REPOSITORY]\n       git-history [OPTIONS] <COMMAND>\n";
        assert!(help.contains(usage), "{help}");
    }
}
