//! CRC32C (Castagnoli), fast for the few hundred bytes of a record.
//!
//! Where the processor has the instructions, a loop of our own computes it; elsewhere the `crc32c` crate
//! does, which is also what the tests compare with.

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The checksum of these bytes.
///
/// ```
/// assert_eq!(annals_log::checksum::crc32c(b"123456789"), 0xe306_9283);
/// ```
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_append(0, bytes)
}

/// The checksum of the bytes that `crc` is the checksum of, followed by these.
///
/// ```
/// use annals_log::checksum::{crc32c, crc32c_append};
///
/// assert_eq!(crc32c_append(crc32c(b"1234"), b"56789"), crc32c(b"123456789"));
/// ```
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c_append_after(crc, [], bytes)
}

/// The checksum of the bytes that `crc` is the checksum of, followed by `prefix`, then by `bytes`. It costs
/// little more than without a prefix.
#[inline]
pub(crate) fn crc32c_append_after<const N: usize>(crc: u32, prefix: [u8; N], bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if let Some(crc) = x86::append(crc, prefix, bytes) {
        return crc;
    }
    portable(crc, prefix, bytes)
}

fn portable<const N: usize>(crc: u32, prefix: [u8; N], bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &prefix), bytes)
}
