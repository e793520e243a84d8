//! Steps as lines that read like the code that takes them.

use annals_core::{Append, Expected, NewEvent, PolicyChange, Tag};

pub(super) fn append(append: &Append) -> String {
    let mut parts = vec![format!("append({:?})", append.id().as_str())];
    for write in append.writes() {
        let events: Vec<String> = write.events.iter().map(event).collect();
        let (stream, expected) = (write.stream.as_str(), expectation(write.expected));
        parts.push(format!(
            "write({stream:?}, {expected}, [{}])",
            events.join(", ")
        ));
    }
    for check in append.checks() {
        let expected = expectation(check.expected);
        parts.push(format!("check({:?}, {expected})", check.stream.as_str()));
    }
    for condition in append.conditions() {
        parts.push(format!(
            "unless({}, after {})",
            condition.unless, condition.after
        ));
    }
    parts.join(".")
}

pub(super) fn policy(change: &PolicyChange) -> String {
    let (stream, expected) = (change.stream.as_str(), expectation(change.expected));
    format!(
        "change_stream_policy({stream:?}, {expected}, {:?})",
        change.action
    )
}

fn expectation(expected: Expected) -> String {
    match expected {
        Expected::Exactly(version) => format!("Exactly({version})"),
        other => format!("{other:?}"),
    }
}

/// An event's type, tags and payload, and what else it carries.
fn event(event: &NewEvent) -> String {
    let tags: Vec<&str> = event.tags().iter().map(Tag::as_str).collect();
    let payload = String::from_utf8_lossy(event.payload());
    let mut parts = vec![format!("{}{tags:?} {payload:?}", event.event_type())];
    if let Some(id) = event.id() {
        parts.push(format!("id ..{:04x}", id.number() & 0xffff));
    }
    if let Some(time) = event.recorded_at() {
        parts.push(format!("at {time}"));
    }
    if let Some(header) = event.metadata().header("h") {
        parts.push(format!("h={header}"));
    }
    parts.join(" ")
}
