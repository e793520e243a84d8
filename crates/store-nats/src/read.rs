//! Pages of events.

use std::sync::Arc;

use annals_core::{
    ConsistencyLevel, Cursor, Direction, Error, ErrorKind, Page, Position, ReadRequest, Selection,
};

use crate::select::{Outline, outline};
use crate::shared::Shared;
use crate::state::State;

impl Shared {
    /// One page of the answer to a request that was validated.
    pub(crate) async fn page(self: Arc<Self>, request: ReadRequest) -> Result<Page, Error> {
        self.freshen(&request.consistency, &request.after).await?;
        let now = self.clock.now();
        let Outline {
            mut positions,
            has_rest,
            until,
            stream,
        } = self.look(|state| outline(state, &request, now))??;
        let is_backward = request.direction == Direction::Backward;
        if is_backward {
            positions.reverse();
        }
        let subject = self.subject_of(&request, &positions);
        let mut events = self.events(&positions, subject.as_deref()).await?;
        if events.len() != positions.len() {
            let message = "store lost a part of its index; open a new one";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        if is_backward {
            events.reverse();
        }
        Ok(request.page(events, has_rest, until, stream))
    }

    /// Sees that the index is as new as is asked for, and reaches a cursor if the log does.
    pub(crate) async fn freshen(
        &self,
        consistency: &ConsistencyLevel,
        cursor: &Cursor,
    ) -> Result<(), Error> {
        let head = Cursor::at(self.look(State::head)?);
        let is_fresh = match consistency {
            ConsistencyLevel::Strong => false,
            ConsistencyLevel::Session(session) => head.covers(session),
            ConsistencyLevel::Eventual => true,
        };
        if is_fresh && head.covers(cursor) {
            return Ok(());
        }
        self.refresh().await
    }

    /// A subject that selects the events at these positions and not many between.
    fn subject_of(&self, request: &ReadRequest, positions: &[Position]) -> Option<String> {
        match &request.selection {
            Selection::All => Some(self.subjects.all_events()),
            Selection::Stream(stream) => Some(self.subjects.events(stream)),
            Selection::Category(category) => Some(self.subjects.category(category.as_str())),
            _ => {
                let (first, last) = (positions.first()?, positions.last()?);
                let count = u64::try_from(positions.len()).unwrap_or(u64::MAX);
                let is_dense = last.since(*first) < count.saturating_mul(2);
                is_dense.then(|| self.subjects.all_events())
            }
        }
    }
}
