//! Ctrl-C: long commands come to an end at the next whole step; a second one ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Exit, Failure, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C is noted rather than the end of the program.
pub(crate) fn listen() {
    // Where it can't be listened to, Ctrl-C ends the program at once, which loses nothing either.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
}

/// Fails when Ctrl-C was pressed.
pub(crate) fn check(what_now: &str) -> Result {
    if INTERRUPTED.load(Ordering::SeqCst) {
        return Err(Failure::new(Exit::Interrupted, "interrupted").hint(what_now));
    }
    Ok(())
}
