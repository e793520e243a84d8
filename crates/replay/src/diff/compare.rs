//! One order over all values, in which every number equals itself.

use std::cmp::Ordering;

use annals_codec::Value;

/// Whether two values are the same; `NaN` is the same as itself.
pub(super) fn is_same(left: &Value, right: &Value) -> bool {
    compare(left, right).is_eq()
}

/// The order in which fields of maps stand.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::Float(left), Value::Float(right)) => left.total_cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (Value::List(left), Value::List(right)) => in_order(left, right, compare),
        (Value::Map(left), Value::Map(right)) => in_order(left, right, |left, right| {
            compare(&left.0, &right.0).then_with(|| compare(&left.1, &right.1))
        }),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn in_order<T>(left: &[T], right: &[T], compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    let mut orders = left
        .iter()
        .zip(right)
        .map(|(left, right)| compare(left, right));
    let first = orders.find(|order| order.is_ne());
    first.unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Integer(_) => 2,
        Value::Float(_) => 3,
        Value::Text(_) => 4,
        Value::Bytes(_) => 5,
        Value::List(_) => 6,
        Value::Map(_) => 7,
    }
}
