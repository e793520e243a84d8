//! What is different between two states, as serde writes them.

mod compare;
mod list;
mod path;
mod serializer;
mod show;

use std::fmt;

use annals_codec::Value;
use annals_core::{Error, ErrorKind};
use serde::Serialize;

use self::compare::is_same;
use self::list::ListEdit;
pub use self::path::{PathStep, StatePath};
pub use self::serializer::value_of;
use self::show::Shown;

/// The differences between two states: by path, in the order of the fields' names.
///
/// It is exact: [applied](Self::apply) to the first state it gives the second. Its `Display` is short: a line for each
/// change, long values cut.
///
/// ```
/// use annals_replay::{StateDiff, value_of};
///
/// let diff = StateDiff::of(&vec!["a", "b", "c"], &vec!["a", "c", "d"])?;
/// assert_eq!(diff.to_string(), "- [1]: \"b\"\n+ [2]: \"d\"");
///
/// let mut value = value_of(&vec!["a", "b", "c"])?;
/// diff.apply(&mut value)?;
/// assert_eq!(value, value_of(&vec!["a", "c", "d"])?);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDiff {
    changes: Vec<Change>,
}

/// One difference between two states.
///
/// An element that came into a list, or left it, moves those behind it: paths of later changes of the diff count the
/// elements as the changes before leave them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Where.
    pub path: StatePath,
    /// What was there; `None` where nothing was.
    pub before: Option<Value>,
    /// What is there; `None` where nothing is any more.
    pub after: Option<Value>,
}

impl StateDiff {
    /// How many changes are printed.
    pub const LINES_MAX: usize = 20;
    /// How many characters of a value are printed.
    pub const VALUE_CHARS_MAX: usize = 60;

    /// The differences between two states.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a state that serde does not write, or that is over a limit of [`value_of`].
    pub fn of<S: Serialize + ?Sized>(before: &S, after: &S) -> Result<Self, Error> {
        Ok(Self::between(&value_of(before)?, &value_of(after)?))
    }

    /// The differences between two values, as [`value_of`] gives them.
    pub fn between(before: &Value, after: &Value) -> Self {
        let mut differ = Differ::default();
        differ.compare(before, after);
        Self {
            changes: differ.changes,
        }
    }

    /// The changes, in the order in which they apply.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Makes of the first state the second.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the value is not the first state; what came before the place that does not fit is
    /// changed then.
    pub fn apply(&self, value: &mut Value) -> Result<(), Error> {
        self.changes
            .iter()
            .try_for_each(|change| change.apply(value))
    }
}

impl Change {
    fn apply(&self, value: &mut Value) -> Result<(), Error> {
        let applied = match self.path.steps() {
            [] => replace(value, self.before.as_ref(), self.after.as_ref()),
            [parents @ .., last] => {
                let parent = parents
                    .iter()
                    .try_fold(value, |value, step| step.of_mut(value));
                parent.and_then(|parent| last.change(parent, self))
            }
        };
        applied.ok_or_else(|| {
            let message = "diff is of another state; apply it to the one that it begins with";
            Error::new(ErrorKind::Invalid, message)
                .during("apply diff")
                .with("path", &self.path)
        })
    }
}

/// Puts one value in place of another, which has to be there.
fn replace(place: &mut Value, before: Option<&Value>, after: Option<&Value>) -> Option<()> {
    let (before, after) = (before?, after?);
    if !is_same(place, before) {
        return None;
    }
    place.clone_from(after);
    Some(())
}

/// A comparison under way, at a path.
#[derive(Default)]
struct Differ {
    path: Vec<PathStep>,
    changes: Vec<Change>,
}

impl Differ {
    fn compare(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Map(before), Value::Map(after)) if !are_alternatives(before, after) => {
                self.compare_maps(before, after);
            }
            (Value::List(before), Value::List(after)) => self.compare_lists(before, after),
            _ if is_same(before, after) => {}
            _ => self.note(Some(before), Some(after)),
        }
    }

    /// Both are in the order of their keys.
    fn compare_maps(&mut self, before: &[(Value, Value)], after: &[(Value, Value)]) {
        let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (before.peek(), after.peek()) {
                (Some((left, _)), Some((right, _))) => compare::compare(left, right),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return,
            };
            let left = if order.is_le() { before.next() } else { None };
            let right = if order.is_ge() { after.next() } else { None };
            let Some((key, _)) = left.or(right) else {
                return;
            };
            self.path.push(PathStep::Key(key.clone()));
            match (left, right) {
                (Some((_, left)), Some((_, right))) => self.compare(left, right),
                (left, right) => self.note(left.map(|(_, it)| it), right.map(|(_, it)| it)),
            }
            self.path.pop();
        }
    }

    fn compare_lists(&mut self, before: &[Value], after: &[Value]) {
        for (index, edit) in list::edits(before, after) {
            self.path.push(PathStep::Index(index));
            match edit {
                ListEdit::Changed(before, after) => self.compare(before, after),
                ListEdit::Removed(before) => self.note(Some(before), None),
                ListEdit::Added(after) => self.note(None, Some(after)),
            }
            self.path.pop();
        }
    }

    fn note(&mut self, before: Option<&Value>, after: Option<&Value>) {
        self.changes.push(Change {
            path: StatePath::new(self.path.clone()),
            before: before.cloned(),
            after: after.cloned(),
        });
    }
}

/// Whether two maps look like two variants of an enum: one field each, by another name. They are told as one change.
fn are_alternatives(before: &[(Value, Value)], after: &[(Value, Value)]) -> bool {
    match (before, after) {
        ([(before, _)], [(after, _)]) => !is_same(before, after),
        _ => false,
    }
}

impl fmt::Display for StateDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.changes.iter().take(Self::LINES_MAX).enumerate() {
            let lead = if index == 0 { "" } else { "\n" };
            write!(f, "{lead}{change}")?;
        }
        match self.changes.len().saturating_sub(Self::LINES_MAX) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                write!(f, "{path}: {} -> {}", Shown(before), Shown(after))
            }
            (None, Some(after)) => write!(f, "+ {path}: {}", Shown(after)),
            (Some(before), None) => write!(f, "- {path}: {}", Shown(before)),
            (None, None) => write!(f, "{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Clone, Default, Serialize)]
    struct Order {
        status: Status,
        lines: Vec<Line>,
        prices: BTreeMap<u32, i64>,
        note: Option<String>,
    }

    #[derive(Clone, Default, Serialize)]
    enum Status {
        #[default]
        Draft,
        Paid {
            cents: u64,
        },
        Shipped(String),
    }

    #[derive(Clone, Serialize)]
    struct Line {
        item: &'static str,
        count: u32,
    }

    fn line(item: &'static str, count: u32) -> Line {
        Line { item, count }
    }

    fn check(before: &Order, after: &Order, expected: &[&str]) {
        let diff = StateDiff::of(before, after).unwrap();
        assert_eq!(diff.to_string(), expected.join("\n"));
        let mut value = value_of(before).unwrap();
        diff.apply(&mut value).unwrap();
        assert_eq!(value, value_of(after).unwrap(), "{diff}");
        assert_eq!(diff.is_empty(), expected.is_empty());
    }

    #[test]
    fn a_change_is_told_by_its_path() {
        let empty = Order::default();
        check(&empty, &empty, &[]);
        let mut order = empty.clone();
        order.status = Status::Paid { cents: 5 };
        order.note = Some("a\nb".to_owned());
        order.prices.insert(7, -1);
        check(
            &empty,
            &order,
            &[
                r#"note: null -> "a\nb""#,
                "+ prices[7]: -1",
                r#"status: "Draft" -> {Paid: {cents: 5}}"#,
            ],
        );
        let mut shipped = order.clone();
        shipped.status = Status::Shipped("x".to_owned());
        shipped.prices.clear();
        check(
            &order,
            &shipped,
            &[
                "- prices[7]: -1",
                r#"status: {Paid: {cents: 5}} -> {Shipped: "x"}"#,
            ],
        );
        let mut more = order.clone();
        more.status = Status::Paid { cents: 6 };
        check(&order, &more, &["status.Paid.cents: 5 -> 6"]);
    }

    #[test]
    fn what_moves_in_a_list_is_no_change() {
        let order = |lines: &[Line]| Order {
            lines: lines.to_vec(),
            ..Order::default()
        };
        let three = [line("tea", 1), line("milk", 2), line("salt", 3)];
        check(
            &order(&three),
            &order(&three[1..]),
            &[r#"- lines[0]: {count: 1, item: "tea"}"#],
        );
        check(
            &order(&three[..2]),
            &order(&three),
            &[r#"+ lines[2]: {count: 3, item: "salt"}"#],
        );
        let changed = [line("milk", 2), line("salt", 4), line("oil", 1)];
        check(
            &order(&three),
            &order(&changed),
            &[
                r#"- lines[0]: {count: 1, item: "tea"}"#,
                "lines[1].count: 3 -> 4",
                r#"+ lines[2]: {count: 1, item: "oil"}"#,
            ],
        );
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = StateDiff::of(&vec![0; 50], &vec![1; 50]).unwrap();
        let lines = long.to_string();
        assert_eq!(lines.lines().count(), StateDiff::LINES_MAX + 1);
        assert!(lines.ends_with("\n... and 30 more"), "{lines}");
        let text = StateDiff::of("", &"x".repeat(1000)).unwrap().to_string();
        assert!(text.len() < 80 && text.ends_with("..."), "{text}");
        assert!(text.starts_with("(state): \"\" -> \"xxx"), "{text}");
    }

    #[test]
    fn a_diff_of_another_state_is_refused() {
        let diff = StateDiff::of(&[1, 2], &[1, 3]).unwrap();
        for mut other in [value_of(&[1, 4]), value_of(&[1]), value_of(&7)].map(Result::unwrap) {
            let error = diff.apply(&mut other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("path: [1]"), "{error}");
        }
    }
}
