//! What was decided, appended at a newer version where the events that came between allow it.

use std::sync::Arc;

use annals_concurrency::{ConflictResolver, Resolution};
use annals_core::{
    Aggregate, Error, Expected, FailedCheck, Page, ReadRequest, Receipt, StreamState, Version,
};

use crate::attempts::Attempts;
use crate::{CommandError, Context, Loaded, Repository};

/// Who resolves conflicts, and how a state is copied before it takes events.
pub(crate) struct Rebase<A: Aggregate> {
    pub(crate) resolver: Arc<dyn ConflictResolver<A::Event>>,
    pub(crate) copy: fn(&A) -> A,
}

/// How a conflict ends.
enum Resolved<A: Aggregate> {
    /// The same events on the newer state, and a copy of that state without them.
    Rebased(Box<(Loaded<A>, A)>),
    Decide,
    Reject,
}

impl<A: Aggregate> Repository<A> {
    /// A copy of a state, where a conflict may need it.
    pub(crate) fn copy_for_rebase(&self, loaded: &Loaded<A>) -> Option<A> {
        let rebase = self.rebase.as_ref()?;
        Some((rebase.copy)(loaded.state()))
    }

    /// Appends the uncommitted events under one id, at newer versions as long as conflicts resolve so; `None`
    /// when the command is to be decided again. `before` is the state without these events.
    pub(crate) async fn append_decided<E>(
        &self,
        mut loaded: Loaded<A>,
        mut before: Option<A>,
        context: &Context,
        attempts: &mut Attempts,
    ) -> Result<Option<(Loaded<A>, Receipt)>, CommandError<E>> {
        let (begun, stamp) = self.writer.begin(context);
        loop {
            let append = loaded.add_to(begun.clone(), &stamp)?.build()?;
            let error = match attempts.send(&self.writer, &append).await {
                Ok(receipt) => return Ok(Some((loaded, receipt))),
                Err(error) => attempts.next(append, error, context).await?,
            };
            let resolved = match before.take() {
                Some(before) => self.resolve(loaded, before, &error).await?,
                None => Resolved::Decide,
            };
            match resolved {
                Resolved::Rebased(rebased) => {
                    let (rebased, state) = *rebased;
                    attempts.rebases = attempts.rebases.saturating_add(1);
                    loaded = rebased;
                    before = Some(state);
                }
                Resolved::Decide => return Ok(None),
                Resolved::Reject => return Err(CommandError::Conflicting(error)),
            }
        }
    }

    /// Asks the resolver about the events that came between, where the conflict is about nothing else.
    async fn resolve(
        &self,
        loaded: Loaded<A>,
        before: A,
        error: &Error,
    ) -> Result<Resolved<A>, Error> {
        let Some(rebase) = self.rebase.as_ref().filter(|_| is_outrun(&loaded, error)) else {
            return Ok(Resolved::Decide);
        };
        let request = ReadRequest::stream(loaded.stream().clone()).after_version(loaded.version());
        let request = request.events_max(self.page_events_max);
        let page = self.store().read(request).await?;
        if !goes_on(&loaded, &page) {
            return Ok(Resolved::Decide);
        }
        let skipped = loaded.skipped().count();
        let (mut rebased, new) = loaded.set_back(before);
        let mut between = Vec::with_capacity(page.events.len());
        rebased.fold(&page, Version::MAX, |_, event| between.push(event))?;
        // What the code does not know may be anything.
        if rebased.skipped().count() != skipped {
            return Ok(Resolved::Decide);
        }
        match rebase.resolver.resolve(&between, &new) {
            Resolution::Rebase => {
                let state = (rebase.copy)(rebased.state());
                // An aggregate that refuses what was to commute is asked for a decision.
                Ok(match rebased.take(new) {
                    Ok(()) => Resolved::Rebased(Box::new((rebased, state))),
                    Err(_) => Resolved::Decide,
                })
            }
            Resolution::Reject => Ok(Resolved::Reject),
            _ => Ok(Resolved::Decide),
        }
    }
}

/// Whether the conflict says no more than that the stream has newer events.
fn is_outrun<A: Aggregate>(loaded: &Loaded<A>, error: &Error) -> bool {
    let failures = error
        .conflict()
        .map_or(&[][..], |conflict| conflict.failures());
    let [
        FailedCheck::Stream {
            stream,
            expected: Expected::Exactly(expected),
            actual,
            state: StreamState::Open,
            ..
        },
    ] = failures
    else {
        return false;
    };
    stream == loaded.stream() && *expected == loaded.version() && actual > expected
}

/// Whether a page holds every event after the loaded version, and nothing was hidden since.
fn goes_on<A: Aggregate>(loaded: &Loaded<A>, page: &Page) -> bool {
    let Some(head) = &page.stream else {
        return false;
    };
    let count = u64::try_from(page.events.len()).unwrap_or(u64::MAX);
    count > 0
        && page.next.is_none()
        && head.version.since(loaded.version()) == count
        && loaded.has_policy(&head.policy)
}
