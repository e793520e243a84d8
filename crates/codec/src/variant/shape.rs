//! How a type asks a format for its value, found out without a value.

use std::fmt;

use annals_core::Event;
use serde::de::value::U64Deserializer;
use serde::de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What a type asks a format for when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A variant of an enum, of which there is one for each kind.
    Enum,
    /// A variant of an enum that has less variants than there are kinds.
    SkippedVariant,
    /// Anything else: a struct, a map, whatever the bytes hold.
    Other,
}

/// A format that answers the first question of a type with an error that says what was asked.
struct Probe {
    last_kind: u64,
}

impl Shape {
    pub(super) fn of<'de, E: Event + Deserialize<'de>>() -> Self {
        let last_kind = E::KINDS.len().saturating_sub(1);
        let probe = Probe {
            last_kind: u64::try_from(last_kind).unwrap_or(u64::MAX),
        };
        E::deserialize(probe).err().unwrap_or(Self::Other)
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Shape;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Shape> {
        Err(Shape::Other)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Shape> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Probe {
    type Error = Shape;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Shape> {
        let index: U64Deserializer<Shape> = self.last_kind.into_deserializer();
        Err(match seed.deserialize(index) {
            Ok(_) => Shape::Enum,
            Err(_) => Shape::SkippedVariant,
        })
    }
}

/// Never reached: the probe is over when the variant is named.
impl<'de> VariantAccess<'de> for Probe {
    type Error = Shape;

    fn unit_variant(self) -> Result<(), Shape> {
        Err(Shape::Other)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Shape> {
        Err(Shape::Other)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Shape> {
        Err(Shape::Other)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Shape> {
        Err(Shape::Other)
    }
}

impl de::Error for Shape {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

impl std::error::Error for Shape {}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
