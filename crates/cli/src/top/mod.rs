//! `annals top`: a store as it lives, on a terminal.

mod draw;
mod metrics;
mod sample;
mod screen;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::Args;

use crate::failure::{Failure, Result};
use crate::session::Session;

use self::sample::Board;

const EXAMPLES: &str = "Examples:\n  annals top --once\n  annals top --once --json\n  annals top";

/// Watch a store live: how fast it grows, the hottest streams and types, its files, how far readers are behind.
///
/// It follows the store as a reader does, and leaves the application alone. Keys: q or Esc ends it, p holds it, + and -
/// change how often it looks. What only the application knows (how long a sync takes, how much is read, what waits) comes
/// from its metrics, where --metrics gives the address of its Prometheus endpoint.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Top {
    /// How often it looks, in seconds.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Where the application that writes the store tells its metrics, as `http://127.0.0.1:9000/metrics`.
    #[arg(long, value_name = "URL", value_parser = url)]
    metrics: Option<String>,
    /// Print one look as text and end; with --json as a line.
    #[arg(long)]
    once: bool,
}

const INTERVAL_MIN: f64 = 0.1;
const INTERVAL_MAX: f64 = 60.0;

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|seconds| (INTERVAL_MIN..=INTERVAL_MAX).contains(seconds));
    seconds.ok_or_else(|| format!("a number of seconds from {INTERVAL_MIN} to {INTERVAL_MAX}"))
}

fn url(text: &str) -> std::result::Result<String, String> {
    let is_url = text
        .strip_prefix("http://")
        .is_some_and(|rest| !rest.is_empty());
    is_url
        .then(|| text.to_owned())
        .ok_or_else(|| "an address as http://127.0.0.1:9000/metrics".to_owned())
}

pub(crate) fn run(args: &Top, session: &mut Session) -> Result {
    let mut board = Board::open(&session.store, args.metrics.as_deref())?;
    if args.once {
        board.look()?;
        return once(&board, session);
    }
    if session.out.is_json() {
        return lines(args, &mut board, session);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage("top needs a terminal")
            .hint("give --once for one look as text, or --json for lines"));
    }
    screen::run(
        &mut board,
        Duration::from_secs_f64(args.interval),
        session.out.zone(),
    )
}

/// One look, as text or as a line of JSON.
fn once(board: &Board, session: &mut Session) -> Result {
    if session.out.is_json() {
        return session.out.json(&board.json());
    }
    for line in screen::as_text(board, session.out.zone())? {
        session.out.line(&line)?;
    }
    Ok(())
}

/// A line of JSON at each look, until whoever reads has enough.
fn lines(args: &Top, board: &mut Board, session: &mut Session) -> Result {
    use annals_concurrency::{SystemTimer, Timer as _};
    loop {
        board.look()?;
        session.out.json(&board.json())?;
        session.out.flush()?;
        futures_executor::block_on(SystemTimer.sleep(Duration::from_secs_f64(args.interval)));
    }
}
