//! The one event that every subject records: an order line as JSON, with its stream, type and metadata.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The type of the event.
pub const EVENT_TYPE: &str = "order-line-added";

/// The one metadata entry: its name.
pub const METADATA_NAME: &str = "correlation-id";

/// The bytes of the payload.
pub const PAYLOAD_BYTES: usize = PAYLOAD.len();

/// How many customers the tags name: a multiple of the writers of W10, so that each has its own.
const CUSTOMERS: u64 = 64_000;
/// How many articles they name.
const ARTICLES: u64 = 1_000;

const PAYLOAD: &[u8; 202] = concat!(
    r#"{"order":"00000000-ceea-467f-a9ae-6c1c0d6d4f31","line":1000000,"#,
    r#""article":"M10-HEX-BOLT-ZN","quantity":1250,"unit_price_cents":1199,"#,
    r#""currency":"EUR","warehouse":"HAM-2","requested_at":"2026-11-23T08:00"}"#,
)
.as_bytes()
.first_chunk()
.expect("the text has 202 bytes");
const ORDER_AT: usize = 10;
const ORDER_DIGITS: usize = 8;
const LINE_AT: usize = 56;
const LINE_DIGITS: usize = 6;
/// How long the text is before the number of a stream's name.
const STREAM_PREFIX: usize = "order-".len();

/// Whether an event carries the two tags of W10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    No,
    Yes,
}

/// One event to append: the numbers from which each subject makes its own form.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The order, and so the stream.
    pub order: u64,
    /// A number that varies from event to event.
    pub number: u64,
    pub tagged: Tagged,
}

/// What a reader decodes an event into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    pub order: String,
    pub line: u64,
    pub article: String,
    pub quantity: u32,
    pub unit_price_cents: u64,
    pub currency: String,
    pub warehouse: String,
    pub requested_at: String,
}

/// An event as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub event_type: &'a str,
    pub payload: &'a [u8],
}

impl OrderLine {
    /// What the line costs.
    pub fn cents(&self) -> u64 {
        self.unit_price_cents * u64::from(self.quantity)
    }
}

impl Line {
    /// The line of this number in a large store: orders in turn, so that a stream lies scattered.
    pub fn scattered(number: u64, orders: u64, tagged: Tagged) -> Self {
        Self {
            order: number % orders,
            number,
            tagged,
        }
    }

    /// The JSON, made from a template so that it costs next to nothing.
    pub fn payload(&self) -> [u8; PAYLOAD_BYTES] {
        let mut payload = *PAYLOAD;
        digits(&mut payload[ORDER_AT..ORDER_AT + ORDER_DIGITS], self.order);
        digits(&mut payload[LINE_AT..LINE_AT + LINE_DIGITS], self.number);
        payload
    }

    /// The stream's name, `order-<n>`.
    pub fn stream(&self) -> String {
        stream(self.order)
    }

    /// The value of the metadata entry.
    pub fn metadata_value(&self) -> String {
        let mut value = *b"r-000000";
        digits(&mut value[2..], self.number % 1_000_000);
        text(&value)
    }

    /// The metadata entry in one text, for a subject that has no form for it.
    pub fn metadata(&self) -> String {
        format!("{METADATA_NAME}=r-{:06}", self.number % 1_000_000)
    }

    /// The two tags of W10, each as key and value.
    pub fn tags(&self) -> Option<[String; 2]> {
        let article = || format!("article:{}", self.number % ARTICLES);
        (self.tagged == Tagged::Yes).then(|| [customer(self.customer()), article()])
    }

    /// The customer whom W10's condition asks for.
    pub fn customer(&self) -> u64 {
        self.number % CUSTOMERS
    }

    /// The event as a subject without a form of its own stores it: type, stream, metadata, payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; 2]);
        short(out, |out| out.extend_from_slice(EVENT_TYPE.as_bytes()));
        short(out, |out| {
            write!(out, "order-{}", self.order).expect("a Vec takes every byte");
        });
        short(out, |out| {
            let value = self.number % 1_000_000;
            write!(out, "{METADATA_NAME}=r-{value:06}").expect("a Vec takes every byte");
        });
        out.extend_from_slice(&self.payload());
        let length = u16::try_from(out.len() - begin).expect("a record is short");
        out[begin..begin + 2].copy_from_slice(&length.to_le_bytes());
    }
}

/// The tag of a customer.
pub fn customer(number: u64) -> String {
    format!("customer:{number}")
}

/// The name of an order's stream; made, as all of an event, so that it costs next to nothing.
pub fn stream(order: u64) -> String {
    let mut name = *b"order-00000000000000000000";
    let width = order.checked_ilog10().unwrap_or(0) as usize + 1;
    let end = STREAM_PREFIX + width;
    digits(&mut name[STREAM_PREFIX..end], order);
    text(&name[..end])
}

/// The event that [`Line::encode`] wrote at the beginning of `bytes`, and how long it is there.
pub fn decode(bytes: &[u8]) -> Result<(Seen<'_>, usize)> {
    let (length, rest) = bytes.split_first_chunk().context("record is cut")?;
    let length = usize::from(u16::from_le_bytes(*length));
    let mut rest = rest
        .get(..length.saturating_sub(2))
        .context("record is cut")?;
    let event_type = take(&mut rest)?;
    let _stream = take(&mut rest)?;
    let _metadata = take(&mut rest)?;
    let seen = Seen {
        event_type: str::from_utf8(event_type)?,
        payload: rest,
    };
    Ok((seen, length))
}

/// The order whose event lies at the beginning of `bytes`.
pub fn order_of(bytes: &[u8]) -> Result<u64> {
    let mut rest = bytes.get(2..).context("record is cut")?;
    take(&mut rest)?;
    let stream = str::from_utf8(take(&mut rest)?)?;
    let order = stream.strip_prefix("order-").context("not an order")?;
    Ok(order.parse()?)
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let (length, after) = rest.split_first().context("record is cut")?;
    let length = usize::from(*length);
    ensure!(after.len() >= length, "record is cut");
    let (field, after) = after.split_at(length);
    *rest = after;
    Ok(field)
}

fn short(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.push(0);
    write(out);
    out[begin] = u8::try_from(out.len() - begin - 1).expect("a name is short");
}

fn text(ascii: &[u8]) -> String {
    str::from_utf8(ascii).expect("names are ASCII").to_owned()
}

fn digits(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes() {
        let line = Line {
            order: 4711,
            number: 123_456,
            tagged: Tagged::Yes,
        };
        let mut bytes = Vec::new();
        line.encode(&mut bytes);
        let (seen, length) = decode(&bytes).unwrap();
        assert_eq!((seen.event_type, length), (EVENT_TYPE, bytes.len()));
        assert_eq!(order_of(&bytes).unwrap(), 4711);
        let json: serde_json::Value = serde_json::from_slice(seen.payload).unwrap();
        assert_eq!(json["order"], "00004711-ceea-467f-a9ae-6c1c0d6d4f31");
        assert_eq!(json["line"], 1_123_456);
        assert!(serde_json::from_slice::<OrderLine>(seen.payload).is_ok());
        assert_eq!(line.metadata_value(), "r-123456");
        for order in [0, 9, 10, 4711, u64::MAX] {
            assert_eq!(stream(order), format!("order-{order}"));
        }
        assert_eq!(line.tags().unwrap(), ["customer:59456", "article:456"]);
    }
}
