//! The lowest and the highest of some ids.

/// The lowest and the highest of some ids; the lowest is above the highest when there are none.
///
/// Ids that begin with the time are fresh above all bounds, so that most parts need not be searched for
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) lowest: u128,
    pub(crate) highest: u128,
}

impl Bounds {
    /// Of no ids.
    pub(crate) const NONE: Self = Self {
        lowest: u128::MAX,
        highest: 0,
    };

    /// Widens the bounds for this id.
    pub(crate) fn include(&mut self, id: u128) {
        self.lowest = self.lowest.min(id);
        self.highest = self.highest.max(id);
    }

    /// Whether the id is above all ids.
    pub(crate) fn are_below(&self, id: u128) -> bool {
        id > self.highest || self.lowest > self.highest
    }

    /// Whether the id may be among the ids.
    pub(crate) fn contain(&self, id: u128) -> bool {
        (self.lowest..=self.highest).contains(&id)
    }

    /// The bounds of these ids and those.
    pub(crate) fn joined(self, other: Self) -> Self {
        Self {
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
        }
    }
}

/// The first 16 bytes of a text as a number that keeps the order of texts.
pub(crate) fn prefix(text: &str) -> u128 {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(text.as_bytes()) {
        *to = *from;
    }
    u128::from_be_bytes(bytes)
}
