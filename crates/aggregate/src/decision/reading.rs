//! What a decision has read, and the condition that follows from it.

use annals_core::{
    AppendBuilder, Criteria, CriteriaItem, Cursor, Error, EventStore, Page, ReadRequest, StreamId,
};

use super::Decision;
use super::arriving::Arriving;
use crate::Skipped;
use crate::skipped::Gaps;

/// A decision on its way through the log.
///
/// The criteria that were read and the place up to which they were stand together and are private: a page
/// moves both the state and the cursor, nothing else moves either, and the condition is made of them alone.
pub(super) struct Reading<D> {
    decision: D,
    skipped: Skipped,
    /// The criteria of each model, in order.
    members: Vec<Criteria>,
    /// Their union; none for a decision that reads nothing.
    union: Option<Criteria>,
    /// The cursor of the last page that was folded.
    cursor: Cursor,
}

impl<D> Reading<D> {
    /// Nothing read yet.
    pub(super) fn new<C>(decision: D) -> Result<Self, Error>
    where
        D: Decision<C>,
    {
        let mut members = Vec::new();
        decision.add_criteria(&mut members)?;
        Ok(Self {
            decision,
            skipped: Skipped::default(),
            union: union(&members)?,
            members,
            cursor: Cursor::START,
        })
    }

    /// Reads on from where it stands to the end of the store, as it is by then. After an error the whole
    /// is of no use any more.
    pub(super) async fn read_on<C>(
        &mut self,
        store: &dyn EventStore,
        codec: &C,
        page_events_max: usize,
    ) -> Result<(), Error>
    where
        C: Send + Sync,
        D: Decision<C>,
    {
        let Some(criteria) = self.union.clone() else {
            return Ok(());
        };
        let request = ReadRequest::matching(criteria).after(self.cursor.clone());
        let mut next = Some(request.events_max(page_events_max));
        while let Some(request) = next {
            let mut page = store.read(request).await?;
            next = page.next.take();
            self.fold(page, codec)?;
        }
        Ok(())
    }

    fn fold<C>(&mut self, page: Page, codec: &C) -> Result<(), Error>
    where
        D: Decision<C>,
    {
        for recorded in &page.events {
            let mut event = Arriving::new(recorded, codec, &self.members, &mut self.skipped);
            self.decision.offer(&mut event)?;
        }
        self.cursor = page.cursor;
        Ok(())
    }

    /// Requires that nothing which the decision would have read was recorded since.
    pub(super) fn guard(&self, append: AppendBuilder) -> AppendBuilder {
        match &self.union {
            Some(criteria) => append.unless(criteria.clone(), self.cursor.clone()),
            None => append,
        }
    }

    /// Whether its appends carry a condition.
    pub(super) fn has_boundary(&self) -> bool {
        self.union.is_some()
    }

    pub(super) fn decision(&self) -> &D {
        &self.decision
    }

    /// Refuses a state that leaves out events, where decisions may not rest on one.
    pub(super) fn check_whole(&self, gaps: Gaps, stream: &StreamId) -> Result<(), Error> {
        self.skipped.check(gaps, stream)
    }

    pub(super) fn into_parts(self) -> (D, Skipped, Cursor) {
        (self.decision, self.skipped, self.cursor)
    }
}

/// Everything that any of them selects; `None` for no criteria.
fn union(members: &[Criteria]) -> Result<Option<Criteria>, Error> {
    let mut items: Vec<CriteriaItem> = Vec::new();
    for item in members.iter().flat_map(Criteria::items) {
        if !items.contains(item) {
            items.push(item.clone());
        }
    }
    if items.is_empty() {
        return Ok(None);
    }
    Criteria::any_of(items).map(Some)
}
