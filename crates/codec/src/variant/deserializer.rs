//! A deserializer that reads the content of a variant which is named from outside.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::value::U64Deserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::{CONTENT_NAME, TypeFlaw};

/// Sees the outermost value only: what lies inside is read by the format as it is.
pub(super) struct ContentDeserializer<'a, D> {
    pub(super) inner: D,
    pub(super) kind_index: usize,
    /// Why deserialization was given up, where the bytes have no say in it.
    pub(super) flaw: &'a Cell<Option<TypeFlaw>>,
}

/// The content of a variant, in the format.
pub(super) struct VariantContent<D>(D);

/// Takes a struct without fields, and passes over fields that it has all the same: a kind may lose its
/// last field as a struct may lose one of several.
struct Empty;

macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*),)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ContentDeserializer<'_, D> {
    type Error = D::Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        empty_struct(self.inner)?;
        visitor.visit_unit()
    }

    forward! {
        deserialize_any(),
        deserialize_bool(),
        deserialize_i8(),
        deserialize_i16(),
        deserialize_i32(),
        deserialize_i64(),
        deserialize_i128(),
        deserialize_u8(),
        deserialize_u16(),
        deserialize_u32(),
        deserialize_u64(),
        deserialize_u128(),
        deserialize_f32(),
        deserialize_f64(),
        deserialize_char(),
        deserialize_str(),
        deserialize_string(),
        deserialize_bytes(),
        deserialize_byte_buf(),
        deserialize_option(),
        deserialize_unit(),
        deserialize_newtype_struct(name: &'static str),
        deserialize_seq(),
        deserialize_tuple(length: usize),
        deserialize_tuple_struct(name: &'static str, length: usize),
        deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_identifier(),
        deserialize_ignored_any(),
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for ContentDeserializer<'_, D> {
    type Error = D::Error;
    type Variant = VariantContent<D>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, VariantContent<D>), D::Error> {
        let index = u64::try_from(self.kind_index).unwrap_or(u64::MAX);
        let index: U64Deserializer<D::Error> = index.into_deserializer();
        match seed.deserialize(index) {
            Ok(variant) => Ok((variant, VariantContent(self.inner))),
            Err(error) => {
                self.flaw.set(Some(TypeFlaw::SkippedVariant));
                Err(error)
            }
        }
    }
}

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for VariantContent<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        empty_struct(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(CONTENT_NAME, fields, visitor)
    }
}

fn empty_struct<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    deserializer.deserialize_struct(CONTENT_NAME, &[], Empty)
}

impl<'de> Visitor<'de> for Empty {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a struct without fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
