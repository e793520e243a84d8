//! `annals read`: events in their order.

use std::ops::ControlFlow;

use clap::Args;

use crate::failure::Result;
use crate::lost::PastLost;
use crate::output::event::{Events, Width};
use crate::select::{Select, each_event};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals read --limit 20\n  annals read --stream account-1 --backward --limit 1\n  \
    annals read --type deposited --since 2026-01-31 --json";

/// Print events in the order in which they were recorded.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Read {
    #[command(flatten)]
    select: Select,
    /// From the newest to the oldest.
    #[arg(short, long)]
    backward: bool,
    /// At most so many events.
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Whole payloads, however long.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    lost: PastLost,
}

pub(crate) fn run(args: &Read, session: &mut Session) -> Result {
    let mut chosen = args.select.chosen()?;
    if args.backward {
        chosen.request = chosen.request.backward();
    }
    let limit = args.limit.unwrap_or(u64::MAX);
    if limit < 1000 {
        chosen.request = chosen
            .request
            .events_max(usize::try_from(limit.max(1)).unwrap_or(1));
    }
    let store = args.lost.of(&session.store)?.to_read()?;
    let out = &mut session.out;
    let width = if args.full { Width::Full } else { Width::Short };
    let mut events = Events::new(width);
    if limit > 0 {
        each_event(&*store, chosen.request.clone(), |event| {
            if chosen.takes(event) {
                events.put(out, event)?;
            }
            Ok(if events.count() >= limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
    }
    events.flush(out)?;
    if events.count() == 0 {
        args.select.check_stream(&*store)?;
    }
    Ok(())
}
