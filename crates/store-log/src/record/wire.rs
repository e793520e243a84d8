//! Numbers and texts as bytes: LEB128 varints, zigzag for signed ones, a length before each text.

use uuid::Uuid;

use super::bad_record::BadRecord;

/// The longest varint: ten groups of seven bits.
pub(super) const VARINT_BYTES_MAX: usize = 10;

/// Appends a number, seven bits a byte, the low ones first; the high bit says that more follow.
#[inline]
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
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
            out.push(0);
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

    #[inline]
    pub(super) fn byte(&mut self, part: &'static str) -> Result<u8, BadRecord> {
        let (first, rest) = self.0.split_first().ok_or(BadRecord::Short(part))?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn take(&mut self, count: u64, part: &'static str) -> Result<&'a [u8], BadRecord> {
        let count = usize::try_from(count).map_err(|_| BadRecord::Short(part))?;
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(BadRecord::Short(part))?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(
        &mut self,
        part: &'static str,
    ) -> Result<[u8; N], BadRecord> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BadRecord::Short(part))?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn varint(&mut self, part: &'static str) -> Result<u64, BadRecord> {
        match self.0 {
            [first @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Ok((*first).into())
            }
            _ => self.long_varint(part),
        }
    }

    #[inline]
    pub(super) fn zigzag(&mut self, part: &'static str) -> Result<i64, BadRecord> {
        let value = self.varint(part)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A text after its length.
    #[inline]
    pub(super) fn text(&mut self, part: &'static str) -> Result<&'a str, BadRecord> {
        let length = self.varint(part)?;
        let bytes = self.take(length, part)?;
        std::str::from_utf8(bytes).map_err(|_| BadRecord::Text(part))
    }

    /// What [`put_identity`] wrote.
    #[inline]
    pub(super) fn identity(&mut self, part: &'static str) -> Result<Identity<'a>, BadRecord> {
        if let [0, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(Identity::Uuid(Uuid::from_bytes(self.array(part)?)));
        }
        self.text(part).map(Identity::Text)
    }

    /// Nothing must be left.
    pub(super) fn end(self) -> Result<(), BadRecord> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(BadRecord::Trailing)
        }
    }

    /// A varint of one byte and more; each number has one form, so the last byte is not 0.
    fn long_varint(&mut self, part: &'static str) -> Result<u64, BadRecord> {
        let mut value = 0;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.byte(part)?;
            let bits = u64::from(byte & 0x7f);
            let shift = index * 7;
            if (bits << shift) >> shift != bits {
                return Err(BadRecord::Number(part));
            }
            value |= bits << shift;
            if byte < 0x80 {
                let overlong = byte == 0 && index > 0;
                return if overlong {
                    Err(BadRecord::Number(part))
                } else {
                    Ok(value)
                };
            }
        }
        Err(BadRecord::Number(part))
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
