//! Fixed-width numbers in bytes, little-endian.

/// The 64-bit number at this offset.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let rest = bytes.get(at..)?;
    rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The 32-bit number at this offset.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let rest = bytes.get(at..)?;
    rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The 16-bit number at this offset.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let rest = bytes.get(at..)?;
    rest.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

/// The number of up to eight bytes that these bytes are.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> u64 {
    if let Some(whole) = bytes.first_chunk() {
        return u64::from_le_bytes(*whole);
    }
    let mut padded = [0; 8];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(padded)
}

/// The first `width` bytes of the number.
pub(crate) fn low_bytes(number: &[u8; 8], width: usize) -> &[u8] {
    number.get(..width).unwrap_or(number)
}
