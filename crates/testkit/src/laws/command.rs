//! The law of a refused command: that it leaves no trace.

use std::fmt::Debug;

use annals_aggregate::{Loaded, Repository};
use annals_core::{
    Aggregate, ConsistencyLevel, Cursor, Error, ErrorKind, EventStore as _, EventStoreExt as _,
    ReadRequest, RecordedEvent,
};

use crate::report::Report;

/// What the law looks at, before and after.
struct Sight<A: Aggregate> {
    head: Cursor,
    loaded: Loaded<A>,
}

/// Records the history, sends the command, and holds the store before against the store after. Gives
/// the error of the command.
pub(super) async fn no_trace<A, T, E>(
    repository: &Repository<A>,
    key: &str,
    history: Vec<A::Event>,
    command: impl AsyncFnOnce(&Repository<A>) -> Result<T, E>,
) -> Result<E, Report>
where
    A: Aggregate + PartialEq + Debug,
{
    record(repository, key, history).await?;
    let before = look(repository, key).await?;
    let answer = command(repository).await;
    let after = look(repository, key).await?;
    let Err(error) = answer else {
        let headline = "the command is accepted; the law is about one that is refused";
        return Err(Report::new(headline)
            .value("state before the command", before.loaded.state())
            .text("recorded", &recorded_since(repository, before.head).await?));
    };
    if before.head != after.head {
        let advice = "decide everything, then append all of it in one step";
        return Err(Report::new("the command is refused, but recorded events")
            .text("recorded", &recorded_since(repository, before.head).await?)
            .text("what to do", advice));
    }
    let (before, after) = (before.loaded.state(), after.loaded.state());
    if before != after {
        let headline = "the command is refused and recorded no event, but the aggregate changed";
        return Err(Report::new(headline).difference(before, after));
    }
    Ok(error)
}

async fn record<A: Aggregate>(
    repository: &Repository<A>,
    key: &str,
    history: Vec<A::Event>,
) -> Result<(), Report> {
    let mut history = Some(history);
    let decide = |_: &A| {
        let message = "somebody else writes the aggregate; leave it to the law";
        history
            .take()
            .ok_or(Error::new(ErrorKind::Conflict, message))
    };
    match repository.execute(key, decide).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Report::new("the given history can't be recorded").error(&error)),
    }
}

async fn look<A: Aggregate>(repository: &Repository<A>, key: &str) -> Result<Sight<A>, Report> {
    let head = repository.store().head(ConsistencyLevel::Strong).await;
    let loaded = repository.load(key).await;
    Ok(Sight {
        head: head.map_err(|error| unreadable(&error))?,
        loaded: loaded.map_err(|error| unreadable(&error))?,
    })
}

/// The events of any stream after this place, a line each.
async fn recorded_since<A: Aggregate>(
    repository: &Repository<A>,
    head: Cursor,
) -> Result<String, Report> {
    let events = repository.store().collect(ReadRequest::all().after(head));
    let events = events.await.map_err(|error| unreadable(&error))?;
    let lines: Vec<String> = events.iter().map(described).collect();
    Ok(lines.join("\n"))
}

fn unreadable(error: &Error) -> Report {
    Report::new("the store can't be read").error(error)
}

fn described(event: &RecordedEvent) -> String {
    let (kind, position) = (event.event_type(), event.position());
    let (stream, version) = (event.stream(), event.version());
    format!("{position}: {kind} of {stream} at version {version}")
}
