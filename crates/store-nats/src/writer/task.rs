//! The task that appends.

use std::collections::VecDeque;
use std::sync::Arc;

use annals_core::{Error, ErrorKind};
use tokio::sync::mpsc;

use super::batch::Batch;
use super::publish::Fate;
use super::{Answered, Waiting};
use crate::error::unknown;
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
        while commands.len() <= shared.settings.batch_events_max
            && let Ok(waiting) = receiver.try_recv()
        {
            commands.push_back(waiting);
        }
        step(&shared, &mut commands).await;
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
        Ok(_) => batch.dissolve(commands),
        Err(error) => fail(
            batch.refused.into_iter().map(|(waiting, _)| waiting),
            &error,
        ),
    }
}

async fn record(shared: &Shared, mut batch: Batch, commands: &mut VecDeque<Waiting>) {
    tell_known(std::mem::take(&mut batch.known));
    match shared.publish(batch.after, &batch.records).await {
        Fate::Recorded => settle(shared, batch).await,
        Fate::Overtaken => match shared.refresh().await {
            Ok(()) => batch.dissolve(commands),
            Err(error) => {
                batch.dissolve(commands);
                fail(commands.drain(..), &error);
            }
        },
        Fate::Refused(error) | Fate::NotWritten(error) => {
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

/// Takes the batch in and answers it: that it was recorded shows that the state was the newest.
async fn settle(shared: &Shared, batch: Batch) {
    let records = (batch.after + 1..).zip(batch.records).collect();
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
