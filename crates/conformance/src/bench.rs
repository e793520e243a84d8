//! What a case works with: a fresh store and the steps that most cases take.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use annals_core::{
    Append, AppendBuilder, AppendId, Capabilities, ConsistencyLevel, Cursor, Error, ErrorKind,
    EventOrdering, EventStore, Expected, FailedCheck, ManualClock, Outcome, PolicyAction,
    PolicyChange, Position, ReadRequest, Receipt, RecordedEvent, Selection, StreamHead, Version,
};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::backend::{Backend, Stores};
use crate::failure::{Failure, Verdict, check_eq};
use crate::names::{append_id, event, labels, stream};
use crate::pages;

/// A fresh store under test; clones share it.
#[derive(Clone)]
pub(crate) struct Bench(Arc<Shared>);

/// An event that was appended by itself.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) position: Position,
    /// Where a reader stands who has seen it, and nothing later.
    pub(crate) mark: Cursor,
}

struct Shared {
    backend: Arc<dyn Backend>,
    stores: Stores,
    clock: ManualClock,
    capabilities: Capabilities,
    appends: AtomicU64,
}

impl Bench {
    pub(crate) async fn open(backend: Arc<dyn Backend>) -> Result<Self, Failure> {
        let clock = ManualClock::default();
        let stores = backend
            .open(clock.clone())
            .await
            .map_err(|error| Failure::from(error).during("opening a store"))?;
        let capabilities = stores.events().capabilities();
        Ok(Self(Arc::new(Shared {
            backend,
            stores,
            clock,
            capabilities,
            appends: AtomicU64::new(0),
        })))
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.0.stores
    }

    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        self.0.stores.events()
    }

    pub(crate) fn clock(&self) -> &ManualClock {
        &self.0.clock
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    /// An append of a fresh identity.
    pub(crate) fn fresh(&self) -> AppendBuilder {
        Append::builder(self.fresh_id())
    }

    /// An append id that no other append of the case has.
    pub(crate) fn fresh_id(&self) -> AppendId {
        let number = self.0.appends.fetch_add(1, Ordering::SeqCst);
        append_id(&format!("append-{number}"))
    }

    /// Appends, and expects to be given a receipt.
    pub(crate) async fn append(&self, append: AppendBuilder) -> Result<Receipt, Failure> {
        let append = append.build()?;
        let what = format!("appending to {}", streams_of(&append));
        let receipt = self.store().append(append).await;
        receipt.map_err(|error| Failure::from(error).during(what))
    }

    /// Appends events with these labels to a stream in any state.
    pub(crate) async fn write(&self, to: &str, labels: &[&str]) -> Result<Receipt, Failure> {
        let events = labels.iter().map(|label| event(label));
        self.append(self.fresh().write(stream(to), Expected::Any, events))
            .await
    }

    /// Appends `count` events, one an append, labelled by their numbers from 1.
    pub(crate) async fn write_each(&self, to: &str, count: u64) -> Result<Vec<Step>, Failure> {
        let mut steps = Vec::new();
        for number in 1..=count {
            let receipt = self.write(to, &[&number.to_string()]).await?;
            steps.push(Step {
                position: receipt.first_position,
                mark: self.mark().await?,
            });
        }
        Ok(steps)
    }

    /// Where a reader stands who has seen all that was appended so far.
    pub(crate) async fn mark(&self) -> Result<Cursor, Failure> {
        Ok(self.store().head(ConsistencyLevel::Strong).await?)
    }

    /// Appends, and expects a rejection of this kind.
    pub(crate) async fn refused(
        &self,
        append: AppendBuilder,
        kind: ErrorKind,
    ) -> Result<Error, Failure> {
        let append = append.build()?;
        let what = format!("appending to {}", streams_of(&append));
        match self.store().append(append).await {
            Ok(receipt) => Err(Failure::new(format!(
                "{what}\n  expected: a rejection ({kind:?})\n  found:    {receipt:?}"
            ))),
            Err(error) => {
                check_eq(format!("{what}: the kind of `{error}`"), error.kind(), kind)?;
                check_eq("the fate of the append", error.outcome(), Outcome::Rejected)?;
                Ok(error)
            }
        }
    }

    /// Appends, and expects a conflict; gives every check that failed.
    pub(crate) async fn conflict(
        &self,
        append: AppendBuilder,
    ) -> Result<Vec<FailedCheck>, Failure> {
        let error = self.refused(append, ErrorKind::Conflict).await?;
        match error.conflict() {
            Some(conflict) => Ok(conflict.failures().to_vec()),
            None => Err(Failure::new(format!(
                "a conflict without its failing checks: `{error}`"
            ))),
        }
    }

    /// All events that answer the request, page by page, each page held to its rules.
    pub(crate) async fn read(&self, request: ReadRequest) -> Result<Vec<RecordedEvent>, Failure> {
        pages::read(&**self.store(), self.ordered(request)).await
    }

    /// Reads, and expects events with these labels.
    pub(crate) async fn shows(&self, request: ReadRequest, expected: &[&str]) -> Verdict {
        let found = self.read(request.clone()).await?;
        check_eq(
            format!("reading {}", pages::text_of(&request)),
            labels(&found),
            expected,
        )
    }

    /// Reads a stream, and expects events with these labels.
    pub(crate) async fn stream_shows(&self, of: &str, expected: &[&str]) -> Verdict {
        self.shows(ReadRequest::stream(stream(of)), expected).await
    }

    /// The request in the strongest order that the store offers.
    pub(crate) fn ordered(&self, request: ReadRequest) -> ReadRequest {
        let whole_log = !matches!(request.selection, Selection::Stream(_));
        if whole_log && !self.capabilities().total_order {
            return request.ordering(EventOrdering::PerStream);
        }
        request
    }

    pub(crate) async fn head_of(&self, of: &str) -> Result<StreamHead, Failure> {
        Ok(self.store().stream_head(&stream(of)).await?)
    }

    /// Expects a stream to be at this version.
    pub(crate) async fn is_at(&self, of: &str, version: u64) -> Verdict {
        let head = self.head_of(of).await?;
        check_eq(
            format!("the version of {of}"),
            head.version,
            Version::new(version),
        )
    }

    /// Changes the policy of a stream in any state.
    pub(crate) async fn change_policy(
        &self,
        of: &str,
        action: PolicyAction,
    ) -> Result<StreamHead, Failure> {
        let change = PolicyChange {
            stream: stream(of),
            expected: Expected::Any,
            action,
        };
        let what = format!("{of}: {:?}", change.action);
        let head = self.store().change_stream_policy(change).await;
        head.map_err(|error| Failure::from(error).during(what))
    }

    /// Runs clients at the same time, each on a thread of its own, and gives what each gave, in order.
    pub(crate) async fn race<T, F>(
        &self,
        clients: usize,
        client: impl Fn(usize, Bench) -> F,
    ) -> Result<Vec<T>, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let start = Arc::new(Barrier::new(clients));
        let mut handles = Vec::new();
        for number in 0..clients {
            let (remote, handle) = client(number, self.clone()).remote_handle();
            let (backend, start) = (Arc::clone(&self.0.backend), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                backend.block_on(Box::pin(remote));
            });
            handles.push(handle);
        }
        join_all(handles).await.into_iter().collect()
    }
}

fn streams_of(append: &Append) -> String {
    let names: Vec<&str> = append
        .writes()
        .iter()
        .map(|write| write.stream.as_str())
        .collect();
    names.join(" and ")
}
