//! A serializer that refuses what a JSON text would lose.

use std::fmt;

use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use super::JSON_DEPTH_MAX;

/// Why a value is refused, here or by the serializer of JSON itself, in words that hold none of the value.
pub(super) const REASONS: [&str; 5] = [
    NOT_FINITE,
    EMPTY_IN_OPTION,
    TOO_DEEP,
    "key must be a string",
    "float key must be finite (got NaN or +/-inf)",
];
const NOT_FINITE: &str = "number is not finite";
const EMPTY_IN_OPTION: &str = "an option holds an empty value, which would read back as none";
const TOO_DEEP: &str = "nesting is deeper than JSON_DEPTH_MAX";

/// Passes everything on to a serializer of JSON but what would not read back: floats that are not
/// finite (`null`), an empty value in an option (`null`, which is `None`), and nesting that the parser
/// refuses.
pub(super) struct Guard<S> {
    inner: S,
    scope: Scope,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Scope {
    depth: usize,
    in_option: InOption,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum InOption {
    No,
    /// The value is all that tells `Some` from `None`.
    Directly,
}

/// A value whose serializer is guarded.
struct Guarded<'a, T: ?Sized> {
    value: &'a T,
    scope: Scope,
}

/// The parts of a value, each guarded.
pub(super) struct GuardedParts<S> {
    inner: S,
    scope: Scope,
}

impl<S: Serializer> Guard<S> {
    pub(super) fn new(inner: S) -> Self {
        let scope = Scope {
            depth: 0,
            in_option: InOption::No,
        };
        Self { inner, scope }
    }

    /// The scope of what lies `levels` of brackets deeper.
    fn deeper<E: serde::ser::Error>(&self, levels: usize) -> Result<Scope, E> {
        let depth = self.scope.depth + levels;
        if depth > JSON_DEPTH_MAX {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Scope {
            depth,
            in_option: InOption::No,
        })
    }

    /// Refuses a value that is written as `null` where `null` is `None`.
    fn not_in_option(&self) -> Result<(), S::Error> {
        match self.scope.in_option {
            InOption::No => Ok(()),
            InOption::Directly => Err(S::Error::custom(EMPTY_IN_OPTION)),
        }
    }
}

fn finite<E: serde::ser::Error>(value: f64) -> Result<(), E> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(E::custom(NOT_FINITE))
    }
}

macro_rules! forward {
    ($($method:ident: $value:ty,)*) => {$(
        fn $method(self, value: $value) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<S: Serializer> Serializer for Guard<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = GuardedParts<S::SerializeSeq>;
    type SerializeTuple = GuardedParts<S::SerializeTuple>;
    type SerializeTupleStruct = GuardedParts<S::SerializeTupleStruct>;
    type SerializeTupleVariant = GuardedParts<S::SerializeTupleVariant>;
    type SerializeMap = GuardedParts<S::SerializeMap>;
    type SerializeStruct = GuardedParts<S::SerializeStruct>;
    type SerializeStructVariant = GuardedParts<S::SerializeStructVariant>;

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
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        finite(value.into())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        finite(value)?;
        self.inner.serialize_f64(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.not_in_option()?;
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let scope = Scope {
            in_option: InOption::Directly,
            ..self.scope
        };
        self.inner.serialize_some(&Guarded { value, scope })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.not_in_option()?;
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.not_in_option()?;
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let scope = self.scope;
        self.inner
            .serialize_newtype_struct(name, &Guarded { value, scope })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let scope = self.deeper(1)?;
        self.inner
            .serialize_newtype_variant(name, index, variant, &Guarded { value, scope })
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_seq(length)?;
        Ok(GuardedParts { inner, scope })
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_tuple(length)?;
        Ok(GuardedParts { inner, scope })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_tuple_struct(name, length)?;
        Ok(GuardedParts { inner, scope })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let scope = self.deeper(2)?;
        let inner = self
            .inner
            .serialize_tuple_variant(name, index, variant, length)?;
        Ok(GuardedParts { inner, scope })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_map(length)?;
        Ok(GuardedParts { inner, scope })
    }

    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_struct(name, length)?;
        Ok(GuardedParts { inner, scope })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let scope = self.deeper(2)?;
        let inner = self
            .inner
            .serialize_struct_variant(name, index, variant, length)?;
        Ok(GuardedParts { inner, scope })
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<T: Serialize + ?Sized> Serialize for Guarded<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Guard {
            inner: serializer,
            scope: self.scope,
        })
    }
}

impl<S> GuardedParts<S> {
    fn guarded<'a, T: ?Sized>(&self, value: &'a T) -> Guarded<'a, T> {
        Guarded {
            value,
            scope: self.scope,
        }
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident,)*) => {$(
        impl<S: $trait> $trait for GuardedParts<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                let value = self.guarded(value);
                self.inner.$method(&value)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

macro_rules! named_parts {
    ($($trait:ident,)*) => {$(
        impl<S: $trait> $trait for GuardedParts<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                let value = self.guarded(value);
                self.inner.serialize_field(key, &value)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

named_parts! {
    SerializeStruct,
    SerializeStructVariant,
}

impl<S: SerializeMap> SerializeMap for GuardedParts<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        let key = self.guarded(key);
        self.inner.serialize_key(&key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let value = self.guarded(value);
        self.inner.serialize_value(&value)
    }

    fn serialize_entry<K: Serialize + ?Sized, T: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &T,
    ) -> Result<(), S::Error> {
        let (key, value) = (self.guarded(key), self.guarded(value));
        self.inner.serialize_entry(&key, &value)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
