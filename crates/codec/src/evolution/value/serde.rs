//! Reading and writing of values without a type, within limits.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{VALUE_NODES_MAX, Value};
use crate::DEPTH_MAX;
use crate::format::VALUE_NAME;

/// Room that a list or a map is given at once, whatever it says of its length.
const CAPACITY_MAX: usize = 64;

/// Reads a value that lies this deep.
#[derive(Clone, Copy)]
struct ValueSeed<'a> {
    depth: usize,
    nodes_left: &'a Cell<usize>,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nodes_left = Cell::new(VALUE_NODES_MAX - 1);
        let seed = ValueSeed {
            depth: 0,
            nodes_left: &nodes_left,
        };
        // Its name tells a guard of this crate that what is read is to be written again.
        deserializer.deserialize_newtype_struct(VALUE_NAME, seed)
    }
}

impl ValueSeed<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom("nesting is deeper than DEPTH_MAX"));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.nodes_left.get().checked_sub(1) else {
            return Err(D::Error::custom("more values than VALUE_NODES_MAX"));
        };
        self.nodes_left.set(left);
        deserializer.deserialize_any(self)
    }
}

macro_rules! visit {
    ($($method:ident($type:ty) $variant:ident,)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<Value, E> {
            Ok(Value::$variant(value.into()))
        }
    )*};
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    visit! {
        visit_bool(bool) Bool,
        visit_i64(i64) Integer,
        visit_i128(i128) Integer,
        visit_u64(u64) Integer,
        visit_f64(f64) Float,
        visit_str(&str) Text,
        visit_string(String) Text,
        visit_bytes(&[u8]) Bytes,
        visit_byte_buf(Vec<u8>) Bytes,
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        i128::try_from(value)
            .map(Value::Integer)
            .map_err(|_| E::custom("number is above 127 bits"))
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deeper()?.deserialize(deserializer)
    }

    /// The value itself, under its name.
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut values = Vec::with_capacity(access.size_hint().unwrap_or(0).min(CAPACITY_MAX));
        while let Some(value) = access.next_element_seed(seed)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut fields = Vec::with_capacity(access.size_hint().unwrap_or(0).min(CAPACITY_MAX));
        while let Some(field) = access.next_entry_seed(seed, seed)? {
            fields.push(field);
        }
        let mut keys = HashSet::new();
        let mut texts = fields.iter().filter_map(|(key, _)| key.as_text());
        if fields.len() > 1 && !texts.all(|key| keys.insert(key)) {
            return Err(A::Error::custom("a map has one key twice"));
        }
        Ok(Value::Map(fields))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(number) => serialize_integer(*number, serializer),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// As the smallest type that has it: forms without numbers of 128 bits write the others all the same.
fn serialize_integer<S: Serializer>(number: i128, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(number) = u64::try_from(number) {
        serializer.serialize_u64(number)
    } else if let Ok(number) = i64::try_from(number) {
        serializer.serialize_i64(number)
    } else {
        serializer.serialize_i128(number)
    }
}
