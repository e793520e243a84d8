//! A row that differs between two versions, as it is kept and shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A row that differs between two versions.
///
/// It is kept with the record of the rebuild, so it is bounded: of a row over
/// [`VALUE_BYTES_MAX`](Self::VALUE_BYTES_MAX) the fields that are the same are left out, and what is still over it is
/// cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowDifference {
    /// The key of the row.
    pub key: String,
    /// What the live version has; `None` where it has no such row.
    pub live: Option<Value>,
    /// What the new version has; `None` where it has no such row.
    pub new: Option<Value>,
}

impl RowDifference {
    /// How long a row is kept whole, as JSON, and a key: 1 KiB.
    pub const VALUE_BYTES_MAX: usize = 1024;

    pub(super) fn new(key: &str, live: Option<Value>, new: Option<Value>) -> Self {
        let (live, new) = match (live, new) {
            (Some(Value::Object(mut live)), Some(Value::Object(mut new)))
                if is_long(&live) || is_long(&new) =>
            {
                leave_out_same(&mut live, &mut new);
                (Some(Value::Object(live)), Some(Value::Object(new)))
            }
            rows => rows,
        };
        Self {
            key: cut(key),
            live: live.map(bounded),
            new: new.map(bounded),
        }
    }
}

/// `spending ["ada"]: cents is 300, was 250`: what the new version has, and what the live one has.
impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        match (&self.live, &self.new) {
            (Some(Value::Object(live)), Some(Value::Object(new))) => show_fields(f, live, new),
            (Some(live), Some(new)) => write!(f, "is {new}, was {live}"),
            (Some(live), None) => write!(f, "is gone, was {live}"),
            (None, Some(new)) => write!(f, "is there, {new}"),
            (None, None) => f.write_str("is in neither"),
        }
    }
}

fn show_fields(
    f: &mut fmt::Formatter<'_>,
    live: &Map<String, Value>,
    new: &Map<String, Value>,
) -> fmt::Result {
    let added = new.keys().filter(|field| !live.contains_key(*field));
    let mut separator = "";
    for field in live.keys().chain(added) {
        let (before, after) = (live.get(field), new.get(field));
        if before == after {
            continue;
        }
        write!(f, "{separator}{field} is ")?;
        match after {
            Some(after) => write!(f, "{after}, was ")?,
            None => f.write_str("gone, was ")?,
        }
        match before {
            Some(before) => write!(f, "{before}")?,
            None => f.write_str("not there")?,
        }
        separator = "; ";
    }
    Ok(())
}

fn is_long(row: &Map<String, Value>) -> bool {
    serde_json::to_string(row).is_ok_and(|text| text.len() > RowDifference::VALUE_BYTES_MAX)
}

fn leave_out_same(live: &mut Map<String, Value>, new: &mut Map<String, Value>) {
    live.retain(|field, before| {
        let is_other = new.get(field) != Some(before);
        if !is_other {
            new.remove(field);
        }
        is_other
    });
}

/// A value that is short enough to keep; a text of the beginning of one that is not.
fn bounded(value: Value) -> Value {
    let text = match &value {
        Value::String(text) if text.len() <= RowDifference::VALUE_BYTES_MAX => return value,
        Value::String(text) => cut(text),
        other => {
            let text = other.to_string();
            if text.len() <= RowDifference::VALUE_BYTES_MAX {
                return value;
            }
            cut(&text)
        }
    };
    Value::String(text)
}

/// The beginning of a long text, and how long it is.
fn cut(text: &str) -> String {
    let max = RowDifference::VALUE_BYTES_MAX;
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max);
    let begin = text.get(..end).unwrap_or_default();
    format!("{begin}... ({} bytes)", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_reads_as_what_is_and_what_was() {
        for (live, new, shown) in [
            (Some(json!(1)), Some(json!(2)), "tea: is 2, was 1"),
            (Some(json!(1)), None, "tea: is gone, was 1"),
            (None, Some(json!("x")), "tea: is there, \"x\""),
            (
                Some(json!({"a": 1, "b": 2, "c": 3})),
                Some(json!({"a": 1, "b": 5, "d": 4})),
                "tea: b is 5, was 2; c is gone, was 3; d is 4, was not there",
            ),
        ] {
            assert_eq!(RowDifference::new("tea", live, new).to_string(), shown);
        }
    }

    #[test]
    fn a_long_row_is_kept_in_part() {
        let long = "\u{e9}".repeat(10_000);
        let live = json!({"same": long, "number": 1});
        let new = json!({"same": long, "number": 2});
        let kept = RowDifference::new("tea", Some(live), Some(new));
        assert_eq!(kept.live, Some(json!({"number": 1})));
        assert_eq!(kept.new, Some(json!({"number": 2})));

        let kept = RowDifference::new(&long, Some(json!(long)), Some(json!([long])));
        for text in [kept.key.len(), kept.live.unwrap().to_string().len()] {
            assert!(text < 2 * RowDifference::VALUE_BYTES_MAX, "{text} bytes");
        }
        let new = kept.new.unwrap().to_string();
        assert!(new.contains("bytes)") && new.len() < 2 * RowDifference::VALUE_BYTES_MAX);
    }
}
