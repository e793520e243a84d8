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

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
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
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put(&mut out, value);
            out.push(9);
            let mut bytes = out.as_slice();
            assert_eq!(take(&mut bytes), Some(value));
            assert_eq!(bytes, [9]);
            for cut in 0..out.len() - 1 {
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
