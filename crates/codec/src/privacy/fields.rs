//! Whose the personal fields of an event are.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::fmt;

use annals_core::Event;

use super::personal::Personal;
use super::scope::address;
use super::subject::Subject;
use crate::Error;

/// An event with personal fields. `#[derive(Event)]` implements it where fields say whose they are:
///
/// ```
/// use annals_codec::privacy::{Personal, PersonalEvent, PersonalFields};
/// use annals_macros::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(category = "customer")]
/// enum CustomerEvent {
///     Registered {
///         customer_id: u64,
///         #[event(personal(subject = "customer_id"))]
///         name: Personal<String>,
///     },
///     Left,
/// }
///
/// let registered = CustomerEvent::Registered { customer_id: 42, name: Personal::Known("Ada".to_owned()) };
/// let mut fields = PersonalFields::new();
/// registered.personal_fields(&mut fields)?;
/// assert_eq!(fields.len(), 1);
/// # let _ = CustomerEvent::Left;
/// # Ok::<(), annals_codec::Error>(())
/// ```
pub trait PersonalEvent: Event {
    /// Adds each personal field of this value, and whose it is.
    ///
    /// # Errors
    /// [`ErrorKind::BadSubject`](crate::ErrorKind::BadSubject) as for [`Subject::new`].
    fn personal_fields(&self, fields: &mut PersonalFields) -> Result<(), Error>;
}

/// A type whose personal values are all [`Personal`]: what a field may be that is declared personal.
///
/// [`Personal`] is one, and so are options, boxes and collections of such. A struct of the application that holds
/// personal data of one person beside other data says so itself: `impl PersonalData for Address {}`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` would be written in the clear",
    label = "declared personal, but not encrypted",
    note = "write `Personal<{Self}>`, or implement `PersonalData` for a struct that holds `Personal` fields"
)]
pub trait PersonalData {}

impl<T> PersonalData for Personal<T> {}

macro_rules! holders {
    ($($holder:ty),* $(,)?) => {
        $(impl<P: PersonalData> PersonalData for $holder {})*
    };
}

holders!(
    Option<P>,
    Box<P>,
    Vec<P>,
    VecDeque<P>,
    LinkedList<P>,
    BTreeSet<P>,
    BinaryHeap<P>,
    [P],
    Box<[P]>,
);

impl<P: PersonalData, S> PersonalData for HashSet<P, S> {}
impl<K, P: PersonalData> PersonalData for BTreeMap<K, P> {}
impl<K, P: PersonalData, S> PersonalData for HashMap<K, P, S> {}
impl<P: PersonalData, const N: usize> PersonalData for [P; N] {}
impl<P: PersonalData, Q: PersonalData> PersonalData for (P, Q) {}

/// The personal fields of one event, while it is written.
#[derive(Clone, Default)]
pub struct PersonalFields {
    /// Where each field stands in memory, and whose it is.
    fields: Vec<(usize, Subject)>,
}

impl PersonalFields {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field of the event, the very one that it will be written from, and whose it is.
    ///
    /// # Errors
    /// As for [`Subject::new`].
    pub fn add<T: PersonalData + ?Sized>(
        &mut self,
        field: &T,
        subject: &(impl fmt::Display + ?Sized),
    ) -> Result<(), Error> {
        let subject = Subject::new(subject.to_string())?;
        self.fields.push((address(field), subject));
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The number of the field that stands here.
    pub(super) fn at(&self, address: usize) -> Option<usize> {
        self.fields.iter().position(|(field, _)| *field == address)
    }

    pub(super) fn subject(&self, index: usize) -> Option<&Subject> {
        self.fields.get(index).map(|(_, subject)| subject)
    }

    /// The subject, where all fields have the same.
    pub(super) fn only(&self) -> Option<&Subject> {
        let mut subjects = self.fields.iter().map(|(_, subject)| subject);
        let first = subjects.next()?;
        subjects.all(|subject| subject == first).then_some(first)
    }
}

impl fmt::Debug for PersonalFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonalFields({})", self.fields.len())
    }
}
