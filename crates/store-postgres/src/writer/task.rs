//! Gathers, sends, answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use annals_core::{
    Answer, Cursor, Error, ErrorKind, Position, Receipt, StreamId, StreamReceipt, Timestamp,
    Version,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_postgres::Row;

use super::batch::Batch;
use super::session::{Backend, Session, Trouble, reopen};
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
    /// Why there was no session the last time that one was opened.
    trouble: Option<Trouble>,
}

/// Whether an earlier call with the same commands may have recorded them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// None did.
    None,
    /// One was lost, and nothing says what it did.
    Sent,
}

/// Why a batch has no answers.
enum Failure {
    /// The server refused the call. In doubt, this says nothing of an earlier one that was lost.
    Refused(tokio_postgres::Error, Doubt),
    /// The server was not reached; nothing was sent.
    Unreachable(Option<Trouble>),
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
        trouble: None,
    };
    while gather(&mut receiver, &mut waiting).await {
        let batch = task.compose(&mut waiting);
        let commands: Vec<Arc<Command>> =
            batch.iter().map(|one| Arc::clone(&one.command)).collect();
        let commands: Vec<&Command> = commands.iter().map(AsRef::as_ref).collect();
        let answers = task.answers(&commands).await;
        let unreachable = matches!(answers.last(), Some(Err(error)) if error.kind() == ErrorKind::Unavailable)
            && task.session.is_none();
        let is_shared = batch.len() > 1;
        for (one, answer) in batch.into_iter().zip(answers) {
            // Who asked may be gone.
            drop(one.answer.send(answer));
        }
        if unreachable {
            // They have waited long enough.
            for one in waiting.drain(..) {
                drop(one.answer.send(Err(out_of_reach(task.trouble.as_ref()))));
            }
        }
        if is_shared {
            // Those that were answered may append again at once: with the others that wait, rather than after them, so
            // that all share a commit and not each half its own.
            yield_now().await;
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
        match self.send(commands, Doubt::None).await {
            Ok(row) => self.judged(commands, &row),
            Err(Failure::Refused(error, doubt)) if commands.len() > 1 => {
                tracing::debug!(%error, "a group commit was refused; its commands are sent one by one");
                self.answers_one_by_one(commands, doubt).await
            }
            Err(failure) => failure.of_each(commands.len()),
        }
    }

    /// Sends each command alone, as long as the server is there.
    async fn answers_one_by_one(&mut self, commands: &[&Command], doubt: Doubt) -> Answers {
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let alone = [*command];
            match self.send(&alone, doubt).await {
                Ok(row) => answers.extend(self.judged(&alone, &row)),
                Err(failure) => answers.extend(failure.of_each(1)),
            }
            if self.session.is_none() {
                break;
            }
        }
        // Those that are left were refused together with the others, and not sent since.
        let unsent = match doubt {
            Doubt::None => Failure::Unreachable(self.trouble.clone()),
            Doubt::Sent => Failure::Unknown,
        };
        answers.extend(unsent.of_each(commands.len() - answers.len()));
        answers
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
    /// it before is gone. From then on only an answer to the call itself tells what became of the commands: an error
    /// does not.
    async fn send(&mut self, commands: &[&Command], mut doubt: Doubt) -> Result<Row, Failure> {
        let shared = Arc::clone(&self.shared);
        let parameters = Parameters::new(commands, shared.at_time(), shared.bell.within_the_call());
        for _ in 0..ATTEMPTS_MAX {
            let Some(session) = self.session().await else {
                break;
            };
            match session.append(&parameters).await {
                Ok(row) => {
                    self.session = Some(session);
                    return Ok(row);
                }
                Err(error) if is_passing(&error) => self.session = Some(session),
                Err(error) if is_certain(&error) => {
                    self.session = Some(session);
                    return Err(Failure::Refused(error, doubt));
                }
                Err(error) => {
                    tracing::debug!(%error, "the connection that appends was lost");
                    self.lost = Some(session.backend().clone());
                    doubt = Doubt::Sent;
                }
            }
        }
        Err(match doubt {
            Doubt::None => Failure::Unreachable(self.trouble.clone()),
            Doubt::Sent => Failure::Unknown,
        })
    }

    /// The session, or a new one that has seen to it that nothing of a lost one is running any more; `None` where
    /// that takes too long.
    async fn session(&mut self) -> Option<Session> {
        if let Some(session) = self.session.take() {
            return Some(session);
        }
        let (shared, lost, trouble) = (&self.shared, &self.lost, &mut self.trouble);
        let opening = async {
            loop {
                let session = reopen(shared, trouble).await;
                match lost {
                    Some(lost) if session.bury(lost).await.is_err() => {}
                    _ => return session,
                }
            }
        };
        let opened = timeout(shared.settings.reconnect_timeout, opening)
            .await
            .ok()?;
        self.lost = None;
        self.trouble = None;
        Some(opened)
    }
}

impl Failure {
    /// The answers to a call of this many commands, of which a refused one has but one.
    fn of_each(self, commands: usize) -> Answers {
        let every = 0..commands;
        match self {
            Self::Refused(error, Doubt::None) => vec![Err(of_statement(error))],
            Self::Refused(error, Doubt::Sent) => vec![Err(unknown(error))],
            Self::Unreachable(trouble) => {
                every.map(|_| Err(out_of_reach(trouble.as_ref()))).collect()
            }
            Self::Unknown => every
                .map(|_| Err(unknown("its fate was not found out in time")))
                .collect(),
        }
    }
}

fn out_of_reach(trouble: Option<&Trouble>) -> Error {
    let message = "the database can't be reached; retry later";
    let error = Error::new(ErrorKind::Unavailable, message);
    match trouble {
        Some(trouble) => error.with("cause", trouble).caused_by(Arc::clone(trouble)),
        None => error,
    }
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
