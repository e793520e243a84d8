//! Texts numbered in the order in which they come.

use super::table::Table;

/// Texts, each of a kind, by number and back.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner {
    /// For each text its kind and its bytes.
    texts: Vec<u8>,
    ends: Vec<usize>,
    table: Table,
}

impl Interner {
    /// The number of a text with this hash.
    pub(super) fn find(&self, hash: u64, kind: u8, text: &str) -> Option<u32> {
        self.table
            .find(hash)
            .find(|number| self.get(*number) == Some((kind, text.as_bytes())))
    }

    /// Takes in a text that is not there yet, under the next number.
    pub(super) fn insert(&mut self, hash: u64, kind: u8, text: &str) -> u32 {
        let number = self.next_number();
        self.texts.push(kind);
        self.texts.extend_from_slice(text.as_bytes());
        self.ends.push(self.texts.len());
        self.table.insert(hash, number);
        number
    }

    /// Kind and bytes of the text with this number.
    pub(super) fn get(&self, number: u32) -> Option<(u8, &[u8])> {
        let index = number as usize;
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let (kind, text) = self.texts.get(start..end)?.split_first()?;
        Some((*kind, text))
    }

    /// The number that the next text gets; how many there are.
    pub(super) fn next_number(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.texts.capacity() + self.ends.capacity() * size_of::<usize>() + self.table.bytes()
    }
}
