//! Many growing lists of ordinals in little memory.

/// The memory of many lists. A list of one ordinal takes none of it; a short one takes a power of two of a
/// shared vector; a long one has a vector of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    shared: Vec<u32>,
    /// Starts of unused pieces of the shared vector, by the logarithm of their size.
    unused: [Vec<u32>; SHARED_MAX_LOG + 1],
    long: Vec<Vec<u32>>,
    long_bytes: usize,
}

/// A list of ordinals, in order and without repeats, in some [`Lists`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    /// How many ordinals.
    pub(super) count: u32,
    /// The ordinal when it is the only one; else the start in the shared vector, or which of the long
    /// vectors.
    place: u32,
}

const SHARED_MAX_LOG: usize = 10;
const SHARED_MAX: u32 = 1 << SHARED_MAX_LOG;

impl Lists {
    /// The ordinals of a list.
    pub(super) fn get<'a>(&'a self, list: &'a List) -> &'a [u32] {
        let found = match list.count {
            0 => None,
            1 => Some(std::slice::from_ref(&list.place)),
            2..=SHARED_MAX => {
                let start = list.place as usize;
                self.shared.get(start..start + list.count as usize)
            }
            _ => self.long.get(list.place as usize).map(Vec::as_slice),
        };
        found.unwrap_or_default()
    }

    /// Appends an ordinal that is above all in the list.
    pub(super) fn push(&mut self, list: &mut List, ordinal: u32) {
        match list.count {
            0 => list.place = ordinal,
            count if count > SHARED_MAX => {
                if let Some(long) = self.long.get_mut(list.place as usize) {
                    let before = long.capacity();
                    long.push(ordinal);
                    self.long_bytes += (long.capacity() - before) * size_of::<u32>();
                }
            }
            SHARED_MAX => self.become_long(list, ordinal),
            count if count.is_power_of_two() => self.move_up(list, ordinal),
            count => {
                let end = list.place as usize + count as usize;
                if let Some(slot) = self.shared.get_mut(end) {
                    *slot = ordinal;
                }
            }
        }
        list.count += 1;
    }

    /// The memory that all lists take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.shared.capacity() * size_of::<u32>() + self.long_bytes
    }

    /// Moves a list whose piece is full to one of twice the size.
    fn move_up(&mut self, list: &mut List, ordinal: u32) {
        let old_log = list.count.trailing_zeros() as usize;
        let reused = self.unused.get_mut(old_log + 1).and_then(Vec::pop);
        let start = reused.map_or(self.shared.len(), |start| start as usize);
        if reused.is_none() {
            self.shared.resize(start + (2 << old_log), 0);
        }
        if list.count == 1 {
            self.write(start, &[list.place, ordinal]);
        } else {
            let old = list.place as usize;
            let end = old + list.count as usize;
            self.shared.copy_within(old..end, start);
            self.write(start + list.count as usize, &[ordinal]);
            self.give_back(*list);
        }
        list.place = index(start);
    }

    fn become_long(&mut self, list: &mut List, ordinal: u32) {
        let mut long = Vec::with_capacity(2 * SHARED_MAX as usize);
        long.extend_from_slice(self.get(list));
        long.push(ordinal);
        self.long_bytes += long.capacity() * size_of::<u32>();
        self.give_back(*list);
        list.place = index(self.long.len());
        self.long.push(long);
    }

    fn give_back(&mut self, list: List) {
        let log = list.count.trailing_zeros() as usize;
        if let Some(unused) = self.unused.get_mut(log) {
            unused.push(list.place);
        }
    }

    fn write(&mut self, start: usize, ordinals: &[u32]) {
        if let Some(piece) = self.shared.get_mut(start..start + ordinals.len()) {
            piece.copy_from_slice(ordinals);
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "a memtable is flushed at far fewer bytes"
)]
fn index(place: usize) -> u32 {
    u32::try_from(place).expect("a memtable has less than 4 G ordinals in its lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_grow_side_by_side() {
        const STEPS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
        let mut lists = Lists::default();
        let mut some = [List::default(); 5];
        for ordinal in 0..10_000_u32 {
            for (step, list) in STEPS.into_iter().zip(&mut some) {
                if ordinal.is_multiple_of(step) {
                    lists.push(list, ordinal);
                }
            }
        }
        for (step, list) in STEPS.into_iter().zip(&some) {
            let expected: Vec<u32> = (0..10_000).step_by(step as usize).collect();
            assert_eq!(lists.get(list), expected);
        }
        assert!(lists.bytes() < 200_000, "{}", lists.bytes());
        assert_eq!(lists.get(&List::default()), [0_u32; 0]);
    }
}
