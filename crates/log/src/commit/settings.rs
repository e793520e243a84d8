//! The bounds of a group, who leads it, and how full it is.

/// The bounds of a [`GroupCommit`](super::GroupCommit) and who leads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct GroupSettings {
    /// How many bytes of requests may wait, by their weight: 64 MiB by default. A request heavier than
    /// that is admitted when nothing else waits.
    pub queue_bytes_max: usize,
    /// How many requests may wait: 65,536 by default.
    pub queue_requests_max: usize,
    /// How many bytes of requests a batch takes, by their weight: 4 MiB by default. A request heavier
    /// than that is a batch of its own.
    pub batch_bytes_max: usize,
    /// Who commits: the callers by default.
    pub leader: Leader,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            queue_bytes_max: 64 << 20,
            queue_requests_max: 65_536,
            batch_bytes_max: 4 << 20,
            leader: Leader::Caller,
        }
    }
}

/// Who calls [`Commit::commit`](super::Commit::commit).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Leader {
    /// The caller that finds the committer free, on its own thread, within the poll of its future. The
    /// fastest, and right for plain threads and runtimes with several workers: the thread is blocked
    /// for as long as a commit takes.
    #[default]
    Caller,
    /// A thread of the group's own. Every request pays for two thread hops, and no caller's thread is
    /// ever blocked: right for a runtime on one thread that has timers or connections to serve.
    Thread,
}

/// How full a [`GroupCommit`](super::GroupCommit) is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Backlog {
    /// Requests that wait. Those being committed count no more.
    pub requests: usize,
    /// The bytes of the requests that wait, by their weight.
    pub bytes: usize,
    /// Requests that wait or are being committed or whose answer has not been fetched.
    pub unanswered: usize,
}
