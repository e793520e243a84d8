//! The task that appends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

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

/// Answers those that a state refuses which is newer than they are; what it does not refuse is to be recorded.
async fn refuse(shared: &Shared, batch: Batch, commands: &mut VecDeque<Waiting>) {
    tell_known(batch.known);
    let refused = batch.refused.into_iter().map(|(waiting, _)| waiting);
    match shared.refresh().await {
        Ok(()) => put_first(unanswered(shared, refused), commands),
        Err(error) => fail(refused, &error),
    }
}

/// Answers those commands that the state knows or refuses, which has to be newer than they are, and gives the others.
fn unanswered(shared: &Shared, commands: impl Iterator<Item = Waiting>) -> Vec<Waiting> {
    let mut rest = Vec::new();
    for waiting in commands {
        let answer = shared.look(|state| {
            let now = state.not_before_newest(shared.clock.now());
            waiting.answer_of(state, now)
        });
        match answer {
            Ok(Some(answer)) => waiting.tell(answer),
            Ok(None) => rest.push(waiting),
            Err(error) => fail(std::iter::once(waiting), &error),
        }
    }
    rest
}

fn put_first(waiting: Vec<Waiting>, commands: &mut VecDeque<Waiting>) {
    for waiting in waiting.into_iter().rev() {
        commands.push_front(waiting);
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
        Fate::Overtaken => overtaken(shared, batch, start.elapsed(), commands).await,
        // Together they are too many, or one of them is too large, and the others go without it.
        Fate::Refused(refusal) if refusal.is_of_size() && batch.accepted.len() > 1 => {
            shared.note_too_large(&refusal, batch.records.len());
            batch.split();
            batch.dissolve(commands);
        }
        Fate::Refused(refusal) => {
            let error = refusal.to_error();
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

/// Lets the commands be judged again, after what came first and is known by now, and asks the other processes to give way.
async fn overtaken(
    shared: &Shared,
    mut batch: Batch,
    took: Duration,
    commands: &mut VecDeque<Waiting>,
) {
    batch.note_overtaken();
    let refused = std::mem::take(&mut batch.refused).into_iter();
    let refused = unanswered(shared, refused.map(|(waiting, _)| waiting));
    put_first(refused, commands);
    batch.dissolve(commands);
    give_up_overtaken(shared, commands);
    let times = commands.iter().map(|waiting| waiting.overtaken).max();
    let times = times.unwrap_or_default();
    if times > 1 {
        let plea = shared.rivals.plea(took, times);
        shared.wire.ring(shared.subjects.bell(), plea).await;
    }
}

/// Refuses what was overtaken too often, unless what came first is the same append. Nothing of it was written: each
/// time something else stood in its place.
fn give_up_overtaken(shared: &Shared, commands: &mut VecDeque<Waiting>) {
    let overtaken_max = shared.settings.overtaken_max;
    let (tired, rest) = commands
        .drain(..)
        .partition::<Vec<_>, _>(|waiting| waiting.overtaken >= overtaken_max);
    commands.extend(rest);
    let message = "other processes came first too often; retry later";
    let error = Error::new(ErrorKind::Unavailable, message).with("overtaken_max", overtaken_max);
    fail(unanswered(shared, tired.into_iter()).into_iter(), &error);
}

/// Takes the batch in and answers it: that it was recorded shows that the state was the newest.
async fn settle(shared: &Shared, batch: Batch) {
    let records: Vec<(u64, Record)> = (batch.after + 1..).zip(batch.records).collect();
    shared.mark.appended();
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
