//! The task that appends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use annals_core::{Error, ErrorKind};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::batch::Batch;
use super::publish::Fate;
use super::{Answered, Waiting};
use crate::error::unknown;
use crate::record::Record;
use crate::shared::Shared;
use crate::state::State;

/// Records what comes, until nobody is there to send more.
pub(super) async fn run(shared: Arc<Shared>, mut receiver: mpsc::UnboundedReceiver<Waiting>) {
    let mut commands = VecDeque::new();
    loop {
        if commands.is_empty() {
            match receiver.recv().await {
                Some(waiting) => commands.push_back(waiting),
                None => return,
            }
        }
        gather(&shared, &mut receiver, &mut commands).await;
        step(&shared, &mut commands).await;
    }
}

/// Takes what waits, as long as more comes: those that were answered together send again together, each when its task
/// has its turn.
async fn gather(
    shared: &Shared,
    receiver: &mut mpsc::UnboundedReceiver<Waiting>,
    commands: &mut VecDeque<Waiting>,
) {
    loop {
        yield_now().await;
        let before = commands.len();
        while commands.len() <= shared.settings.batch_events_max
            && let Ok(waiting) = receiver.try_recv()
        {
            commands.push_back(waiting);
        }
        if commands.len() == before {
            return;
        }
    }
}

/// Records one batch of what waits, or finds out that it has to be judged again.
async fn step(shared: &Shared, commands: &mut VecDeque<Waiting>) {
    let batch = match judged(shared, commands) {
        Ok(batch) => batch,
        Err(error) => return fail(commands.drain(..), &error),
    };
    if batch.records.is_empty() && !batch.refused.is_empty() {
        return refuse(shared, batch, commands).await;
    }
    if batch.records.is_empty() {
        return tell_known(batch.known);
    }
    record(shared, batch, commands).await;
}

fn judged(shared: &Shared, commands: &mut VecDeque<Waiting>) -> Result<Batch, Error> {
    shared.look(|state| Batch::of(commands, shared, state))
}

/// Answers those that the state refuses, if it is the newest; else lets them be judged again.
async fn refuse(shared: &Shared, mut batch: Batch, commands: &mut VecDeque<Waiting>) {
    tell_known(std::mem::take(&mut batch.known));
    let after = batch.after;
    let newest = match shared.refresh().await {
        Ok(()) => shared.look(State::sequence),
        Err(error) => Err(error),
    };
    match newest {
        Ok(newest) if newest == after => {
            for (waiting, error) in batch.refused {
                waiting.tell(Err(error));
            }
        }
        Ok(_) => {
            batch.note_overtaken();
            batch.dissolve(commands);
            give_up_overtaken(shared, commands);
        }
        Err(error) => fail(
            batch.refused.into_iter().map(|(waiting, _)| waiting),
            &error,
        ),
    }
}

async fn record(shared: &Shared, mut batch: Batch, commands: &mut VecDeque<Waiting>) {
    tell_known(std::mem::take(&mut batch.known));
    let start = Instant::now();
    match shared.publish(batch.after, &batch.records).await {
        Fate::Recorded => {
            let took = start.elapsed();
            settle(shared, batch).await;
            shared.rivals.give_way(took, &*shared.ids).await;
        }
        Fate::Overtaken => overtaken(shared, batch, commands).await,
        // One of them is to blame, and the others go without it.
        Fate::Refused(_) if batch.accepted.len() > 1 => {
            batch.split();
            batch.dissolve(commands);
        }
        Fate::Refused(error) => {
            fail(batch.accepted.drain(..).map(|(waiting, _)| waiting), &error);
            // That the state was the newest is not shown.
            batch.dissolve(commands);
        }
        Fate::NotWritten(error) => {
            batch.dissolve(commands);
            fail(commands.drain(..), &error);
        }
        Fate::Unknown(cause) => {
            for (waiting, _) in batch.accepted {
                waiting.tell(Err(unknown(&cause)));
            }
            let error = Error::new(ErrorKind::Unavailable, "NATS did not answer; retry later")
                .with("cause", cause);
            fail(
                batch.refused.into_iter().map(|(waiting, _)| waiting),
                &error,
            );
        }
    }
}

/// Lets the commands be judged again, after what came first, and asks the other processes to give way.
async fn overtaken(shared: &Shared, mut batch: Batch, commands: &mut VecDeque<Waiting>) {
    batch.note_overtaken();
    batch.dissolve(commands);
    let times = commands.iter().map(|waiting| waiting.overtaken).max();
    if times.unwrap_or_default() > 1 {
        let bell = shared.subjects.bell();
        shared.wire.ring(bell, shared.rivals.plea()).await;
    }
    match shared.refresh().await {
        Ok(()) => give_up_overtaken(shared, commands),
        Err(error) => fail(commands.drain(..), &error),
    }
}

/// Refuses what was overtaken too often. Nothing of it was written: each time something else stood in its place.
fn give_up_overtaken(shared: &Shared, commands: &mut VecDeque<Waiting>) {
    let overtaken_max = shared.settings.overtaken_max;
    let (tired, rest) = commands
        .drain(..)
        .partition::<Vec<_>, _>(|waiting| waiting.overtaken >= overtaken_max);
    commands.extend(rest);
    let message = "other processes came first too often; retry later";
    let error = Error::new(ErrorKind::Unavailable, message).with("overtaken_max", overtaken_max);
    fail(tired.into_iter(), &error);
}

/// Takes the batch in and answers it: that it was recorded shows that the state was the newest.
async fn settle(shared: &Shared, batch: Batch) {
    let records: Vec<(u64, Record)> = (batch.after + 1..).zip(batch.records).collect();
    if let Some((last, _)) = records.last() {
        shared.appended.fetch_max(*last, Ordering::Relaxed);
    }
    let taken = shared.take(records);
    let kept: Vec<(Waiting, Result<Answered, Error>)> = match taken {
        Ok(()) => batch
            .accepted
            .into_iter()
            .map(|(waiting, promise)| {
                let kept = shared.look(|state| promise.kept(state));
                (waiting, kept.and_then(|kept| kept))
            })
            .collect(),
        Err(error) => batch
            .accepted
            .into_iter()
            .map(|(waiting, _)| (waiting, Err(unknown(&error))))
            .collect(),
    };
    for (waiting, answer) in kept {
        waiting.tell(answer);
    }
    for (waiting, error) in batch.refused {
        waiting.tell(Err(error));
    }
    let sequence = shared.look(State::sequence).unwrap_or_default();
    let bell = shared.subjects.bell();
    shared.wire.ring(bell, sequence.to_string()).await;
}

fn tell_known(known: Vec<(Waiting, annals_core::Receipt)>) {
    for (waiting, receipt) in known {
        waiting.tell(Ok(Answered::Known(Box::new(receipt))));
    }
}

/// Tells all of them the same. Nothing of them was written.
fn fail(waiting: impl Iterator<Item = Waiting>, error: &Error) {
    for waiting in waiting {
        let said = Error::new(error.kind(), "the append was not written; see the cause")
            .with("cause", error);
        waiting.tell(Err(said));
    }
}
