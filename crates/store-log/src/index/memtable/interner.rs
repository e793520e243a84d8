//! Texts numbered in the order in which they come, and what is known of each.

use super::table::Table;

/// Texts, each of a kind, with a value each, by number.
#[derive(Clone, Debug)]
pub(super) struct Interner<T> {
    /// For each text its kind and its bytes.
    texts: Vec<u8>,
    entries: Vec<Named<T>>,
    table: Table,
}

/// A text and its value, side by side: who finds the one wants the other.
#[derive(Clone, Copy, Debug)]
struct Named<T> {
    start: u32,
    length: u32,
    value: T,
}

impl<T> Interner<T> {
    /// The number of a text with this hash.
    pub(super) fn find(&self, hash: u64, kind: u8, text: &str) -> Option<u32> {
        self.table
            .find(hash)
            .find(|number| self.text(*number) == Some((kind, text.as_bytes())))
    }

    /// Takes in a text that is not there yet, under the next number.
    pub(super) fn insert(&mut self, hash: u64, kind: u8, text: &str, value: T) -> u32 {
        let number = self.next_number();
        let start = self.texts.len();
        self.texts.push(kind);
        self.texts.extend_from_slice(text.as_bytes());
        self.entries.push(Named {
            start: offset(start),
            length: offset(self.texts.len() - start),
            value,
        });
        self.table.insert(hash, number);
        number
    }

    /// Kind and bytes of the text with this number.
    pub(super) fn text(&self, number: u32) -> Option<(u8, &[u8])> {
        let entry = self.entries.get(number as usize)?;
        let start = entry.start as usize;
        let text = self.texts.get(start..start + entry.length as usize)?;
        let (kind, text) = text.split_first()?;
        Some((*kind, text))
    }

    /// The value of the text with this number.
    pub(super) fn value(&self, number: u32) -> Option<&T> {
        self.entries.get(number as usize).map(|entry| &entry.value)
    }

    /// The value of the text with this number, to change.
    pub(super) fn value_mut(&mut self, number: u32) -> Option<&mut T> {
        let entry = self.entries.get_mut(number as usize);
        entry.map(|entry| &mut entry.value)
    }

    /// The number that the next text gets; how many there are.
    pub(super) fn next_number(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Named<T>>();
        self.texts.capacity() + entries + self.table.bytes()
    }
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self {
            texts: Vec::new(),
            entries: Vec::new(),
            table: Table::default(),
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "a memtable is flushed at far fewer bytes"
)]
fn offset(place: usize) -> u32 {
    u32::try_from(place).expect("a memtable has less than 4 GiB of names")
}
