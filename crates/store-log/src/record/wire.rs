//! Numbers and texts as bytes: a number in as many bytes as it needs, a length before each text.

use uuid::Uuid;

use super::bad_record::{BadRecord, Part};

/// The longest number: a byte that says so, then all eight.
pub(super) const VARINT_BYTES_MAX: usize = 9;

/// Appends a number: in n bytes (1 to 8), n - 1 zero bits, a one bit and the 7n bits of the number, low
/// bits and low bytes first; what needs more than 56 bits in eight bytes after one of 0. A reader knows the
/// length from the first byte, and takes the bytes at once.
#[inline]
pub(super) fn put_varint(value: u64, out: &mut Vec<u8>) {
    let bytes = varint_bytes(value);
    if bytes > 8 {
        out.push(0);
        out.extend_from_slice(&value.to_le_bytes());
        return;
    }
    let word = ((value << 1) | 1) << (bytes - 1);
    let end = out.len() + bytes;
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(end);
}

/// How many bytes a number takes.
#[inline]
const fn varint_bytes(value: u64) -> usize {
    match (value | 1).ilog2() {
        bit @ 0..56 => bit as usize / 7 + 1,
        _ => VARINT_BYTES_MAX,
    }
}

/// Appends a signed number whose small magnitudes are short.
#[inline]
pub(super) fn put_zigzag(value: i64, out: &mut Vec<u8>) {
    put_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

/// Appends a text after its length.
#[inline]
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_varint(length(text.len()), out);
    out.extend_from_slice(text.as_bytes());
}

/// Appends an identity: the 16 bytes of a UUID after a length of 0 when it is the lower-case text of one,
/// the text after its length when it is not.
#[inline]
pub(super) fn put_identity(text: &str, out: &mut Vec<u8>) {
    match uuid_of(text) {
        Some(uuid) => {
            put_varint(0, out);
            out.extend_from_slice(uuid.as_bytes());
        }
        None => put_text(text, out),
    }
}

/// A length as it is written.
#[inline]
pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// An identity as it is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Identity<'a> {
    /// The text itself.
    Text(&'a str),
    /// The UUID whose lower-case text it is.
    Uuid(Uuid),
}

impl Identity<'_> {
    /// Gives the text to `use_text`, without an allocation for that of a UUID.
    pub(super) fn with_text<T>(&self, use_text: impl FnOnce(&str) -> T) -> T {
        match self {
            Self::Text(text) => use_text(text),
            Self::Uuid(uuid) => {
                use_text(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }
    }
}

/// What is left to read of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

#[expect(
    clippy::inline_always,
    reason = "an event has a dozen parts, and the result of a call goes through memory"
)]
impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, part: Part) -> Result<u8, BadRecord> {
        let (first, rest) = self.0.split_first().ok_or(BadRecord::Short(part))?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline(always)]
    pub(super) fn take(&mut self, count: u64, part: Part) -> Result<&'a [u8], BadRecord> {
        let count = usize::try_from(count).map_err(|_| BadRecord::Short(part))?;
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(BadRecord::Short(part))?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, part: Part) -> Result<[u8; N], BadRecord> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BadRecord::Short(part))?;
        self.0 = rest;
        Ok(*taken)
    }

    /// What [`put_varint`] wrote; each number has one form.
    #[inline(always)]
    pub(super) fn varint(&mut self, part: Part) -> Result<u64, BadRecord> {
        match self.0 {
            [first, rest @ ..] if first & 1 == 1 => {
                self.0 = rest;
                Ok(u64::from(first >> 1))
            }
            _ => self.apart(|reader| reader.long_varint(part)),
        }
    }

    /// What [`put_zigzag`] wrote; the short form is not the usual one here.
    #[inline(always)]
    pub(super) fn zigzag(&mut self, part: Part) -> Result<i64, BadRecord> {
        let value = self.any_varint(part)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// The bytes of a text after its length, which the caller has yet to check.
    #[inline(always)]
    pub(super) fn text_bytes(&mut self, part: Part) -> Result<&'a [u8], BadRecord> {
        let length = self.varint(part)?;
        self.take(length, part)
    }

    /// A text after its length.
    #[inline(always)]
    pub(super) fn text(&mut self, part: Part) -> Result<&'a str, BadRecord> {
        let length = self.varint(part)?;
        self.utf8(length, part)
    }

    /// A text of this many bytes.
    #[inline(always)]
    pub(super) fn utf8(&mut self, length: u64, part: Part) -> Result<&'a str, BadRecord> {
        let bytes = self.take(length, part)?;
        std::str::from_utf8(bytes).map_err(|_| BadRecord::Text(part))
    }

    /// What [`put_identity`] wrote.
    #[inline]
    pub(super) fn identity(&mut self, part: Part) -> Result<Identity<'a>, BadRecord> {
        let length = self.varint(part)?;
        if length == 0 {
            return Ok(Identity::Uuid(Uuid::from_bytes(self.array(part)?)));
        }
        self.utf8(length, part).map(Identity::Text)
    }

    /// Reads by a call that is not inlined, on a copy: so the reader itself stays in registers.
    #[inline(always)]
    pub(super) fn apart<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<T, BadRecord> {
        let mut copy = *self;
        let value = read(&mut copy)?;
        *self = copy;
        Ok(value)
    }

    /// Nothing must be left.
    pub(super) fn end(self) -> Result<(), BadRecord> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(BadRecord::Trailing)
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, part: Part) -> Result<u64, BadRecord> {
        self.any_varint(part)
    }

    /// A number of any length: of a word, the bytes that are the number's go up, and come down without the
    /// bits that tell their count.
    #[inline(always)]
    fn any_varint(&mut self, part: Part) -> Result<u64, BadRecord> {
        let word = match self.0.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => self.last_word(),
        };
        let zeros = word.trailing_zeros();
        if zeros > 7 {
            return self.apart(|reader| reader.longest_varint(part));
        }
        let bytes = zeros + 1;
        self.take(bytes.into(), part)?;
        let value = (word << (64 - 8 * bytes)) >> (64 - 7 * bytes);
        if zeros > 0 && value >> (7 * zeros) == 0 {
            return Err(BadRecord::Number(part));
        }
        Ok(value)
    }

    /// A number of more than 56 bits.
    #[cold]
    fn longest_varint(&mut self, part: Part) -> Result<u64, BadRecord> {
        self.byte(part)?;
        let value = u64::from_le_bytes(self.array(part)?);
        if value >> 56 == 0 {
            Err(BadRecord::Number(part))
        } else {
            Ok(value)
        }
    }

    /// Less than eight bytes, with zeros in place of those that are not there.
    #[cold]
    fn last_word(self) -> u64 {
        let mut word = [0; 8];
        for (place, byte) in word.iter_mut().zip(self.0) {
            *place = *byte;
        }
        u64::from_le_bytes(word)
    }
}

/// The UUID of which this is the canonical text: hyphenated and in lower case.
fn uuid_of(text: &str) -> Option<Uuid> {
    const TEXT_BYTES: usize = uuid::fmt::Hyphenated::LENGTH;
    if text.len() != TEXT_BYTES {
        return None;
    }
    let uuid = Uuid::try_parse_ascii(text.as_bytes()).ok()?;
    let is_canonical = uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
    is_canonical.then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: u64, bytes: &[u8]) {
        let mut out = Vec::new();
        put_varint(value, &mut out);
        assert_eq!(out, bytes, "{value}");
        for followed in [&[][..], &[0xff; 9]] {
            let all = [bytes, followed].concat();
            let mut reader = Reader::new(&all);
            assert_eq!(
                (reader.varint(Part::Version), reader.rest()),
                (Ok(value), followed)
            );
        }
        for cut in 0..bytes.len() {
            assert_eq!(
                Reader::new(&bytes[..cut]).varint(Part::Version),
                Err(BadRecord::Short(Part::Version))
            );
        }
    }

    #[test]
    fn a_number_takes_the_bytes_it_needs() {
        check(0, &[0b1]);
        check(5, &[0b1011]);
        check(127, &[0xff]);
        check(128, &[0b10, 0b10]);
        check((1 << 14) - 1, &[0xfe, 0xff]);
        check(1 << 14, &[0b100, 0, 0b10]);
        check((1 << 56) - 1, &[0x80, 255, 255, 255, 255, 255, 255, 255]);
        check(1 << 56, &[0, 0, 0, 0, 0, 0, 0, 0, 1]);
        check(u64::MAX, &[0, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn a_number_has_one_form() {
        for overlong in [
            &[0b10, 0][..],
            &[0b10, 1],
            &[0b100, 0, 1],
            &[0, 1, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let read = Reader::new(overlong).varint(Part::Version);
            assert_eq!(read, Err(BadRecord::Number(Part::Version)), "{overlong:?}");
        }
        for bits in 0..=64_u32 {
            for value in [
                1_u64.checked_shl(bits).unwrap_or(0),
                1_u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1),
            ] {
                let mut out = Vec::new();
                put_varint(value, &mut out);
                assert_eq!(Reader::new(&out).varint(Part::Version), Ok(value));
                out.clear();
                put_zigzag(value.cast_signed(), &mut out);
                assert_eq!(
                    Reader::new(&out).zigzag(Part::Version),
                    Ok(value.cast_signed())
                );
            }
        }
    }

    #[test]
    fn the_text_of_a_uuid_is_short_when_it_is_the_one_that_comes_back() {
        for (text, bytes) in [
            ("018bcfe5-6800-7abc-8def-0123456789ab", 17),
            ("00000000-0000-0000-0000-000000000000", 17),
            ("018BCFE5-6800-7abc-8def-0123456789ab", 37),
            ("018bcfe5-6800-7abc-8def-0123456789ag", 37),
            ("018bcfe568007abc8def0123456789ab", 33),
            ("request-7", 10),
        ] {
            let mut out = Vec::new();
            put_identity(text, &mut out);
            assert_eq!(out.len(), bytes, "{text}");
            let identity = Reader::new(&out).identity(Part::Version).unwrap();
            identity.with_text(|found| assert_eq!(found, text));
        }
    }
}
