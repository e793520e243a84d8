//! Numbers in as few bytes as they need: LEB128, seven bits a byte, lowest first.

/// The most bytes that a number takes.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Appends the number.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Takes a number off the front; `None` when there is no whole one.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(first.into());
    }
    take_long(bytes)
}

/// Takes a number off the front that fits 32 bits.
#[inline]
pub(crate) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).and_then(|value| value.try_into().ok())
}

/// Takes this many bytes off the front.
#[inline]
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// Takes a number of several bytes. Where a whole word is left that holds it, the word is looked at once:
/// the first byte without its high bit ends the number, and its groups of seven bits are pushed together.
#[inline(never)]
fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
    if let Some(word) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*word);
        let ends = !word & HIGH_BITS;
        if ends != 0 {
            let length = ends.trailing_zeros() / 8 + 1;
            *bytes = bytes.get(length as usize..)?;
            return Some(pushed_together(word & (u64::MAX >> (64 - 8 * length))));
        }
    }
    take_slowly(bytes)
}

/// The lower seven bits of each byte, without the gaps between them.
#[inline]
fn pushed_together(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

fn take_slowly(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if *byte < 0x80 {
            *bytes = bytes.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            (1 << 21) - 1,
            0x0012_3456_789a_bcde,
            (1 << 56) - 1,
            1 << 56,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put(&mut out, value);
            let length = out.len();
            for further in 0..10 {
                out.truncate(length);
                out.resize(length + further, 0x89);
                let mut bytes = out.as_slice();
                assert_eq!(take(&mut bytes), Some(value));
                assert_eq!(bytes, vec![0x89; further]);
            }
            for cut in 0..length {
                assert_eq!(take(&mut &out[..cut]), None, "{value} cut to {cut}");
            }
        }
    }

    #[test]
    fn too_big_a_number_is_refused() {
        assert_eq!(take(&mut [0xff; 10].as_slice()), None);
        assert_eq!(take(&mut [0x80; 20].as_slice()), None);
        assert_eq!(
            take_u32(&mut [0xff, 0xff, 0xff, 0xff, 0x1f].as_slice()),
            None
        );
    }
}
