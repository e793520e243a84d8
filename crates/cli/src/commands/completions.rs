//! `annals completions`: completions for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Result;
use crate::session::Session;

const EXAMPLES: &str =
    "Examples:\n  annals completions bash > annals.bash\n  annals completions fish | head -1";

/// Print completions for a shell.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// Which shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &Completions, session: &mut Session) -> Result {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "annals", &mut text);
    session.out.line(String::from_utf8_lossy(&text).trim_end())
}
