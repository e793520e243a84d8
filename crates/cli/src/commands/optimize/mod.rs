//! `annals optimize`: a store made smaller without a read that answers differently.

mod apply;
mod policy;
mod status;
mod told;

use std::sync::Arc;

use annals_optimize::Optimizer;
use clap::{Args, Subcommand};

use self::apply::{Apply, Undo};
use self::policy::{Policy, PolicyArgs};
use self::status::Status;
use crate::failure::Result;
use crate::interrupt;
use crate::lost::surveyed;
use crate::output::progress::Step;
use crate::session::Session;

const EXAMPLES: &str =
    "Examples:\n  annals optimize plan\n  annals optimize apply\n  annals optimize status";

/// Make a store smaller: compress old segments, move them to an archive, hide events that are expired.
///
/// `plan` and `status` work while an application writes the store. `apply` and `undo` write, so that they need it
/// alone: where the application never stops, it runs the optimizer itself (`annals::optimize::Optimizer`).
/// Ctrl-C pauses: what is done stays done, and the same command goes on.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Optimize {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
enum Verb {
    Plan(PlanArgs),
    Apply(Apply),
    Undo(Undo),
    Status(Status),
}

const PLAN_EXAMPLES: &str = "Examples:\n  annals optimize plan\n  annals optimize plan --compress-older-than 30d --level 12\n  \
    annals optimize plan --category session --max-age 90d --keep 100 --hold session-9\n  \
    annals optimize plan --archive /mnt/cold --archive-older-than 90d\n  annals optimize plan --policy policy.toml --json";

/// Tell what would be done, what each step saves and what it costs; change nothing.
///
/// Without options every sealed segment is compressed that gets smaller by it. Sizes are estimated by samples.
/// A policy file is TOML or JSON, the same that the library reads (see the chapter "Making it smaller"). Options set their
/// parts of it, and what they leave out stays. A file that only has rules to hide events compresses as well, unless
/// --no-compression is given.
#[derive(Args, Clone, Debug)]
#[command(after_help = PLAN_EXAMPLES)]
struct PlanArgs {
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(crate) fn run(args: &Optimize, session: &mut Session) -> Result {
    match &args.verb {
        Verb::Plan(args) => plan(&args.policy.policy()?, session),
        Verb::Apply(args) => apply::apply(args, session),
        Verb::Undo(args) => apply::undo(args, session),
        Verb::Status(args) => status::run(args, session),
    }
}

/// What the policy would have done, also while another process writes the store.
fn plan(policy: &Policy, session: &mut Session) -> Result {
    let store = surveyed(&session.store)?.follower()?;
    let optimizer = Optimizer::of(Arc::new(store));
    let step = Step::begin("planning", 0);
    let plan = policy.plan(&optimizer);
    step.end();
    interrupt::check("the plan was not looked at; nothing was changed")?;
    told::plan(&plan?, told::NOTHING_SMALLER, &mut session.out)
}
