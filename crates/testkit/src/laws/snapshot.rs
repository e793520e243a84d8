//! The law of a snapshot: that a state which was written and read goes on like the one that was not.

use std::fmt::Debug;

use annals_codec::{Format, FormatExt as _};
use annals_core::{Aggregate, fold, fold_from};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fold::{accepted, numbered, splits};
use crate::report::Report;

const LOSSY: &str = "let serde write every field that the fold reads, or choose another form";

/// Writes and reads the state at every split, and folds the rest of the history on both.
pub(super) fn whole<A>(
    form: &(impl Format + ?Sized),
    histories: &[impl AsRef<[A::Event]>],
) -> Result<(), Report>
where
    A: Aggregate<Event: Debug> + PartialEq + Debug + Serialize + DeserializeOwned,
{
    for history in &numbered(histories) {
        let whole = fold::<A>(history.events);
        accepted(history, &whole)?;
        for split in splits(history.events.len()) {
            let (first, tail) = history.events.split_at(split);
            let about = |report: Report| {
                let place = format!("after its first {split} events");
                report.text("the snapshot is taken", &place).about(history)
            };
            let Ok(state) = fold::<A>(first) else {
                continue;
            };
            let read = kept(form, &state).map_err(about)?;
            if read != state {
                let headline = "a state comes back from its snapshot as another";
                let report = Report::new(headline).difference(&state, &read);
                return Err(about(report).text("what to do", LOSSY));
            }
            let resumed = fold_from(read, tail);
            if resumed != whole {
                let headline = "a state that comes back from its snapshot goes on as another";
                let report = Report::new(headline).difference(&whole, &resumed);
                return Err(about(report).text("what to do", LOSSY));
            }
        }
    }
    Ok(())
}

/// The state after it was written and read.
fn kept<A>(form: &(impl Format + ?Sized), state: &A) -> Result<A, Report>
where
    A: Debug + Serialize + DeserializeOwned,
{
    let refused = |what: &str, error| Report::new(what).error(&error).value("state", state);
    let bytes = form
        .to_bytes(state)
        .map_err(|error| refused("the form refuses to write a state", error))?;
    form.from_bytes(&bytes)
        .map_err(|error| refused("the form refuses to read a state that it wrote", error))
}
