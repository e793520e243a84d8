//! `annals tail`: the newest events, and those that come.

use std::ops::ControlFlow;

use annals_core::{
    ConsistencyLevel, Cursor, EventStore, EventStoreExt as _, Position, ReadRequest,
};
use clap::Args;
use futures_executor::block_on;
use futures_util::TryStreamExt as _;

use crate::failure::Result;
use crate::lost::PastLost;
use crate::output::Out;
use crate::output::event::{Events, Width};
use crate::select::{Chosen, Select, each_event};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals tail\n  annals tail -n 2 --category account --json\n  \
    annals tail -f --type deposited";

/// Print the newest events, and with -f those that are appended from now on, until Ctrl-C.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tail {
    #[command(flatten)]
    select: Select,
    /// Follow: go on with events as they are appended, by any process.
    #[arg(short, long)]
    follow: bool,
    /// Begin with so many of the newest events.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: u64,
    /// Whole payloads, however long.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    lost: PastLost,
}

pub(crate) fn run(args: &Tail, session: &mut Session) -> Result {
    let chosen = args.select.chosen()?;
    let store = args.lost.of(&session.store)?.to_read()?;
    // One that is followed may be yet to come.
    if !args.follow {
        args.select.check_stream(&*store)?;
    }
    let width = if args.full { Width::Full } else { Width::Short };
    let mut events = Events::new(width);
    let head = block_on(store.head(ConsistencyLevel::Strong))?;
    let begin = beginning(&*store, &chosen, args.lines)?;
    let mut newest = chosen.request.clone().after(begin);
    if newest.until.is_none() {
        newest = newest.until(head.clone());
    }
    let out = &mut session.out;
    if args.lines > 0 {
        each_event(&*store, newest, |event| {
            if chosen.takes(event) {
                events.put(out, event)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    events.flush(out)?;
    if args.follow {
        let request = chosen.request.clone().after(head);
        follow(&*store, &chosen, request, &mut events, &mut session.out)?;
    }
    Ok(())
}

/// Goes on with events as they come.
fn follow(
    store: &dyn EventStore,
    chosen: &Chosen,
    request: ReadRequest,
    events: &mut Events,
    out: &mut Out,
) -> Result {
    let mut pages = store.subscribe_pages(request);
    while let Some(page) = block_on(pages.try_next())? {
        for event in page.events.iter().filter(|event| chosen.takes(event)) {
            events.put(out, event)?;
        }
        events.flush(out)?;
    }
    Ok(())
}

/// After which position the newest events begin.
fn beginning(store: &dyn EventStore, chosen: &Chosen, lines: u64) -> Result<Cursor> {
    let (mut left, mut first) = (lines, None);
    let backward = chosen.request.clone().backward().events_max(page(lines));
    if lines > 0 {
        each_event(store, backward, |event| {
            if chosen.takes(event) {
                first = Some(event.position());
                left -= 1;
            }
            Ok(if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
    }
    let first = first.map_or(Position::START, Position::previous);
    let asked = chosen.request.after.position().unwrap_or_default();
    Ok(Cursor::at(first.max(asked)))
}

fn page(lines: u64) -> usize {
    usize::try_from(lines).unwrap_or(usize::MAX).clamp(1, 1000)
}
