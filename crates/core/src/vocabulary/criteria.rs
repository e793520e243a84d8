//! Which events a query selects, and which ones an append must not have missed.

use std::fmt;
use std::sync::Arc;

use super::event_type::EventType;
use super::tag::{Tag, Tags};
use crate::error::check_limit;
use crate::{Error, ErrorKind, RecordedEvent};

/// A choice of events: those that match any of its items.
///
/// ```
/// use annals_core::{Criteria, EventType, Tag};
///
/// const SUBSCRIBED: EventType = EventType::from_static("subscribed");
/// let seats = Criteria::of_types([SUBSCRIBED])?.tagged([Tag::parse("course:rust")?])?;
/// assert_eq!(seats.to_string(), "(subscribed) and [course:rust]");
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Criteria {
    items: Arc<[CriteriaItem]>,
}

/// One item of criteria: any of these event types, and all of these tags.
///
/// No types means every type, no tags means with or without tags.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CriteriaItem {
    types: Arc<[EventType]>,
    tags: Tags,
}

impl Criteria {
    /// Every event.
    pub fn everything() -> Self {
        Self::from(CriteriaItem {
            types: Arc::default(),
            tags: Tags::EMPTY,
        })
    }

    /// Events of any of these types.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no type, or more than
    /// [`limits::CRITERIA_TYPES_MAX`](crate::limits::CRITERIA_TYPES_MAX).
    pub fn of_types(types: impl IntoIterator<Item = EventType>) -> Result<Self, Error> {
        let item = CriteriaItem::new(types, Tags::EMPTY)?;
        if item.types.is_empty() {
            let message = "criteria of no event type; name at least one, or ask for everything";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(item.into())
    }

    /// Events that carry all of these tags.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no tag, or more than [`limits::TAGS_MAX`](crate::limits::TAGS_MAX).
    pub fn of_tags(tags: impl IntoIterator<Item = Tag>) -> Result<Self, Error> {
        let tags = Tags::new(tags)?;
        if tags.is_empty() {
            let message = "criteria of no tag; name at least one, or ask for everything";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(CriteriaItem {
            types: Arc::default(),
            tags,
        }
        .into())
    }

    /// Events that match any of these items.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no item, or more than
    /// [`limits::CRITERIA_ITEMS_MAX`](crate::limits::CRITERIA_ITEMS_MAX).
    pub fn any_of(items: impl IntoIterator<Item = CriteriaItem>) -> Result<Self, Error> {
        let items: Arc<[CriteriaItem]> = items.into_iter().collect();
        if items.is_empty() {
            let message = "criteria of no item; name at least one, or ask for everything";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        check_limit!(
            "criteria of too many items",
            items.len(),
            CRITERIA_ITEMS_MAX
        )?;
        Ok(Self { items })
    }

    /// These events, where they also carry all of these tags.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when an item then has too many tags.
    pub fn tagged(&self, tags: impl IntoIterator<Item = Tag>) -> Result<Self, Error> {
        let more: Vec<Tag> = tags.into_iter().collect();
        let items: Result<Vec<CriteriaItem>, Error> = self
            .items
            .iter()
            .map(|item| {
                let tags = Tags::new(item.tags.iter().chain(&more).cloned())?;
                Ok(CriteriaItem {
                    types: item.types.clone(),
                    tags,
                })
            })
            .collect();
        Self::any_of(items?)
    }

    /// These events and those of `other`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there are then too many items.
    pub fn or(&self, other: &Self) -> Result<Self, Error> {
        Self::any_of(self.items.iter().chain(other.items.iter()).cloned())
    }

    /// The items, of which an event matches at least one.
    pub fn items(&self) -> &[CriteriaItem] {
        &self.items
    }

    /// Its size as counted against [`limits::APPEND_BYTES_MAX`](crate::limits::APPEND_BYTES_MAX).
    pub fn bytes(&self) -> usize {
        let types = self
            .items
            .iter()
            .flat_map(CriteriaItem::types)
            .map(|name| name.as_str().len());
        let tags = self
            .items
            .iter()
            .flat_map(CriteriaItem::tags)
            .map(|tag| tag.as_str().len());
        types.sum::<usize>() + tags.sum::<usize>()
    }

    /// Whether an event of this type with these tags is among the chosen.
    pub fn selects(&self, event_type: &EventType, tags: &Tags) -> bool {
        self.items.iter().any(|item| item.selects(event_type, tags))
    }

    /// Whether the event is among the chosen.
    pub fn matches(&self, event: &RecordedEvent) -> bool {
        self.selects(event.event_type(), event.tags())
    }
}

impl CriteriaItem {
    /// An item: any of these types, and all of these tags.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more than
    /// [`limits::CRITERIA_TYPES_MAX`](crate::limits::CRITERIA_TYPES_MAX) types.
    pub fn new(types: impl IntoIterator<Item = EventType>, tags: Tags) -> Result<Self, Error> {
        let mut types: Vec<EventType> = types.into_iter().collect();
        types.sort_unstable();
        types.dedup();
        check_limit!(
            "criteria of too many types",
            types.len(),
            CRITERIA_TYPES_MAX
        )?;
        Ok(Self {
            types: types.into(),
            tags,
        })
    }

    /// The types, in order; none means every type.
    pub fn types(&self) -> &[EventType] {
        &self.types
    }

    /// The tags, all of which an event must carry.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Whether an event of this type with these tags matches.
    pub fn selects(&self, event_type: &EventType, tags: &Tags) -> bool {
        let of_type = self.types.is_empty() || self.types.binary_search(event_type).is_ok();
        of_type && tags.contains_all(&self.tags)
    }
}

impl From<CriteriaItem> for Criteria {
    fn from(item: CriteriaItem) -> Self {
        Self {
            items: Arc::new([item]),
        }
    }
}

impl fmt::Display for Criteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            let separator = if index == 0 { "" } else { " or " };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Criteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Criteria({self})")
    }
}

impl fmt::Display for CriteriaItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<&str> = self.types.iter().map(EventType::as_str).collect();
        let tags: Vec<&str> = self.tags.iter().map(Tag::as_str).collect();
        match (types.is_empty(), tags.is_empty()) {
            (true, true) => f.write_str("everything"),
            (false, true) => write!(f, "({})", types.join(" or ")),
            (true, false) => write!(f, "[{}]", tags.join(" and ")),
            (false, false) => write!(f, "({}) and [{}]", types.join(" or "), tags.join(" and ")),
        }
    }
}

impl fmt::Debug for CriteriaItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CriteriaItem({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EventType = EventType::from_static("a");
    const B: EventType = EventType::from_static("b");

    fn tag(text: &'static str) -> Tag {
        Tag::from_static(text)
    }

    #[test]
    fn an_item_is_any_type_and_all_tags() {
        let criteria = Criteria::of_types([A])
            .and_then(|a| a.tagged([tag("x:1"), tag("y:2")]))
            .and_then(|both| both.or(&Criteria::of_types([B])?))
            .unwrap();
        let tags = |texts: &[&'static str]| Tags::new(texts.iter().map(|t| tag(t))).unwrap();
        for (event_type, event_tags, expected) in [
            (A, tags(&["x:1", "y:2", "z:3"]), true),
            (A, tags(&["x:1"]), false),
            (B, Tags::EMPTY, true),
            (EventType::from_static("c"), tags(&["x:1", "y:2"]), false),
        ] {
            assert_eq!(
                criteria.selects(&event_type, &event_tags),
                expected,
                "{event_type}"
            );
        }
        assert!(Criteria::everything().selects(&A, &Tags::EMPTY));
    }

    #[test]
    fn an_empty_choice_is_refused() {
        assert!(Criteria::of_types([]).is_err());
        assert!(Criteria::of_tags([]).is_err());
        assert!(Criteria::any_of([]).is_err());
    }
}
