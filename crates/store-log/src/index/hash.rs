//! The keyed hash by which keys and ids are placed, in memory and on disk.

use annals_log::LogId;

use super::{APPEND_ID, STREAM, Term};

/// A text with its hash, which is made ahead of the lock under which the text is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashed<'a> {
    pub(crate) text: &'a str,
    pub(crate) hash: u64,
}

/// A hash function of one store. The log's id is its key, so that nobody who does not know it can choose
/// names or ids that collide.
///
/// Two 64-bit words at a time go into a 128-bit product whose halves are folded together. It is part of
/// the format of runs (docs/format/index.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hasher {
    a: u64,
    b: u64,
}

/// How many of a hash's top bits tell ids apart, in memory and on disk.
pub(crate) const TAG_BITS: u32 = 36;

const ODD: [u64; 3] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
];

impl Hasher {
    /// The hash function of the store on the log with this id.
    pub(crate) fn new(log_id: LogId) -> Self {
        let (a, b) = words(log_id.to_bytes());
        Self {
            a: fold(a ^ ODD[0], b ^ ODD[1]) ^ b,
            b: fold(b ^ ODD[2], a ^ ODD[0]) ^ a,
        }
    }

    /// The hash of a text of this kind.
    pub(crate) fn text(&self, kind: u8, text: &[u8]) -> u64 {
        let mut state = self.b ^ u64::from(kind);
        let (blocks, rest) = text.as_chunks::<16>();
        for block in blocks {
            let (a, b) = words(*block);
            state = fold(a ^ self.a, b ^ state);
        }
        let mut last = [0; 16];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let (a, b) = words(last);
        state = fold(a ^ self.a, b ^ state);
        fold(state ^ ODD[1], (text.len() as u64) ^ self.b ^ ODD[2])
    }

    /// The hash of a stream's name.
    pub(crate) fn stream(&self, name: &str) -> u64 {
        self.text(STREAM, name.as_bytes())
    }

    /// The hash of a term.
    pub(crate) fn term(&self, term: Term<'_>) -> u64 {
        let (kind, text) = term.key();
        self.text(kind, text.as_bytes())
    }

    /// The hash of an append's id.
    pub(crate) fn append_id(&self, id: &str) -> u64 {
        self.text(APPEND_ID, id.as_bytes())
    }

    /// The hash of an event's id.
    pub(crate) fn id(&self, id: u128) -> u64 {
        let (a, b) = words(id.to_le_bytes());
        fold(fold(a ^ self.a, b ^ self.b) ^ ODD[1], self.a ^ ODD[2])
    }
}

/// The top bits of a hash that are kept for ids.
pub(crate) const fn tag(hash: u64) -> u64 {
    hash >> (u64::BITS - TAG_BITS)
}

fn words(bytes: [u8; 16]) -> (u64, u64) {
    let number = u128::from_le_bytes(bytes);
    (low(number), low(number >> 64))
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    low(product) ^ low(product >> 64)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
const fn low(number: u128) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_part_of_the_format() {
        let hasher = Hasher::new(LogId::from_bytes([7; 16]));
        let found = [
            hasher.text(0, b""),
            hasher.text(0, b"account-42"),
            hasher.text(3, b"account-42"),
            hasher.text(0, b"0123456789abcdef"),
            hasher.id(1),
        ];
        let expected = [
            0x9abd_36d6_3435_5780,
            0xe148_0c0b_ad08_f018,
            0x989d_45ff_e12d_92d4,
            0xc454_8bef_ad38_a267,
            0x6be2_582b_0d29_e9d3,
        ];
        assert_eq!(found, expected, "{found:x?}");
    }

    #[test]
    fn counting_ids_spread_over_all_bits() {
        let hasher = Hasher::new(LogId::from_bytes([0; 16]));
        for shift in [0, 40, 64, 100] {
            let mut buckets = [0_u32; 64];
            for n in 0..6400_u128 {
                let bucket = usize::try_from(hasher.id(n << shift) >> 58).unwrap();
                buckets[bucket] += 1;
            }
            assert!(
                buckets.iter().all(|count| (50..160).contains(count)),
                "{shift}: {buckets:?}"
            );
        }
    }
}
