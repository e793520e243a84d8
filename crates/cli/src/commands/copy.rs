//! `annals copy`: a history from one store to another.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use annals::StoreAddress;
use annals::core::Position;
use clap::Args;
use serde::Serialize;

use crate::copy::{AGAIN, Copied, Copier, Target, open_source};
use crate::failure::{Exit, Failure, Result};
use crate::interrupt;
use crate::output::progress::{Step, instant};
use crate::output::{Out, note, text};
use crate::session::Session;

const EXAMPLES: &str = "Examples:\n  annals copy shop moved --dry-run\n  annals copy shop moved\n  \
    annals copy shop moved --follow\n  \
    annals copy shop \"postgres://app@db.example/shop\"\n  \
    annals copy \"postgres://app@db.example/shop\" \"nats://nats.example:4222/shop?sync=always\"";

/// Copy a history to another store: in a directory, on PostgreSQL, on NATS JetStream.
///
/// Events keep their ids, times, streams, versions, tags, context and positions, the bounds and ids of appends too. The
/// destination is empty, or made, or holds the beginning of the same history: what it holds is compared with the
/// source event by event, and a copy that was interrupted goes on there. Another history is refused. What was recorded
/// is read back and compared, and the digest of the destination printed: SHA-256 of the lines that `export` would write of
/// its events. The source has the same, unless one side reclaimed events that the other still has: those are compared by
/// their place alone, and counted.
///
/// Policies of streams (retention, truncation, deletion, tombstones) are copied. PostgreSQL does not keep when they were
/// set: from there they are set as they are once all events are copied, with --follow when it ends. Until then the copy shows
/// what they hide, and rules that an earlier copy set are lifted. Events that policies hide are copied too; of those that were
/// reclaimed, the places. Not copied are snapshots, which are taken anew, checkpoints of readers, which read models bring with
/// them or begin anew, and keys of personal data, which are no part of a store.
///
/// Nothing else may write to the destination. The source may be written to meanwhile: with --follow the copy goes on
/// with what comes, and waits while the source is out of reach. A source in a directory that was not closed, and is not
/// written to, is opened once to write, as the newest events may be known only then. Once it has caught up, stop what writes, end it by Ctrl-C, which copies the rest, and have the
/// application open the destination.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::doc_markdown, reason = "shown on a terminal as it stands")]
pub(crate) struct Copy {
    /// The store to copy: a directory, postgres://user@host/database, nats://host:4222/<log>.
    // Both are parsed later, as a complaint about an argument would repeat it, with its password.
    #[arg(value_name = "FROM")]
    from: String,
    /// The store to copy to, in the same forms; made where it is not there.
    #[arg(value_name = "TO")]
    to: String,
    /// Go on with what is recorded in the source, until Ctrl-C.
    #[arg(short, long, conflicts_with = "dry_run")]
    follow: bool,
    /// Compare what the destination holds, tell what would be copied, and copy nothing.
    #[arg(long)]
    dry_run: bool,
}

/// How long one waits before it is looked again for what is new.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How long one waits where the source or the destination is out of reach.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// How often it is told how far behind a copy is.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Copy, session: &mut Session) -> Result {
    let from: StoreAddress = args.from.parse()?;
    let to: StoreAddress = args.to.parse()?;
    if from == to {
        return Err(Failure::usage("a store can't be copied to itself"));
    }
    // Stores on PostgreSQL and NATS work on it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("no threads: {error}")))?;
    let _entered = runtime.enter();
    if args.dry_run {
        return look(&from, &to, &mut session.out);
    }
    let mut copier = Copier::new(open_source(&from)?, Target::open_or_create(&to)?)?;
    let outcome = copy(&mut copier, args.follow).map_err(with_what_to_do);
    let (done, head) = (copier.copied(), copier.at());
    let closed = copier.close();
    // What went wrong first is told.
    let sha256 = outcome?;
    closed?;
    tell((&from, &to), &done, head, Some(sha256), &mut session.out)
}

fn copy(copier: &mut Copier, follow: bool) -> Result<String> {
    let step = Step::begin("comparing", copier.heads()?.0.value());
    copier.compare(|| {
        step.advance(1);
        interrupt::check(AGAIN)
    })?;
    step.end();
    copier.catch_up_policies()?;
    let (head, at) = copier.heads()?;
    if at > Position::START {
        note(&format!("the destination has the first {at} events"));
    }
    let step = Step::begin("copying", head.since(at));
    let on_step = |_: &mut Copier, recorded| {
        step.advance(recorded);
        interrupt::check(AGAIN)
    };
    if !follow {
        let sha256 = copier.finish(on_step)?;
        step.end();
        return Ok(sha256);
    }
    copier.copy(on_step)?;
    step.end();
    copier.verify()?;
    go_on(copier)
}

/// A copy that failed is begun again as a whole: it finds out itself what was recorded.
fn with_what_to_do(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Unknown => failure.hint(AGAIN),
        Exit::Failed => failure.or_hint(|| AGAIN.to_owned()),
        _ => failure,
    }
}

/// Goes on with what comes, until Ctrl-C; then with what came before that.
#[expect(
    clippy::disallowed_methods,
    reason = "a source that others write is looked at now and then"
)]
fn go_on(copier: &mut Copier) -> Result<String> {
    let mut lag = Lag::begin(copier)?;
    loop {
        // Asked before the look: what was acknowledged before Ctrl-C is copied.
        let is_last = interrupt::is_wished();
        if is_last {
            let sha256 = copier.finish(|copier, _| lag.tell(copier))?;
            lag.tell_caught_up(copier)?;
            return Ok(sha256);
        }
        match look_again(copier, &mut lag) {
            Err(failure) if failure.is_passing => {
                say(&format!("can't go on now, and tries again: {failure}"));
                std::thread::sleep(RETRY_INTERVAL);
            }
            looked => looked?,
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Copies what is new, if there is something.
fn look_again(copier: &mut Copier, lag: &mut Lag) -> Result {
    copier.copy(|copier, _| lag.tell(copier).map_err(Failure::lasting))?;
    if copier.is_unverified() {
        copier.verify()?;
        lag.tell_caught_up(copier)?;
    }
    Ok(())
}

/// How far behind a copy is, told now and then.
struct Lag {
    told: Instant,
    is_behind: bool,
}

impl Lag {
    fn begin(copier: &mut Copier) -> Result<Self> {
        let at = copier.heads()?.1;
        say(&format!(
            "caught up at position {at}, 0 events behind; what comes is copied. Stop what writes to the source, \
             then Ctrl-C"
        ));
        Ok(Self {
            told: instant(),
            is_behind: false,
        })
    }

    fn tell(&mut self, copier: &mut Copier) -> Result {
        let (head, at) = copier.heads()?;
        let behind = head.since(at);
        if behind > 0 && self.told.elapsed() >= LAG_INTERVAL {
            say(&format!(
                "{} behind, at position {at}",
                text::count(behind, "event")
            ));
            (self.told, self.is_behind) = (instant(), true);
        }
        Ok(())
    }

    fn tell_caught_up(&mut self, copier: &mut Copier) -> Result {
        if self.is_behind || self.told.elapsed() >= LAG_INTERVAL || interrupt::is_wished() {
            let at = copier.heads()?.1;
            say(&format!("caught up at position {at}, 0 events behind"));
            (self.told, self.is_behind) = (instant(), false);
        }
        Ok(())
    }
}

/// Tells whoever waits how it goes, a program too.
fn say(text: &str) {
    // Without it there is still the answer.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Compares, and tells what would be copied.
fn look(from: &StoreAddress, to: &StoreAddress, out: &mut Out) -> Result {
    let source = open_source(from)?;
    let compared = crate::copy::look(source, Target::to_look_at(to)?, || interrupt::check(AGAIN))?;
    let json = serde_json::json!({ "source": from.to_string(), "destination": to.to_string(),
        "events_to_copy": compared.to_copy, "events_present": compared.present, "dry_run": true });
    out.item(&json, |_| {
        format!(
            "would copy {} from {from} to {to}, which has {} of the same history",
            text::count(compared.to_copy, "event"),
            text::count(compared.present, "event")
        )
    })
}

#[derive(Serialize)]
struct CopiedJson {
    source: String,
    destination: String,
    events: u64,
    appends: u64,
    policy_changes: u64,
    events_present: u64,
    events_compared_by_place: u64,
    position: u64,
    sha256: Option<String>,
}

fn tell(
    (from, to): (&StoreAddress, &StoreAddress),
    copied: &Copied,
    head: Position,
    sha256: Option<String>,
    out: &mut Out,
) -> Result {
    let json = CopiedJson {
        source: from.to_string(),
        destination: to.to_string(),
        events: copied.events,
        appends: copied.appends,
        policy_changes: copied.policies,
        events_present: copied.present,
        events_compared_by_place: copied.by_place,
        position: head.value(),
        sha256,
    };
    out.item(&json, |_| {
        let present = match copied.present {
            0 => String::new(),
            present => format!("; {} there already", text::count(present, "event")),
        };
        let same = match copied.by_place {
            0 => "have the same events: sha256".to_owned(),
            places => format!(
                "have the same events, {} of them by place alone, as one side has reclaimed them: sha256 of the \
                 destination",
                text::count(places, "event")
            ),
        };
        format!(
            "copied {} in {}, and {}, from {from} to {to}{present}\nboth end at position {head}, and {same} {}",
            text::count(copied.events, "event"),
            text::count(copied.appends, "append"),
            text::count(copied.policies, "policy change"),
            json.sha256.as_deref().unwrap_or_default()
        )
    })
}
