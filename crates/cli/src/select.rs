//! Which events a command is about, as options say it, and reading them.

use std::ops::ControlFlow;

use annals_core::{
    Category, Criteria, CriteriaItem, Cursor, EventStore, EventType, Position, ReadRequest,
    RecordedEvent, Selection, StreamId, Tag, Tags, Timestamp, Version,
};
use clap::Args;
use futures_executor::block_on;

use crate::failure::{Failure, Result};
use crate::{ago, interrupt};

/// Which events.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Select {
    /// The events of this stream.
    #[arg(
        long,
        value_name = "STREAM",
        conflicts_with = "category",
        help_heading = "Which events"
    )]
    pub(crate) stream: Option<StreamId>,
    /// The events of every stream of this category.
    #[arg(long, value_name = "CATEGORY", help_heading = "Which events")]
    pub(crate) category: Option<Category>,
    /// Events of this type; may be given several times for any of them.
    #[arg(long = "type", value_name = "TYPE", help_heading = "Which events")]
    pub(crate) types: Vec<EventType>,
    /// Events that carry this tag; may be given several times for all of them.
    #[arg(long = "tag", value_name = "TAG", help_heading = "Which events")]
    pub(crate) tags: Vec<Tag>,
    /// Events of any of these types that carry all of these tags, as `opened closed #account:42`; may be given
    /// several times for what any of them chooses.
    #[arg(long, value_name = "CRITERIA", conflicts_with_all = ["types", "tags"], help_heading = "Which events")]
    pub(crate) criteria: Vec<String>,
    /// Events after this position.
    #[arg(long, value_name = "POSITION", value_parser = position, help_heading = "Which events")]
    pub(crate) after: Option<Position>,
    /// Events up to and with this position.
    #[arg(long, value_name = "POSITION", value_parser = position, help_heading = "Which events")]
    pub(crate) until: Option<Position>,
    /// Events that were appended at this time or later: 2026-01-31T12:00:00Z, 2026-01-31, or 2h ago as 2h.
    #[arg(long, value_name = "TIME", value_parser = ago::moment, help_heading = "Which events")]
    pub(crate) since: Option<Timestamp>,
    /// Events that were appended before this time.
    #[arg(long, value_name = "TIME", value_parser = ago::moment, help_heading = "Which events")]
    pub(crate) before: Option<Timestamp>,
}

/// What a store can't choose by itself: criteria within a stream or a category.
pub(crate) struct Chosen {
    pub(crate) request: ReadRequest,
    criteria: Option<Criteria>,
}

impl Chosen {
    /// Whether an event that the request gives is chosen.
    pub(crate) fn takes(&self, event: &RecordedEvent) -> bool {
        self.criteria
            .as_ref()
            .is_none_or(|criteria| criteria.matches(event))
    }
}

impl Select {
    /// The request to a store, and what is left to choose of its answer.
    pub(crate) fn chosen(&self) -> Result<Chosen> {
        let criteria = self.criteria()?;
        let (selection, criteria) = match (&self.stream, &self.category, criteria) {
            (Some(stream), _, criteria) => (Selection::Stream(stream.clone()), criteria),
            (None, Some(category), criteria) => (Selection::Category(category.clone()), criteria),
            (None, None, Some(criteria)) => (Selection::Criteria(criteria), None),
            (None, None, None) => (Selection::All, None),
        };
        let mut request = ReadRequest::new(selection);
        if let Some(after) = self.after {
            request = request.after(Cursor::at(after));
        }
        if let Some(until) = self.until {
            request = request.until(Cursor::at(until));
        }
        request.appended_from = self.since;
        request.appended_before = self.before;
        Ok(Chosen { request, criteria })
    }

    /// Refuses the name of a stream that there is none of: it is more likely misspelt.
    pub(crate) fn check_stream(&self, store: &dyn EventStore) -> Result {
        self.stream
            .as_ref()
            .map_or(Ok(()), |stream| known(store, stream))
    }

    fn criteria(&self) -> Result<Option<Criteria>> {
        if !self.criteria.is_empty() {
            let items = self.criteria.iter().map(|text| item(text));
            let items = items.collect::<Result<Vec<_>>>()?;
            return Ok(Some(Criteria::any_of(items)?));
        }
        if self.types.is_empty() && self.tags.is_empty() {
            return Ok(None);
        }
        let tags = Tags::new(self.tags.iter().cloned())?;
        Ok(Some(
            CriteriaItem::new(self.types.iter().cloned(), tags)?.into(),
        ))
    }
}

/// A position, as it is typed.
pub(crate) fn position(text: &str) -> std::result::Result<Position, String> {
    let number = text.replace([',', '_'], "").parse::<u64>();
    number
        .map(Position::new)
        .map_err(|_| "no position; it is a whole number from 1".to_owned())
}

/// An item of criteria: types, and tags behind `#`.
fn item(text: &str) -> Result<CriteriaItem> {
    let (mut types, mut tags) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        match word.strip_prefix('#') {
            Some(tag) => tags.push(Tag::parse(tag)?),
            None => types.push(EventType::parse(word)?),
        }
    }
    if types.is_empty() && tags.is_empty() {
        return Err(Failure::usage("--criteria chooses nothing")
            .hint("write types, and tags behind #: `opened #account:42`"));
    }
    Ok(CriteriaItem::new(types, Tags::new(tags)?)?)
}

/// Refuses a stream of which the store knows no event, hidden ones included.
pub(crate) fn known(store: &dyn EventStore, stream: &StreamId) -> Result {
    let head = block_on(store.stream_head(stream))?;
    if head.version == Version::ABSENT {
        return Err(Failure::not_found(format!("there is no stream {stream}"))
            .hint("`annals streams` lists those that there are"));
    }
    Ok(())
}

/// Hands the events that answer the request over, one by one, until there are no more or it is told to stop.
pub(crate) fn each_event(
    store: &dyn EventStore,
    request: ReadRequest,
    mut take: impl FnMut(&RecordedEvent) -> Result<ControlFlow<()>>,
) -> Result {
    let mut next = Some(request);
    while let Some(request) = next {
        let page = block_on(store.read(request))?;
        for event in &page.events {
            if take(event)?.is_break() {
                return Ok(());
            }
        }
        interrupt::check("what was told so far is right; ask again for the rest with --after")?;
        next = page.next;
    }
    Ok(())
}

/// The first event that answers the request, if one does.
pub(crate) fn first_event(
    store: &dyn EventStore,
    request: ReadRequest,
) -> Result<Option<RecordedEvent>> {
    let mut first = None;
    each_event(store, request.events_max(1), |event| {
        first = Some(event.clone());
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_types_and_tags() {
        let item = item("opened closed #account:42 #vip").unwrap();
        assert_eq!((item.types().len(), item.tags().len()), (2, 2));
        assert_eq!(
            super::item(" ").unwrap_err().exit,
            crate::failure::Exit::Usage
        );
    }
}
