//! The way from the past: one function for each change, which nobody touches again.

use annals::codec::{Events, RawPayload, UpcastError, Value};
use serde::{Deserialize, Serialize};

// ANCHOR: rename
/// 1. A field is renamed: `weight` said nothing about its unit.
pub fn weight_in_grams(mut old: Value) -> Value {
    old.rename("weight", "grams");
    old
}
// ANCHOR_END: rename

// ANCHOR: add
/// 2. A field is added: before there was a choice, every parcel was a standard one.
pub fn standard_service(mut old: Value) -> Value {
    old.insert("service", "Standard");
    old
}
// ANCHOR_END: add

// ANCHOR: split_field
/// 3. A field is split in two.
///
/// # Errors
/// When there is no name.
pub fn split_name(mut old: Value) -> Result<Value, UpcastError> {
    let name = old.take_text("name")?;
    let (first, last) = name.rsplit_once(' ').unwrap_or(("", &name));
    old.insert("first", first);
    old.insert("last", last);
    Ok(old)
}
// ANCHOR_END: split_field

// ANCHOR: drop_field
/// 5. A field is dropped: nobody may keep signatures. No look at the old bytes is needed.
pub fn without_signature(old: RawPayload) -> RawPayload {
    old.with_bytes("{}")
}
// ANCHOR_END: drop_field

// ANCHOR: split
/// What `moved` held.
#[derive(Clone, Debug, Deserialize)]
pub struct Moved {
    from: String,
    to: String,
}

/// What `departed` holds in version 1, which is for good: the enum may go on.
#[derive(Debug, Serialize)]
struct DepartedV1 {
    from: String,
}

/// What `arrived` holds in version 1.
#[derive(Debug, Serialize)]
struct ArrivedV1 {
    at: String,
}

/// 6. An event is split in two.
pub fn split_move(old: Moved) -> Events {
    Events::new()
        .and("departed", 1, DepartedV1 { from: old.from })
        .and("arrived", 1, ArrivedV1 { at: old.to })
}
// ANCHOR_END: split

// ANCHOR: merge
/// What `claimed` holds in version 1.
#[derive(Debug, Serialize)]
pub struct ClaimedV1 {
    reason: String,
}

/// What `damaged` held.
#[derive(Clone, Debug, Deserialize)]
pub struct Damaged {
    how: String,
}

/// 7. Two types become one.
pub fn claim_of_loss(_: Value) -> ClaimedV1 {
    ClaimedV1 {
        reason: "lost".to_owned(),
    }
}

/// 7. Two types become one.
pub fn claim_of_damage(old: Damaged) -> ClaimedV1 {
    let mut reason = old.how;
    reason.insert_str(0, "damaged: ");
    ClaimedV1 { reason }
}
// ANCHOR_END: merge
