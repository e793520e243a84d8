//! A serializer that writes the content of a variant in place of the variant.

use std::cell::Cell;
use std::fmt;

use serde::ser::{
    Error as _, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use super::shape::Shape;
use super::{CONTENT_NAME, TypeFlaw};

/// Sees the outermost value only: what lies inside is handed to the format as it is.
pub(super) struct ContentSerializer<'a, S> {
    pub(super) inner: S,
    pub(super) kind_index: usize,
    pub(super) shape: Shape,
    /// Why serialization was given up, where the format has no say in it.
    pub(super) flaw: &'a Cell<Option<TypeFlaw>>,
}

/// The fields of a tuple variant, as a tuple, or of a tuple struct.
pub(super) struct TupleContent<S>(S);

/// The fields of a struct variant, as a struct, or of a struct.
pub(super) struct StructContent<S>(S);

impl<S: Serializer> ContentSerializer<'_, S> {
    /// The format's serializer for the content of this variant.
    fn variant(self, index: u32) -> Result<S, S::Error> {
        if self.shape != Shape::Enum {
            return Err(self.give_up(TypeFlaw::OneSided));
        }
        if usize::try_from(index) != Ok(self.kind_index) {
            return Err(self.give_up(TypeFlaw::OtherVariant));
        }
        Ok(self.inner)
    }

    /// The format's serializer for what is not a variant.
    fn other(self) -> Result<S, S::Error> {
        if self.shape == Shape::Other {
            Ok(self.inner)
        } else {
            Err(self.give_up(TypeFlaw::OneSided))
        }
    }

    fn give_up(&self, flaw: TypeFlaw) -> S::Error {
        self.flaw.set(Some(flaw));
        S::Error::custom(flaw)
    }
}

/// Does what writes a field of the event itself: where fields are encrypted, it is to be known which it is.
#[inline]
fn within_field<T: ?Sized, R>(field: &T, work: impl FnOnce() -> R) -> R {
    #[cfg(feature = "encryption")]
    return crate::privacy::scope::within_field(field, work);
    #[cfg(not(feature = "encryption"))]
    {
        let _ = field;
        work()
    }
}

/// A struct without fields, to which fields can be added later.
fn empty_struct<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_struct(CONTENT_NAME, 0)?.end()
}

macro_rules! forward {
    ($($method:ident: $value:ty,)*) => {$(
        fn $method(self, value: $value) -> Result<S::Ok, S::Error> {
            self.other()?.$method(value)
        }
    )*};
}

impl<S: Serializer> Serializer for ContentSerializer<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = S::SerializeSeq;
    type SerializeTuple = S::SerializeTuple;
    type SerializeTupleStruct = TupleContent<S::SerializeTupleStruct>;
    type SerializeTupleVariant = TupleContent<S::SerializeTuple>;
    type SerializeMap = S::SerializeMap;
    type SerializeStruct = StructContent<S::SerializeStruct>;
    type SerializeStructVariant = StructContent<S::SerializeStruct>;

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<S::Ok, S::Error> {
        empty_struct(self.variant(index)?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let inner = self.variant(index)?;
        within_field(value, || value.serialize(inner))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.variant(index)?
            .serialize_tuple(length)
            .map(TupleContent)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.variant(index)?
            .serialize_struct(CONTENT_NAME, length)
            .map(StructContent)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<S::Ok, S::Error> {
        empty_struct(self.other()?)
    }

    forward! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.other()?.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.other()?.serialize_some(value)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.other()?.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let inner = self.other()?;
        within_field(value, || inner.serialize_newtype_struct(name, value))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<S::SerializeSeq, S::Error> {
        self.other()?.serialize_seq(length)
    }

    fn serialize_tuple(self, length: usize) -> Result<S::SerializeTuple, S::Error> {
        self.other()?.serialize_tuple(length)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let tuple = self.other()?.serialize_tuple_struct(name, length);
        tuple.map(TupleContent)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<S::SerializeMap, S::Error> {
        self.other()?.serialize_map(length)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let fields = self.other()?.serialize_struct(name, length);
        fields.map(StructContent)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.other()?.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<S: SerializeTuple> SerializeTupleVariant for TupleContent<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        within_field(value, || self.0.serialize_element(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

impl<S: SerializeStruct> SerializeStructVariant for StructContent<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        within_field(value, || self.0.serialize_field(key, value))
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
        self.0.skip_field(key)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

impl<S: SerializeTupleStruct> SerializeTupleStruct for TupleContent<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        within_field(value, || self.0.serialize_field(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

impl<S: SerializeStruct> SerializeStruct for StructContent<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        within_field(value, || self.0.serialize_field(key, value))
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
        self.0.skip_field(key)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}
