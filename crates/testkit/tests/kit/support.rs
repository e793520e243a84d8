//! What the tests share.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message with which the expectation fails, without colours.
pub(crate) fn failure_of<T>(expectation: impl FnOnce() -> T) -> String {
    let kept = catch_unwind(AssertUnwindSafe(|| drop(expectation())));
    let payload = kept.expect_err("the expectation holds");
    let text = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    };
    let mut plain = String::new();
    for (index, part) in text.split("\u{1b}[").enumerate() {
        let part = if index == 0 {
            part
        } else {
            part.split_once('m').map_or("", |(_, rest)| rest)
        };
        plain.push_str(part);
    }
    plain
}
