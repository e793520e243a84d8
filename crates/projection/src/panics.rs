//! A panic of the application's code as an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use annals_core::BoxError;

/// Runs code of the application; a panic is its error. What the code changed is in doubt then, and the caller's to
/// give up.
pub(crate) fn catching<T>(run: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(answer) => answer,
        Err(panic) => Err(of_panic(&*panic)),
    }
}

/// A panic as an error, with its message where it is a text.
pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> BoxError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panics: {}", text.unwrap_or("without a message")).into()
}
