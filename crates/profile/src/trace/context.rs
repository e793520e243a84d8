//! The context of a trace, as it travels with an event.

use std::fmt;

use annals_core::{Error, ErrorKind, Metadata, MetadataRef};

/// The context of a trace as W3C Trace Context writes it: which span of which trace something was done in.
///
/// It travels in two headers of an event's metadata, `traceparent` and `tracestate`, so that whoever projects the
/// event or reacts to it, later and elsewhere, can join the trace. It holds ids, and nothing of the application.
///
/// ```
/// use annals_core::Metadata;
/// use annals_profile::TraceContext;
///
/// let context = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None)?;
/// assert!(context.is_sampled());
///
/// let metadata = context.add_to(&Metadata::EMPTY)?;
/// assert_eq!(TraceContext::of(metadata.view()), Some(context));
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    traceparent: String,
    tracestate: Option<String>,
}

impl TraceContext {
    /// The header of the trace and the span.
    pub const TRACEPARENT: &'static str = "traceparent";

    /// The header of what vendors add.
    pub const TRACESTATE: &'static str = "tracestate";

    /// The most bytes of a `tracestate` that is carried; a longer one is left out.
    pub const TRACESTATE_BYTES_MAX: usize = 512;

    /// How long a `traceparent` of version 00 is.
    const TRACEPARENT_BYTES: usize = 55;

    /// A context as it was written.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a `traceparent` that is none: of another length or form, in upper case, of version
    /// `ff`, or with an id of zeros.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, Error> {
        if !is_traceparent(traceparent) {
            let message = "text is no traceparent, which is as 00-<32 hex>-<16 hex>-<2 hex>";
            return Err(Error::new(ErrorKind::Invalid, message).during("trace context"));
        }
        let tracestate = tracestate.filter(|state| is_tracestate(state));
        Ok(Self {
            traceparent: traceparent.to_owned(),
            tracestate: tracestate.map(str::to_owned),
        })
    }

    /// A context of these ids, of a trace that is sampled or not.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an id of zeros.
    pub fn from_ids(trace_id: u128, span_id: u64, is_sampled: bool) -> Result<Self, Error> {
        let flags = u8::from(is_sampled);
        Self::parse(
            &format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}"),
            None,
        )
    }

    /// The context that an event carries, if it carries one that is right.
    pub fn of(metadata: MetadataRef<'_>) -> Option<Self> {
        let traceparent = metadata.header(Self::TRACEPARENT)?;
        Self::parse(traceparent, metadata.header(Self::TRACESTATE)).ok()
    }

    /// The metadata with this context, in place of another.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the metadata grow over their limit.
    pub fn add_to(&self, metadata: &Metadata) -> Result<Metadata, Error> {
        let state = self.tracestate.as_deref();
        let state = state.map(|state| (Self::TRACESTATE, state));
        let headers = [(Self::TRACEPARENT, self.traceparent())];
        metadata
            .clone()
            .with_headers(headers.into_iter().chain(state))
    }

    /// The trace and the span, as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// What vendors added.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.traceparent.get(3..35).unwrap_or_default()
    }

    /// The id of the span, 16 hexadecimal digits.
    pub fn span_id(&self) -> &str {
        self.traceparent.get(36..52).unwrap_or_default()
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        let flags = self.traceparent.get(53..55).unwrap_or_default();
        u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceContext")
            .field(&self.traceparent)
            .finish()
    }
}

/// Whether a text is `version-trace-span-flags`. Versions to come may add more behind another dash.
fn is_traceparent(text: &str) -> bool {
    let (Some(known), rest) = (
        text.get(..TraceContext::TRACEPARENT_BYTES),
        text.get(TraceContext::TRACEPARENT_BYTES..),
    ) else {
        return false;
    };
    let mut parts = known.split('-');
    let lengths = [2, 32, 16, 2];
    let all_hex = lengths.iter().all(|length| {
        let part = parts.next().unwrap_or_default();
        part.len() == *length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    let is_zero = |from: usize, to: usize| {
        let id = known.get(from..to).unwrap_or_default();
        id.bytes().all(|byte| byte == b'0')
    };
    let rest = rest.unwrap_or_default();
    let ends_well = match known.get(..2) {
        Some("00") => rest.is_empty(),
        Some("ff") => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    all_hex && ends_well && text.len() <= NAME_LIKE_BYTES_MAX && !is_zero(3, 35) && !is_zero(36, 52)
}

/// A `traceparent` of a version to come is carried up to here.
const NAME_LIKE_BYTES_MAX: usize = 256;

fn is_tracestate(state: &str) -> bool {
    let is_text = |byte: u8| matches!(byte, b' '..=b'~');
    let length = 1..=TraceContext::TRACESTATE_BYTES_MAX;
    length.contains(&state.len()) && state.bytes().all(is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_is_read_as_it_is_written() {
        let context = TraceContext::parse(RIGHT, Some("vendor=7")).unwrap();
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id(), "b7ad6b7169203331");
        assert!(context.is_sampled());
        let had = Metadata::EMPTY.with_header("user", "ada").unwrap();
        let metadata = context.add_to(&had).unwrap();
        assert_eq!(metadata.header("user"), Some("ada"));
        assert_eq!(TraceContext::of(metadata.view()), Some(context));
        assert_eq!(TraceContext::of(had.view()), None);
        let ids = TraceContext::from_ids(1, 2, false).unwrap();
        assert_eq!(
            ids.traceparent(),
            "00-00000000000000000000000000000001-0000000000000002-00"
        );
        assert!(!ids.is_sampled());
    }

    #[test]
    fn what_is_no_context_is_none() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c8031-9c-b7ad6b716920333101",
            "00-0af7651916cd43dd8448eb211c80319\u{e9}-b7ad6b7169203331-01",
            &format!(
                "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-{RIGHT}{RIGHT}{RIGHT}{RIGHT}"
            ),
        ] {
            let refused = TraceContext::parse(wrong, None);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "{wrong}");
        }
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(TraceContext::parse(later, None).is_ok());
        for state in [String::new(), "x".repeat(513), "line\nfeed".to_owned()] {
            let context = TraceContext::parse(RIGHT, Some(&state)).unwrap();
            assert_eq!(context.tracestate(), None);
        }
    }
}
