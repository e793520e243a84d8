//! What travels beside an event: where it came from, and the application's own headers.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use uuid::Uuid;

use super::ids::EventId;
use super::name::{Name, check, is_plain, name_type};
use crate::error::check_limit;
use crate::limits::NAME_BYTES_MAX;
use crate::{Error, ErrorKind};

name_type! {
    /// What a whole conversation of commands and events shares, as a request's or a trace's id.
    CorrelationId, "correlation id"
}

name_type! {
    /// What directly caused this: the id of a command, or of the event that was reacted to.
    CausationId, "causation id"
}

impl From<EventId> for CausationId {
    fn from(id: EventId) -> Self {
        Self(name_of(id))
    }
}

impl From<EventId> for CorrelationId {
    fn from(id: EventId) -> Self {
        Self(name_of(id))
    }
}

/// The context of an event: correlation, causation and headers, carried from the command.
///
/// At most [`limits::METADATA_BYTES_MAX`](crate::limits::METADATA_BYTES_MAX) in all. One buffer, whatever is in
/// it: cheap to clone, free when empty.
///
/// ```
/// use annals_core::{CorrelationId, Metadata};
///
/// let metadata = Metadata::EMPTY
///     .with_correlation_id(CorrelationId::parse("request-7")?)?
///     .with_header("user", "erika")?;
/// assert_eq!(metadata.header("user"), Some("erika"));
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Bytes);

/// The context of an event, borrowed: what [`Metadata`] tells, without a copy of it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MetadataRef<'a>(&'a [u8]);

/// Gathers metadata in its packed form at the end of a buffer.
///
/// The form stays in memory: the bytes of all texts (4), flags (1), the ids, each after its length (4), then the
/// headers in ascending order of their names: length of the name (4) and of the value (4), name, value. Nothing
/// at all when there is no id and no header.
#[derive(Debug)]
pub(crate) struct MetadataPacker {
    start: usize,
    flags: u8,
    texts: usize,
    last_name: Range<usize>,
}

impl Metadata {
    /// No context.
    pub const EMPTY: Self = Self(Bytes::new());

    /// The same with this correlation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the whole grows over the limit.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an id is handed over, as a header is not"
    )]
    pub fn with_correlation_id(self, id: CorrelationId) -> Result<Self, Error> {
        let (_, causation, headers) = self.view().parts();
        Self::packed(Some(id.as_str()), causation, headers)
    }

    /// The same with this causation id.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the whole grows over the limit.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an id is handed over, as a header is not"
    )]
    pub fn with_causation_id(self, id: CausationId) -> Result<Self, Error> {
        let (correlation, _, headers) = self.view().parts();
        Self::packed(correlation, Some(id.as_str()), headers)
    }

    /// The same with this header, in place of one of the same name. Of many headers, see
    /// [`with_headers`](Self::with_headers).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, or when the whole grows over
    /// the limit. The value may be any text without U+0000, which some databases can't keep.
    pub fn with_header(self, name: &str, value: &str) -> Result<Self, Error> {
        let (correlation, causation, headers) = self.view().parts();
        let before = headers.clone().take_while(|(other, _)| *other < name);
        let after = headers.skip_while(|(other, _)| *other <= name);
        let headers = before.chain([(name, value)]).chain(after);
        Self::packed(correlation, causation, headers)
    }

    /// The same with these headers, in any order, each in place of one of the same name: of equal names, the last
    /// counts. All at once, which costs far less than [`with_header`](Self::with_header) for each.
    ///
    /// ```
    /// use annals_core::Metadata;
    ///
    /// let metadata = Metadata::EMPTY.with_headers([("user", "erika"), ("locale", "de"), ("user", "max")])?;
    /// let headers: Vec<_> = metadata.headers().collect();
    /// assert_eq!(headers, [("locale", "de"), ("user", "max")]);
    /// # Ok::<(), annals_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`with_header`](Self::with_header), for the headers that count.
    pub fn with_headers<'a>(
        self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let (correlation, causation, present) = self.view().parts();
        let mut all: Vec<(&str, &str)> = present.collect();
        for header in headers {
            all.push(header);
        }
        // Stable, so that of equal names the last stays the last.
        all.sort_by_key(|(name, _)| *name);
        all.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                *kept = *later;
            }
            is_same
        });
        Self::packed(correlation, causation, all.iter().copied())
    }

    /// The same, borrowed.
    pub fn view(&self) -> MetadataRef<'_> {
        MetadataRef(&self.0)
    }

    /// What the whole conversation shares.
    pub fn correlation_id(&self) -> Option<CorrelationId> {
        self.view().correlation_id()
    }

    /// What directly caused this.
    pub fn causation_id(&self) -> Option<CausationId> {
        self.view().causation_id()
    }

    /// The value of the header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.view().header(name)
    }

    /// The names and values of the headers, ordered by name.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.view().headers()
    }

    /// Whether there is nothing in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all ids, names and values, as counted against the limit.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.view().bytes()
    }

    /// Checks a header of a store's own bytes by the rules of [`with_header`](Self::with_header); for authors of
    /// stores. Both are UTF-8.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that breaks the rules of its type, for a value with U+0000, and for what is
    /// not UTF-8.
    #[inline]
    pub fn check_header(name: &[u8], value: &[u8]) -> Result<(), Error> {
        // As most are, so that nothing need be decoded.
        let is_usual =
            (1..=NAME_BYTES_MAX).contains(&name.len()) && is_plain(name) && is_plain(value);
        if is_usual {
            Ok(())
        } else {
            check_unusual_header(name, value)
        }
    }

    fn packed<'a>(
        correlation: Option<&str>,
        causation: Option<&str>,
        headers: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<Self, Error> {
        const LENGTH_BYTES: usize = size_of::<u32>();
        let ids = [correlation, causation].into_iter().flatten();
        let ids = ids.map(|id| LENGTH_BYTES + id.len());
        let texts = headers.clone();
        let texts = texts.map(|(name, value)| 2 * LENGTH_BYTES + name.len() + value.len());
        // Exact, so that nothing is left over that sharing it would have to note.
        let bytes = MetadataPacker::HEAD_BYTES + ids.sum::<usize>() + texts.sum::<usize>();
        let mut out = Vec::with_capacity(bytes);
        let mut packer = MetadataPacker::begin(&mut out);
        if let Some(id) = correlation {
            packer.correlation_id(id, &mut out)?;
        }
        if let Some(id) = causation {
            packer.causation_id(id, &mut out)?;
        }
        for (name, value) in headers {
            packer.header(name.as_bytes(), value.as_bytes(), &mut out)?;
        }
        packer.finish(&mut out)?;
        Ok(Self(out.into()))
    }
}

impl<'a> MetadataRef<'a> {
    /// The metadata of a buffer that a [`MetadataPacker`] wrote to.
    #[inline]
    pub(crate) const fn of_packed(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What the whole conversation shares.
    pub fn correlation_id(self) -> Option<CorrelationId> {
        let (correlation, ..) = self.parts();
        correlation.map(|id| CorrelationId(Name::from_checked(id)))
    }

    /// What directly caused this.
    pub fn causation_id(self) -> Option<CausationId> {
        let (_, causation, _) = self.parts();
        causation.map(|id| CausationId(Name::from_checked(id)))
    }

    /// The value of the header of this name.
    pub fn header(self, name: &str) -> Option<&'a str> {
        self.headers()
            .find_map(|(found, value)| (found == name).then_some(value))
    }

    /// The names and values of the headers, ordered by name.
    pub fn headers(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (_, _, headers) = self.parts();
        headers
    }

    /// Whether there is nothing in it.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all ids, names and values, as counted against the limit.
    #[inline]
    pub fn bytes(self) -> usize {
        take_length(self.0).map_or(0, |(bytes, _)| bytes)
    }

    /// The same with a buffer of its own.
    pub fn to_metadata(self) -> Metadata {
        Metadata(Bytes::copy_from_slice(self.0))
    }

    fn parts(self) -> (Option<&'a str>, Option<&'a str>, Headers<'a>) {
        let rest = self.0.get(size_of::<u32>()..).unwrap_or_default();
        let (flags, mut rest) = rest.split_first().unwrap_or((&0, &[]));
        let mut id = |flag| {
            let (length, after) = take_length(rest).filter(|_| flags & flag != 0)?;
            let (id, after) = take_text(after, length)?;
            rest = after;
            Some(id)
        };
        let (correlation, causation) = (id(CORRELATION), id(CAUSATION));
        (correlation, causation, Headers(rest))
    }
}

const CORRELATION: u8 = 1;
const CAUSATION: u8 = 1 << 1;

/// The headers that are left.
#[derive(Clone)]
struct Headers<'a>(&'a [u8]);

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = take_length(self.0)?;
        let (value, rest) = take_length(rest)?;
        let (name, rest) = take_text(rest, name)?;
        let (value, rest) = take_text(rest, value)?;
        self.0 = rest;
        Some((name, value))
    }
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*length) as usize, rest))
}

fn take_text(bytes: &[u8], length: usize) -> Option<(&str, &[u8])> {
    let (text, rest) = bytes.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

impl MetadataPacker {
    /// How long the part before the ids is.
    const HEAD_BYTES: usize = 5;

    /// Begins at the end of the buffer, to which nobody else may add before the end.
    #[inline]
    pub(crate) fn begin(out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; Self::HEAD_BYTES]);
        Self {
            start,
            flags: 0,
            texts: 0,
            last_name: 0..0,
        }
    }

    /// Adds the correlation id; before everything else.
    pub(crate) fn correlation_id(&mut self, id: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        check(id, "correlation id", NAME_LIMIT)?;
        if self.flags != 0 || self.has_header() {
            let message = "correlation id is out of order; give it once, before all else";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.id(CORRELATION, id, out);
        Ok(())
    }

    /// Adds the causation id; before the headers.
    pub(crate) fn causation_id(&mut self, id: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        check(id, "causation id", NAME_LIMIT)?;
        if self.flags & CAUSATION != 0 || self.has_header() {
            let message = "causation id is out of order; give it once, before the headers";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.id(CAUSATION, id, out);
        Ok(())
    }

    /// Adds a header, whose name comes after those of all before; both are UTF-8.
    #[inline]
    pub(crate) fn header(
        &mut self,
        name: &[u8],
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        Metadata::check_header(name, value)?;
        if self.has_header() && out.get(self.last_name.clone()).unwrap_or_default() >= name {
            let message = "headers are out of order; sort them by name";
            let name = String::from_utf8_lossy(name);
            return Err(Error::new(ErrorKind::Invalid, message).with("header", name));
        }
        out.reserve(2 * size_of::<u32>() + name.len() + value.len());
        put_length(name.len(), out);
        put_length(value.len(), out);
        self.last_name = out.len()..out.len() + name.len();
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        self.texts += name.len() + value.len();
        Ok(())
    }

    /// Ends it, and says where in the buffer it is; nowhere when there is nothing in it.
    #[inline]
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<Range<usize>, Error> {
        check_limit!("metadata of too many bytes", self.texts, METADATA_BYTES_MAX)?;
        if self.texts == 0 {
            out.truncate(self.start);
            return Ok(self.start..self.start);
        }
        let head = out.get_mut(self.start..);
        if let Some([a, b, c, d, flags, ..]) = head {
            [*a, *b, *c, *d] = length(self.texts);
            *flags = self.flags;
        }
        Ok(self.start..out.len())
    }

    /// No name is empty.
    #[inline]
    fn has_header(&self) -> bool {
        !self.last_name.is_empty()
    }

    fn id(&mut self, flag: u8, id: &str, out: &mut Vec<u8>) {
        self.flags |= flag;
        self.texts += id.len();
        put_length(id.len(), out);
        out.extend_from_slice(id.as_bytes());
    }
}

const NAME_LIMIT: (&str, usize) = ("NAME_BYTES_MAX", NAME_BYTES_MAX);

#[inline]
fn put_length(bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&length(bytes));
}

/// A length in the packed form. What does not fit is over the limit, and refused at the end.
#[inline]
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view(), f)
    }
}

impl fmt::Debug for MetadataRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A map of what there is.
        struct Map<'a>(Headers<'a>);
        impl fmt::Debug for Map<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map().entries(self.0.clone()).finish()
            }
        }
        let (correlation_id, causation_id, headers) = self.parts();
        f.debug_struct("Metadata")
            .field("correlation_id", &correlation_id)
            .field("causation_id", &causation_id)
            .field("headers", &Map(headers))
            .finish()
    }
}

impl PartialEq<Metadata> for MetadataRef<'_> {
    fn eq(&self, other: &Metadata) -> bool {
        *self == other.view()
    }
}

impl PartialEq<&Metadata> for MetadataRef<'_> {
    fn eq(&self, other: &&Metadata) -> bool {
        *self == other.view()
    }
}

#[cold]
fn check_unusual_header(name: &[u8], value: &[u8]) -> Result<(), Error> {
    let text = |bytes| {
        std::str::from_utf8(bytes).map_err(|error| {
            let message = "header is not UTF-8; encode it";
            Error::new(ErrorKind::Invalid, message).caused_by(error)
        })
    };
    let (name, value) = (text(name)?, text(value)?);
    check(name, "header name", NAME_LIMIT)?;
    if value.contains('\0') {
        let message = "header value has a zero character; remove it";
        return Err(Error::new(ErrorKind::Invalid, message).with("header", name));
    }
    Ok(())
}

/// The canonical text of a UUID has nothing that a name may not have.
fn name_of(id: EventId) -> Name {
    let mut text = Uuid::encode_buffer();
    Name::from_checked(id.as_uuid().hyphenated().encode_lower(&mut text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_clones_alone_and_keeps_to_the_limit() {
        let first = Metadata::EMPTY.with_header("a", "1").unwrap();
        let second = first.clone().with_header("a", "2").unwrap();
        assert_eq!(
            (first.header("a"), second.header("a")),
            (Some("1"), Some("2"))
        );
        assert_eq!(second.bytes(), 2);
        assert!(first.clone().with_header("b", "\0").is_err());
        assert!(first.clone().with_header("", "1").is_err());
        let error = second.with_header("big", &"x".repeat(65_536)).unwrap_err();
        assert_eq!(
            error.limit().map(|limit| limit.name),
            Some("METADATA_BYTES_MAX")
        );
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let id = |text| CorrelationId::parse(text).unwrap();
        let cause = CausationId::parse("cause").unwrap();
        let metadata = Metadata::EMPTY
            .with_header("b", "")
            .and_then(|metadata| metadata.with_correlation_id(id("first")))
            .and_then(|metadata| metadata.with_header("a", "caf\u{e9}"))
            .and_then(|metadata| metadata.with_causation_id(cause.clone()))
            .and_then(|metadata| metadata.with_header("c", "\n"))
            .and_then(|metadata| metadata.with_correlation_id(id("second")))
            .unwrap();
        let headers: Vec<_> = metadata.headers().collect();
        assert_eq!(headers, [("a", "caf\u{e9}"), ("b", ""), ("c", "\n")]);
        assert_eq!(metadata.correlation_id(), Some(id("second")));
        assert_eq!(metadata.causation_id(), Some(cause));
        assert_eq!(metadata.bytes(), 6 + 5 + 3 + 5 + 1);
        assert_eq!(metadata.view().to_metadata(), metadata);
        assert_eq!(Metadata::EMPTY.view().to_metadata(), Metadata::EMPTY);
        assert_eq!(
            (Metadata::EMPTY.bytes(), Metadata::EMPTY.headers().count()),
            (0, 0)
        );
    }

    #[test]
    fn headers_given_at_once_are_those_given_one_by_one() {
        let ids = |metadata: Metadata| {
            metadata
                .with_correlation_id(CorrelationId::from_static("c"))
                .and_then(|metadata| metadata.with_causation_id(CausationId::from_static("d")))
        };
        for present in [&[][..], &[("b", "present")], &[("a", ""), ("c", "present")]] {
            for headers in [
                &[][..],
                &[("b", "1")],
                &[("c", "1"), ("a", ""), ("b", "caf\u{e9}")],
                &[("b", "1"), ("a", "1"), ("b", "2"), ("a", "1"), ("b", "1")],
            ] {
                let mut one_by_one = ids(Metadata::EMPTY).unwrap();
                for (name, value) in present.iter().chain(headers) {
                    one_by_one = one_by_one.with_header(name, value).unwrap();
                }
                let first = Metadata::EMPTY.with_headers(present.iter().copied());
                let all = first
                    .and_then(ids)
                    .and_then(|metadata| metadata.with_headers(headers.iter().copied()));
                assert_eq!(all.unwrap(), one_by_one, "{present:?} {headers:?}");
            }
        }
        assert!(Metadata::EMPTY.with_headers([]).unwrap().is_empty());
    }

    #[test]
    fn headers_given_at_once_keep_to_the_rules_and_the_limit() {
        let of = |headers: &[_]| Metadata::EMPTY.with_headers(headers.iter().copied());
        for header in [("", "1"), ("a\n", "1"), ("b", "\0")] {
            let error = of(&[("a", "1"), header, ("c", "1")]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{header:?}");
        }
        let names: Vec<_> = (0..16_384).map(|number| format!("{number:04x}")).collect();
        let mut headers: Vec<_> = names.iter().rev().map(|name| (name.as_str(), "")).collect();
        let full = of(&headers).unwrap();
        assert_eq!(full.bytes(), crate::limits::METADATA_BYTES_MAX);
        assert!(full.headers().map(|(name, _)| name).eq(&names));
        headers.push(("4000", ""));
        let limit = of(&headers).unwrap_err().limit().map(|limit| limit.name);
        assert_eq!(limit, Some("METADATA_BYTES_MAX"));
    }

    /// Some contexts, no two alike.
    fn contexts() -> Vec<Metadata> {
        let id = |text| CorrelationId::parse(text).unwrap();
        let cause = |text| CausationId::parse(text).unwrap();
        let of = |headers: &[_]| Metadata::EMPTY.with_headers(headers.iter().copied());
        vec![
            Metadata::EMPTY,
            Metadata::EMPTY.with_correlation_id(id("a")).unwrap(),
            Metadata::EMPTY.with_correlation_id(id("b")).unwrap(),
            Metadata::EMPTY.with_causation_id(cause("a")).unwrap(),
            of(&[("a", "")]).unwrap(),
            of(&[("a", "b")]).unwrap(),
            of(&[("ab", "")]).unwrap(),
            of(&[("a", ""), ("b", "")]).unwrap(),
            of(&[("a", "")])
                .and_then(|metadata| metadata.with_causation_id(cause("a")))
                .unwrap(),
        ]
    }

    #[test]
    fn metadata_is_equal_by_what_is_in_it() {
        for (place, one) in contexts().iter().enumerate() {
            for (other_place, other) in contexts().iter().enumerate() {
                let is_same = place == other_place;
                assert_eq!(one == other, is_same, "{one:?} {other:?}");
                assert_eq!(one.view() == other.view(), is_same);
                assert_eq!(one.view() == *other, is_same);
                assert_eq!(one.view() == other, is_same);
            }
            assert_eq!(one.view(), one.view().to_metadata());
        }
        assert_eq!(MetadataRef::default(), Metadata::default());
    }

    #[test]
    fn debug_shows_ids_names_and_values() {
        let metadata = Metadata::EMPTY
            .with_correlation_id(CorrelationId::from_static("request-7"))
            .and_then(|metadata| metadata.with_headers([("user", "erika"), ("zone", "\n")]))
            .unwrap();
        let text = r#"Metadata { correlation_id: Some("request-7"), causation_id: None, headers: {"user": "erika", "zone": "\n"} }"#;
        assert_eq!(format!("{metadata:?}"), text);
        assert_eq!(format!("{:?}", metadata.view()), text);
        let text = "Metadata { correlation_id: None, causation_id: None, headers: {} }";
        assert_eq!(format!("{:?}", Metadata::EMPTY), text);
    }

    /// Only a packer makes them, but nothing panics or runs on were they damaged.
    #[test]
    fn any_packed_bytes_can_be_looked_at() {
        let whole = Metadata::EMPTY
            .with_correlation_id(CorrelationId::from_static("c"))
            .and_then(|metadata| metadata.with_causation_id(CausationId::from_static("d")))
            .and_then(|metadata| metadata.with_headers([("user", "erika"), ("zone", "")]))
            .unwrap();
        let look = |packed: &[u8]| {
            let view = MetadataRef::of_packed(packed);
            let texts: usize = view.headers().map(|(name, _)| name.len()).sum();
            assert!(texts <= packed.len());
            assert!(!format!("{view:?}").is_empty());
        };
        for end in 0..whole.0.len() {
            look(&whole.0[..end]);
            for byte in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.0.to_vec();
                damaged[end] = byte;
                look(&damaged);
            }
        }
    }
}
