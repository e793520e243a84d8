//! The fold that needs no code: payloads merged into one JSON object (RFC 7396), and what each of them changed.

use serde::Serialize;
use serde_json::{Map, Value};

/// What a payload changed of the state before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// Where, as a JSON pointer (RFC 6901).
    pub(crate) path: String,
    /// What was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
}

/// The state after a payload: objects are merged member by member, `null` removes one. What is no object stands
/// under the name of its event's type.
pub(crate) fn merge(state: &mut Value, event_type: &str, payload: Value) {
    let patch = match payload {
        Value::Object(_) => payload,
        other => {
            let mut map = Map::new();
            map.insert(event_type.to_owned(), other);
            Value::Object(map)
        }
    };
    apply(state, patch, 0);
}

/// How deep objects are merged; what is deeper is put in place whole.
const DEPTH_MAX: usize = 64;

fn apply(target: &mut Value, patch: Value, depth: usize) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if depth >= DEPTH_MAX {
        *target = Value::Object(patch);
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            apply(members.entry(name).or_insert(Value::Null), value, depth + 1);
        }
    }
}

/// What is different, in the order of the paths.
pub(crate) fn difference(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(before), Some(after), 0, &mut changes);
    changes
}

fn compare(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    depth: usize,
    changes: &mut Vec<Change>,
) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after)
        && depth < DEPTH_MAX
    {
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let step = name.replace('~', "~0").replace('/', "~1");
            compare(
                &format!("{path}/{step}"),
                old.get(name),
                new.get(name),
                depth + 1,
                changes,
            );
        }
        return;
    }
    changes.push(Change {
        path: path.to_owned(),
        before: before.cloned(),
        after: after.cloned(),
    });
}

impl Change {
    /// On a line, as `+ /owner "Ada"`, `~ /amount 5 -> 7`, `- /owner "Ada"`; and which of the three.
    pub(crate) fn text(&self) -> (char, String) {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        match (&self.before, &self.after) {
            (None, Some(after)) => ('+', format!("{path} {after}")),
            (Some(before), None) => ('-', format!("{path} {before}")),
            (Some(before), Some(after)) => ('~', format!("{path} {before} -> {after}")),
            (None, None) => ('~', path.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn payloads_merge_and_the_difference_is_told() {
        let mut state = json!({});
        merge(
            &mut state,
            "opened",
            json!({"owner": "Ada", "limits": {"day": 5}}),
        );
        let before = state.clone();
        merge(
            &mut state,
            "changed",
            json!({"owner": null, "limits": {"week": 9, "day": 6}}),
        );
        merge(&mut state, "counted", json!(3));
        assert_eq!(
            state,
            json!({"limits": {"day": 6, "week": 9}, "counted": 3})
        );
        let told: Vec<_> = difference(&before, &state)
            .iter()
            .map(|change| change.text().1)
            .collect();
        assert_eq!(
            told,
            [
                "/counted 3",
                "/limits/day 5 -> 6",
                "/limits/week 9",
                "/owner \"Ada\""
            ]
        );
    }
}
