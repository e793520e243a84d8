//! States as values.

use std::cell::Cell;
use std::fmt;

use annals_codec::{DEPTH_MAX, VALUE_NODES_MAX, Value};
use annals_core::{Error, ErrorKind};
use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};

use super::compare::compare;

/// A state as serde writes it, without its type: what a diff compares. The fields of maps and structs stand in the
/// order of their keys.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a state that serde does not write, that has more than [`VALUE_NODES_MAX`] values, or
/// nests deeper than [`DEPTH_MAX`].
pub fn value_of<S: Serialize + ?Sized>(state: &S) -> Result<Value, Error> {
    let nodes_left = Cell::new(VALUE_NODES_MAX);
    let written = state.serialize(ValueSerializer {
        nodes_left: &nodes_left,
        depth: 0,
    });
    written.map_err(|error| {
        let message = "state can't be written as a value, so that it can't be compared";
        Error::new(ErrorKind::Invalid, message)
            .during("replay")
            .caused_by(error)
    })
}

/// Why a state was not written.
#[derive(Debug)]
struct Unwritable(String);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Writes a value that lies this deep.
#[derive(Clone, Copy)]
struct ValueSerializer<'a> {
    nodes_left: &'a Cell<usize>,
    depth: usize,
}

impl<'a> ValueSerializer<'a> {
    fn count(self) -> Result<(), Unwritable> {
        let left = self.nodes_left.get().checked_sub(1);
        let left = left.ok_or_else(|| Unwritable("more values than VALUE_NODES_MAX".to_owned()))?;
        self.nodes_left.set(left);
        Ok(())
    }

    fn deeper(self) -> Result<Self, Unwritable> {
        if self.depth == DEPTH_MAX {
            return Err(Unwritable("nesting is deeper than DEPTH_MAX".to_owned()));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn leaf(self, value: Value) -> Result<Value, Unwritable> {
        self.count()?;
        Ok(value)
    }

    fn list(self, variant: Option<&'static str>) -> Result<Elements<'a>, Unwritable> {
        self.count()?;
        Ok(Elements {
            inside: self.inside(variant)?,
            values: Vec::new(),
            variant,
        })
    }

    fn map(self, variant: Option<&'static str>) -> Result<Fields<'a>, Unwritable> {
        self.count()?;
        Ok(Fields {
            inside: self.inside(variant)?,
            pairs: Vec::new(),
            key: None,
            variant,
        })
    }

    /// What writes the parts of a compound, which lie one deeper where it is a variant.
    fn inside(self, variant: Option<&str>) -> Result<Self, Unwritable> {
        let inside = self.deeper()?;
        match variant {
            Some(_) => inside.deeper(),
            None => Ok(inside),
        }
    }
}

/// The elements of a list so far.
struct Elements<'a> {
    inside: ValueSerializer<'a>,
    values: Vec<Value>,
    variant: Option<&'static str>,
}

/// The fields of a map or a struct so far.
struct Fields<'a> {
    inside: ValueSerializer<'a>,
    pairs: Vec<(Value, Value)>,
    key: Option<Value>,
    variant: Option<&'static str>,
}

impl Elements<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.values.push(value.serialize(self.inside)?);
        Ok(())
    }

    fn finish(self) -> Value {
        in_variant(self.variant, Value::List(self.values))
    }
}

impl Fields<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, key: Value, value: &T) -> Result<(), Unwritable> {
        self.pairs.push((key, value.serialize(self.inside)?));
        Ok(())
    }

    fn finish(mut self) -> Result<Value, Unwritable> {
        self.pairs.sort_by(|left, right| compare(&left.0, &right.0));
        let mut neighbours = self.pairs.windows(2);
        let is_twice = |pair: &[(Value, Value)]| match pair {
            [(left, _), (right, _)] => compare(left, right).is_eq(),
            _ => false,
        };
        if neighbours.any(is_twice) {
            return Err(Unwritable("a map has one key twice".to_owned()));
        }
        Ok(in_variant(self.variant, Value::Map(self.pairs)))
    }
}

/// The content of a variant, under its name.
fn in_variant(variant: Option<&str>, content: Value) -> Value {
    match variant {
        Some(name) => Value::Map(vec![(name.into(), content)]),
        None => content,
    }
}

macro_rules! leaves {
    ($($method:ident($type:ty) $variant:ident,)*) => {$(
        fn $method(self, value: $type) -> Result<Value, Unwritable> {
            self.leaf(Value::$variant(value.into()))
        }
    )*};
}

impl<'a> ser::Serializer for ValueSerializer<'a> {
    type Ok = Value;
    type Error = Unwritable;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeTupleVariant = Elements<'a>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    leaves! {
        serialize_bool(bool) Bool,
        serialize_i8(i8) Integer,
        serialize_i16(i16) Integer,
        serialize_i32(i32) Integer,
        serialize_i64(i64) Integer,
        serialize_i128(i128) Integer,
        serialize_u8(u8) Integer,
        serialize_u16(u16) Integer,
        serialize_u32(u32) Integer,
        serialize_u64(u64) Integer,
        serialize_f32(f32) Float,
        serialize_f64(f64) Float,
        serialize_char(char) Text,
        serialize_str(&str) Text,
        serialize_bytes(&[u8]) Bytes,
    }

    /// A number beyond 127 bits is told by its digits.
    fn serialize_u128(self, number: u128) -> Result<Value, Unwritable> {
        let number =
            i128::try_from(number).map_or_else(|_| number.to_string().into(), Value::Integer);
        self.leaf(number)
    }

    fn serialize_none(self) -> Result<Value, Unwritable> {
        self.leaf(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Unwritable> {
        value.serialize(self.deeper()?)
    }

    fn serialize_unit(self) -> Result<Value, Unwritable> {
        self.leaf(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Unwritable> {
        self.leaf(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, Unwritable> {
        self.leaf(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Unwritable> {
        value.serialize(self.deeper()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Unwritable> {
        self.count()?;
        let content = value.serialize(self.deeper()?)?;
        Ok(in_variant(Some(variant), content))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Unwritable> {
        self.list(None)
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'a>, Unwritable> {
        self.list(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements<'a>, Unwritable> {
        self.list(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'a>, Unwritable> {
        self.list(Some(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, Unwritable> {
        self.map(None)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Unwritable> {
        self.map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, Unwritable> {
        self.map(Some(variant))
    }
}

macro_rules! elements {
    ($($contract:ident $method:ident,)*) => {$(
        impl $contract for Elements<'_> {
            type Ok = Value;
            type Error = Unwritable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
                self.push(value)
            }

            fn end(self) -> Result<Value, Unwritable> {
                Ok(self.finish())
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! fields {
    ($($contract:ident,)*) => {$(
        impl $contract for Fields<'_> {
            type Ok = Value;
            type Error = Unwritable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Unwritable> {
                self.push(key.into(), value)
            }

            fn end(self) -> Result<Value, Unwritable> {
                self.finish()
            }
        }
    )*};
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

impl SerializeMap for Fields<'_> {
    type Ok = Value;
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        self.key = Some(key.serialize(self.inside)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        let key = self.key.take();
        let key = key.ok_or_else(|| Unwritable("a map has a value without a key".to_owned()))?;
        self.push(key, value)
    }

    fn end(self) -> Result<Value, Unwritable> {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn a_state_is_what_serde_writes_of_it() {
        let keys = BTreeMap::from([((1, "a"), Some(1.5_f32)), ((0, "b"), None)]);
        let pair = |number: i32, text: &str| Value::List(vec![number.into(), text.into()]);
        assert_eq!(
            value_of(&keys).unwrap(),
            Value::Map(vec![
                (pair(0, "b"), Value::Null),
                (pair(1, "a"), Value::Float(1.5)),
            ])
        );
        assert_eq!(value_of(&u128::MAX).unwrap(), u128::MAX.to_string().into());
        assert_eq!(value_of(&i128::MIN).unwrap(), Value::Integer(i128::MIN));
        let many: HashMap<u32, u32> = (0..100).map(|key| (key, key)).collect();
        let sorted: BTreeMap<u32, u32> = (0..100).map(|key| (key, key)).collect();
        assert_eq!(value_of(&many).unwrap(), value_of(&sorted).unwrap());
    }

    #[test]
    fn what_is_over_a_limit_is_refused() {
        let mut nested = Value::Null;
        for _ in 0..DEPTH_MAX {
            nested = Value::List(vec![nested]);
        }
        assert_eq!(value_of(&nested).unwrap(), nested);
        let deeper = value_of(&[&nested]).unwrap_err();
        assert_eq!(deeper.kind(), ErrorKind::Invalid);
        value_of(&vec![0_u8; VALUE_NODES_MAX - 1]).unwrap();
        value_of(&vec![0_u8; VALUE_NODES_MAX]).unwrap_err();
    }
}
