//! Ctrl-C: long commands come to an end at the next whole step; a second one ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Exit, Failure, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The program waits for input, and is at no step that would come to an end.
static WAITING: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C is noted rather than the end of the program.
pub(crate) fn listen() {
    // Where it can't be listened to, Ctrl-C ends the program at once, which loses nothing either.
    let _ = ctrlc::set_handler(|| {
        let is_again = INTERRUPTED.swap(true, Ordering::SeqCst);
        if is_again || WAITING.load(Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
}

/// Waits for input: Ctrl-C ends the program meanwhile.
pub(crate) fn while_waiting<T>(wait: impl FnOnce() -> T) -> T {
    WAITING.store(true, Ordering::SeqCst);
    let got = wait();
    WAITING.store(false, Ordering::SeqCst);
    got
}

/// Whether Ctrl-C was pressed.
pub(crate) fn is_wished() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Fails when Ctrl-C was pressed.
pub(crate) fn check(what_now: &str) -> Result {
    if is_wished() {
        return Err(Failure::new(Exit::Interrupted, "interrupted").hint(what_now));
    }
    Ok(())
}
