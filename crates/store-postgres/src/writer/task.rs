//! Gathers, sends, answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use annals_core::{
    Answer, Cursor, Error, ErrorKind, Position, Receipt, StreamId, StreamReceipt, Timestamp,
    Version,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_postgres::Row;

use super::batch::Batch;
use super::session::{Backend, Session, reopen};
use super::{Answers, BoxedReceipt, Parameters, Waiting};
use crate::command::Command;
use crate::error::{is_certain, is_passing, of_statement, unknown};
use crate::store::Shared;

/// How often a call is sent whose connection is lost each time.
const ATTEMPTS_MAX: usize = 5;

/// What the server made of a command.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It was recorded.
    Recorded(BoxedReceipt),
    /// It was recorded before, with this content.
    Duplicate,
    /// Its id stands for another content.
    Reused,
    /// A check or a condition failed; which ones is for the caller to find out.
    Refused,
}

/// The writer's own state.
#[derive(Debug)]
struct Task {
    shared: Arc<Shared>,
    session: Option<Session>,
    /// The process of the server to which a call was sent that may be running still.
    lost: Option<Backend>,
}

/// Why a batch has no answers.
enum Failure {
    /// Nothing was recorded, and nothing will be.
    Refused(tokio_postgres::Error),
    /// The server was not reached; nothing was sent.
    Unreachable,
    /// It was sent, and its fate could not be found out.
    Unknown,
}

/// Answers commands until nobody is left who could send one.
pub(super) async fn run(shared: Arc<Shared>, mut receiver: UnboundedReceiver<Waiting>) {
    let mut waiting = VecDeque::new();
    let mut task = Task {
        shared,
        session: None,
        lost: None,
    };
    while gather(&mut receiver, &mut waiting).await {
        let batch = task.compose(&mut waiting);
        let commands: Vec<Arc<Command>> =
            batch.iter().map(|one| Arc::clone(&one.command)).collect();
        let commands: Vec<&Command> = commands.iter().map(AsRef::as_ref).collect();
        let answers = task.answers(&commands).await;
        let unreachable = matches!(answers.first(), Some(Err(error)) if error.kind() == ErrorKind::Unavailable)
            && task.session.is_none();
        for (one, answer) in batch.into_iter().zip(answers) {
            // Who asked may be gone.
            drop(one.answer.send(answer));
        }
        if unreachable {
            // They have waited long enough.
            for one in waiting.drain(..) {
                drop(one.answer.send(Err(out_of_reach())));
            }
        }
    }
}

/// Takes what waits, and waits for it where there is nothing; `false` when there never will be.
async fn gather(
    receiver: &mut UnboundedReceiver<Waiting>,
    waiting: &mut VecDeque<Waiting>,
) -> bool {
    if waiting.is_empty() {
        match receiver.recv().await {
            Some(first) => waiting.push_back(first),
            None => return false,
        }
    }
    while let Ok(next) = receiver.try_recv() {
        waiting.push_back(next);
    }
    true
}

impl Task {
    /// Takes from what waits what can be judged together, in order.
    fn compose(&self, waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
        let settings = &self.shared.settings;
        let mut batch = Batch::default();
        let mut taken: Vec<Waiting> = Vec::new();
        let mut left = VecDeque::new();
        while let Some(next) = waiting.pop_front() {
            if !batch.has_room(
                next.command.bytes,
                settings.batch_appends_max,
                settings.batch_bytes_max,
            ) {
                waiting.push_front(next);
                break;
            }
            if batch.takes(&next.command, &taken.iter().map(|one| &*one.command)) {
                batch.add(&next.command);
                taken.push(next);
            } else {
                left.push_back(next);
            }
        }
        left.append(waiting);
        *waiting = left;
        taken
    }

    /// Sends the commands together; one by one where the server refuses the call as a whole, so that none suffers for
    /// another.
    async fn answers(&mut self, commands: &[&Command]) -> Answers {
        match self.send(commands).await {
            Ok(row) => self.judged(commands, &row),
            Err(Failure::Refused(error)) if commands.len() > 1 => {
                tracing::debug!(%error, "a group commit was refused; its commands are sent one by one");
                let mut answers = Vec::with_capacity(commands.len());
                for command in commands {
                    let alone = [*command];
                    let answer = match self.send(&alone).await {
                        Ok(row) => self.judged(&alone, &row).pop(),
                        Err(failure) => Some(Err(failure.into())),
                    };
                    answers.extend(answer);
                }
                answers
            }
            Err(failure) => {
                let failure = Error::from(failure);
                let again = || match failure.kind() {
                    ErrorKind::Unknown => unknown("its fate was not found out in time"),
                    _ => out_of_reach(),
                };
                let others = commands
                    .iter()
                    .skip(1)
                    .map(|_| Err(again()))
                    .collect::<Vec<_>>();
                std::iter::once(Err(failure)).chain(others).collect()
            }
        }
    }

    fn judged(&self, commands: &[&Command], row: &Row) -> Answers {
        let (head, verdicts) = match judged(commands, row) {
            Ok(judged) => judged,
            Err(error) => return commands.iter().map(|_| Err(unknown(&error))).collect(),
        };
        if verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Recorded(_)))
        {
            self.shared.bell.ring(head);
        }
        verdicts.into_iter().map(Ok).collect()
    }

    /// Sends a call, and sends it again after a lost connection: append ids make that safe, once the process that had
    /// it before is gone.
    async fn send(&mut self, commands: &[&Command]) -> Result<Row, Failure> {
        let shared = Arc::clone(&self.shared);
        let parameters = Parameters::new(commands, shared.at_time(), shared.bell.within_the_call());
        let mut fate = Failure::Unreachable;
        for _ in 0..ATTEMPTS_MAX {
            let Some(session) = self.session().await else {
                return Err(fate);
            };
            match session.append(&parameters).await {
                Ok(row) => {
                    self.session = Some(session);
                    return Ok(row);
                }
                Err(error) if is_passing(&error) => self.session = Some(session),
                Err(error) if is_certain(&error) => {
                    self.session = Some(session);
                    return Err(Failure::Refused(error));
                }
                Err(error) => {
                    tracing::debug!(%error, "the connection that appends was lost");
                    self.lost = Some(session.backend().clone());
                    fate = Failure::Unknown;
                }
            }
        }
        Err(fate)
    }

    /// The session, or a new one that has seen to it that nothing of a lost one is running any more; `None` where
    /// that takes too long.
    async fn session(&mut self) -> Option<Session> {
        if let Some(session) = self.session.take() {
            return Some(session);
        }
        let opening = async {
            loop {
                let session = reopen(&self.shared).await;
                match &self.lost {
                    Some(lost) if session.bury(lost).await.is_err() => {}
                    _ => return session,
                }
            }
        };
        let opened = timeout(self.shared.settings.reconnect_timeout, opening)
            .await
            .ok()?;
        self.lost = None;
        Some(opened)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => of_statement(error),
            Failure::Unreachable => out_of_reach(),
            Failure::Unknown => unknown("its fate was not found out in time"),
        }
    }
}

fn out_of_reach() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the database can't be reached; retry later",
    )
}

/// What the answer to a call says: the log's new head, and of each command what became of it.
pub(crate) fn judged(
    commands: &[&Command],
    row: &Row,
) -> Result<(Position, Vec<Verdict>), tokio_postgres::Error> {
    let head: i64 = row.try_get(0)?;
    let appended_at = Timestamp::from_micros(row.try_get(1)?);
    let answers: Vec<i32> = row.try_get(2)?;
    let versions: Vec<i64> = row.try_get(3)?;
    let mut head = Position::new(u64::try_from(head).unwrap_or_default());
    let mut versions = versions
        .into_iter()
        .map(|version| Version::new(u64::try_from(version).unwrap_or_default()));
    let mut grown: HashMap<&StreamId, u64> = HashMap::new();
    let mut verdicts = Vec::with_capacity(commands.len());
    for (command, answer) in commands.iter().zip(answers) {
        let append = &command.append;
        let mut before = versions
            .by_ref()
            .take(append.writes().len() + append.checks().len());
        let written: Vec<Version> = before.by_ref().take(append.writes().len()).collect();
        before.for_each(drop);
        verdicts.push(match answer {
            0 => {
                let first_position = head.next();
                head = head.forward(u64::try_from(append.event_count()).unwrap_or_default());
                let streams = append.writes().iter().zip(written).map(|(write, version)| {
                    let count = u64::try_from(write.events.len()).unwrap_or_default();
                    let grown = grown.entry(&write.stream).or_default();
                    let before = version.forward(*grown);
                    *grown += count;
                    StreamReceipt {
                        stream: write.stream.clone(),
                        first_version: before.next(),
                        last_version: before.forward(count),
                    }
                });
                Verdict::Recorded(Box::new(Receipt {
                    append_id: append.id(),
                    first_position,
                    last_position: head,
                    streams: streams.collect(),
                    cursor: Cursor::at(head),
                    appended_at,
                    answer: Answer::First,
                }))
            }
            1 => Verdict::Duplicate,
            2 => Verdict::Reused,
            _ => Verdict::Refused,
        });
    }
    Ok((head, verdicts))
}
