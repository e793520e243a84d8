//! Where in a state something is.

use std::fmt;

use annals_codec::Value;

use super::compare::{compare, is_same};
use super::show::Shown;
use super::{Change, replace};

/// Where in a state something is: from the outermost field inwards, written like `lines[2].price`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatePath(Vec<PathStep>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PathStep {
    /// The field of a map or a struct, or the variant of an enum.
    Key(Value),
    /// The element of a list, from 0.
    Index(usize),
}

impl StatePath {
    pub(super) fn new(steps: Vec<PathStep>) -> Self {
        Self(steps)
    }

    /// The steps, outermost first; none where it is the whole state.
    pub fn steps(&self) -> &[PathStep] {
        &self.0
    }
}

impl PathStep {
    /// What stands there in a value.
    pub(super) fn of_mut<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match (self, value) {
            (Self::Key(key), Value::Map(fields)) => {
                let at = place(fields, key).ok()?;
                fields.get_mut(at).map(|(_, value)| value)
            }
            (Self::Index(index), Value::List(values)) => values.get_mut(*index),
            _ => None,
        }
    }

    /// Makes a change at this step of a value; `None` where it does not fit.
    pub(super) fn change(&self, parent: &mut Value, change: &Change) -> Option<()> {
        match (&change.before, &change.after) {
            (None, Some(after)) => self.insert(parent, after),
            (Some(before), None) => self.remove(parent, before),
            (before, after) => replace(self.of_mut(parent)?, before.as_ref(), after.as_ref()),
        }
    }

    fn insert(&self, parent: &mut Value, value: &Value) -> Option<()> {
        match (self, parent) {
            (Self::Key(key), Value::Map(fields)) => {
                let at = place(fields, key).err()?;
                fields.insert(at, (key.clone(), value.clone()));
            }
            (Self::Index(index), Value::List(values)) if *index <= values.len() => {
                values.insert(*index, value.clone());
            }
            _ => return None,
        }
        Some(())
    }

    fn remove(&self, parent: &mut Value, before: &Value) -> Option<()> {
        if !is_same(self.of_mut(parent)?, before) {
            return None;
        }
        match (self, parent) {
            (Self::Key(key), Value::Map(fields)) => drop(fields.remove(place(fields, key).ok()?)),
            (Self::Index(index), Value::List(values)) => drop(values.remove(*index)),
            _ => return None,
        }
        Some(())
    }
}

/// Where a key stands among fields in the order of their keys, or would stand.
fn place(fields: &[(Value, Value)], key: &Value) -> Result<usize, usize> {
    fields.binary_search_by(|(name, _)| compare(name, key))
}

impl fmt::Display for StatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(state)");
        }
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Index(index) => write!(f, "[{index}]")?,
                PathStep::Key(Value::Text(name)) if is_plain(name) => {
                    let lead = if depth == 0 { "" } else { "." };
                    write!(f, "{lead}{name}")?;
                }
                PathStep::Key(key) => write!(f, "[{}]", Shown(key))?,
            }
        }
        Ok(())
    }
}

/// Whether a name needs no quotes.
pub(super) fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain)
}
