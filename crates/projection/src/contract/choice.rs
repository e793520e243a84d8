//! Which events a consumer is offered.

use std::collections::BTreeSet;

use annals_core::limits::CRITERIA_ITEMS_MAX;
use annals_core::{Category, Criteria, CriteriaItem, Event, RecordedEvent, Selection};

/// Which events a consumer is offered: all of them, or those of some categories and those that match some
/// criteria.
///
/// Unlike a [`Selection`] it can be any union, so that what several consumers want is one choice again. A store
/// is asked for the narrowest selection that holds it ([`selection`](Self::selection)); what that holds beyond is
/// left out in memory.
///
/// ```
/// use annals_core::{Category, Selection};
/// use annals_projection::EventChoice;
///
/// let orders = EventChoice::category(Category::from_static("order"));
/// let payments = EventChoice::category(Category::from_static("payment"));
/// assert_eq!(orders.selection(), Selection::Category(Category::from_static("order")));
/// assert_eq!(orders.or(&payments).selection(), Selection::All);
/// assert!(orders.or(&payments).includes(&orders));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventChoice(Chosen);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Chosen {
    All,
    Some {
        categories: BTreeSet<Category>,
        items: Vec<CriteriaItem>,
    },
}

impl EventChoice {
    /// No event: what a union begins with.
    pub const NONE: Self = Self(Chosen::Some {
        categories: BTreeSet::new(),
        items: Vec::new(),
    });

    /// Every event.
    pub const ALL: Self = Self(Chosen::All);

    /// The events of every stream of a category.
    pub fn category(category: Category) -> Self {
        Self(Chosen::Some {
            categories: BTreeSet::from([category]),
            items: Vec::new(),
        })
    }

    /// The events of the category of this event type.
    pub fn of<E: Event>() -> Self {
        Self::category(E::CATEGORY)
    }

    /// The events that match these criteria, of any stream.
    pub fn matching(criteria: &Criteria) -> Self {
        let is_everything = |item: &CriteriaItem| item.types().is_empty() && item.tags().is_empty();
        if criteria.items().iter().any(is_everything) {
            return Self::ALL;
        }
        Self(Chosen::Some {
            categories: BTreeSet::new(),
            items: criteria.items().to_vec(),
        })
    }

    /// These events and those of `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let (Some((categories, items)), Some((more_categories, more_items))) =
            (self.parts(), other.parts())
        else {
            return Self::ALL;
        };
        let mut items = items.to_vec();
        for item in more_items {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        Self(Chosen::Some {
            categories: categories.union(more_categories).cloned().collect(),
            items,
        })
    }

    /// Whether this event is chosen.
    pub fn contains(&self, event: &RecordedEvent) -> bool {
        let Some((categories, items)) = self.parts() else {
            return true;
        };
        let matches = |item: &CriteriaItem| item.selects(event.event_type(), event.tags());
        items.iter().any(matches) || is_of(categories, event)
    }

    /// Whether every event of `other` is chosen here too, as far as their parts tell.
    pub fn includes(&self, other: &Self) -> bool {
        let Some((categories, items)) = self.parts() else {
            return true;
        };
        other
            .parts()
            .is_some_and(|(other_categories, other_items)| {
                other_categories.is_subset(categories)
                    && other_items.iter().all(|item| items.contains(item))
            })
    }

    /// The narrowest selection of a store that holds all of these events.
    ///
    /// Several categories, a category beside criteria, and more criteria than one request may have
    /// ([`CRITERIA_ITEMS_MAX`]) are in no selection but [`Selection::All`].
    pub fn selection(&self) -> Selection {
        let Some((categories, items)) = self.parts() else {
            return Selection::All;
        };
        let mut each = categories.iter();
        match (each.next(), each.next()) {
            (Some(category), None) if items.is_empty() => Selection::Category(category.clone()),
            (None, _) if items.len() <= CRITERIA_ITEMS_MAX => {
                Criteria::any_of(items.iter().cloned()).map_or(Selection::All, Selection::Criteria)
            }
            _ => Selection::All,
        }
    }

    fn parts(&self) -> Option<(&BTreeSet<Category>, &[CriteriaItem])> {
        match &self.0 {
            Chosen::All => None,
            Chosen::Some { categories, items } => Some((categories, items)),
        }
    }
}

fn is_of(categories: &BTreeSet<Category>, event: &RecordedEvent) -> bool {
    let mut categories = categories.iter();
    // Looked at last: the streams of a page are made when the first of them is asked for.
    categories.any(|category| event.stream().category_str() == category.as_str())
}

#[cfg(test)]
mod tests {
    use annals_core::{EventType, Tag};

    use super::*;

    fn criteria(name: &'static str) -> Criteria {
        Criteria::of_types([EventType::from_static(name)]).unwrap()
    }

    #[test]
    fn a_union_is_asked_for_as_narrowly_as_a_request_can() {
        let orders = EventChoice::category(Category::from_static("order"));
        let payments = EventChoice::category(Category::from_static("payment"));
        let paid = EventChoice::matching(&criteria("paid"));
        let sent = EventChoice::matching(&criteria("sent"));
        let either = criteria("paid").or(&criteria("sent")).unwrap();
        for (choice, expected) in [
            (
                orders.clone(),
                Selection::Category(Category::from_static("order")),
            ),
            (
                orders.or(&orders),
                Selection::Category(Category::from_static("order")),
            ),
            (orders.or(&payments), Selection::All),
            (orders.or(&paid), Selection::All),
            (paid.or(&sent), Selection::Criteria(either)),
            (EventChoice::NONE.or(&paid), paid.selection()),
            (paid.or(&EventChoice::ALL), Selection::All),
            (
                EventChoice::matching(&Criteria::everything()),
                Selection::All,
            ),
        ] {
            assert_eq!(choice.selection(), expected);
        }
    }

    #[test]
    fn more_criteria_than_a_request_has_are_everything() {
        let mut many = EventChoice::NONE;
        for number in 0..=CRITERIA_ITEMS_MAX {
            let tag = Tag::parse(&format!("n:{number}")).unwrap();
            many = many.or(&EventChoice::matching(&Criteria::of_tags([tag]).unwrap()));
        }
        assert_eq!(many.selection(), Selection::All);
        assert!(!many.includes(&EventChoice::ALL));
    }

    #[test]
    fn a_choice_includes_its_parts() {
        let orders = EventChoice::category(Category::from_static("order"));
        let paid = EventChoice::matching(&criteria("paid"));
        let both = orders.or(&paid);
        assert!(both.includes(&orders) && both.includes(&paid) && both.includes(&both));
        assert!(!orders.includes(&both) && !paid.includes(&orders));
        assert!(EventChoice::ALL.includes(&both) && !both.includes(&EventChoice::ALL));
        assert!(orders.includes(&EventChoice::NONE));
    }
}
