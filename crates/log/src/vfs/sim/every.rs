//! Every image that a crash may leave behind, one after another.

use std::error::Error;
use std::fmt;

use super::SimFs;
use super::choices::{Counter, Script};
use super::state::State;

/// The images of [`SimFs::every_crash`], the oldest state of everything first.
#[derive(Clone, Debug)]
pub struct EveryCrash {
    state: State,
    images_max: u128,
    script: Script,
    is_over: bool,
}

/// There may be more images than were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyCrashes {
    /// How many there may be.
    pub images_max: u128,
}

impl EveryCrash {
    pub(super) fn new(state: State, images_max: u64) -> Result<Self, TooManyCrashes> {
        let mut counter = Counter { ways: 1 };
        state.show_all(&mut counter);
        if counter.ways > u128::from(images_max) {
            return Err(TooManyCrashes {
                images_max: counter.ways,
            });
        }
        Ok(Self {
            state,
            images_max: counter.ways,
            script: Script::default(),
            is_over: false,
        })
    }

    /// How many there may be; the same before and after some were taken.
    pub fn images_max(&self) -> u128 {
        self.images_max
    }
}

impl Iterator for EveryCrash {
    type Item = SimFs;

    fn next(&mut self) -> Option<SimFs> {
        if self.is_over {
            return None;
        }
        let image = self.state.crashed(&mut self.script);
        self.is_over = !self.script.advance();
        Some(SimFs::of(image))
    }
}

impl fmt::Display for TooManyCrashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a crash may leave up to {} images; ask for that many or draw some",
            self.images_max
        )
    }
}

impl Error for TooManyCrashes {}
