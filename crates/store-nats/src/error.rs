//! Errors of NATS as errors of the contract.

use annals_core::{BoxError, Error, ErrorKind};
use async_nats::{RequestError, RequestErrorKind};

/// What the JetStream API of a server refuses with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The code of HTTP.
    pub(crate) code: u16,
    /// The code of JetStream, which tells more.
    pub(crate) number: u32,
    pub(crate) description: String,
}

/// Why a question to a server has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said no.
    Refused(Refusal),
    /// Nobody was there to answer: no server that leads the stream.
    NobodyAnswers,
    /// It was sent, or could not be, and nothing came back.
    Lost(BoxError),
}

/// What the refusal of a message means for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Other messages came first, or are on their way.
    Moved,
    /// The same message is on its way, or is there.
    Repeated,
    /// The server has too much to do, or no leader, for the moment.
    Passing,
    /// It will not be taken.
    Final,
}

impl Refusal {
    pub(crate) fn meaning(&self) -> Meaning {
        match self.number {
            // Wrong last sequence; the same, where what is on its way stands against it.
            10071 | 10164 => Meaning::Moved,
            // A message id that is on its way; a batch with one that is there.
            10158 | 10201 => Meaning::Repeated,
            // A batch that was given up, or one too many open batches; no leader; the cluster is not ready.
            10176 | 10210 | 10211 | 10008 | 10009 | 10005 | 10076 | 10077 => Meaning::Passing,
            _ if self.code == 503 || self.code == 429 => Meaning::Passing,
            _ => Meaning::Final,
        }
    }

    /// Whether less of the same might be taken.
    pub(crate) fn is_of_size(&self) -> bool {
        self.kind() == ErrorKind::Invalid
    }

    /// Whether a batch of fewer messages might be taken.
    pub(crate) fn is_of_count(&self) -> bool {
        self.number == 10199
    }

    fn kind(&self) -> ErrorKind {
        match self.number {
            // Resources, storage and the like; the stream is at a limit.
            10023 | 10028 | 10047 | 10077 => ErrorKind::NoSpace,
            // Message or batch too large.
            10054 | 10097 | 10199 => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        }
    }

    pub(crate) fn to_error(&self) -> Error {
        let message = match self.kind() {
            ErrorKind::NoSpace => "the server is out of space; give it more, then retry",
            ErrorKind::Invalid => {
                "the server takes no message or batch of this size; see its settings"
            }
            _ => "the server refused; see what it said",
        };
        Error::new(self.kind(), message)
            .with("said", &self.description)
            .with("code", self.number)
    }
}

impl Failure {
    pub(crate) fn of_request(error: RequestError) -> Self {
        match error.kind() {
            RequestErrorKind::NoResponders => Self::NobodyAnswers,
            _ => Self::Lost(error.into()),
        }
    }

    /// The error of a question that changes nothing.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused(refusal) => refusal.to_error(),
            Self::NobodyAnswers => Error::new(
                ErrorKind::Unavailable,
                "the stream of the log has no leader now; retry later",
            ),
            Self::Lost(cause) => {
                Error::new(ErrorKind::Unavailable, "NATS did not answer; see the cause")
                    .with("cause", &cause)
                    .caused_by(cause)
            }
        }
    }
}

/// The answer to a change whose fate could not be found out.
pub(crate) fn unknown(cause: impl std::fmt::Display) -> Error {
    let message = "no answer came while the change was on its way; send it again with the same id";
    Error::new(ErrorKind::Unknown, message).with("cause", cause)
}
