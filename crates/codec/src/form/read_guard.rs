//! A deserializer that keeps hostile bytes from taking more than a limit.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{
    DEPTH_MAX, ELEMENTS_MEMORY_BYTES_FREE, ELEMENTS_MEMORY_RATIO_MAX, ELEMENTS_WITHOUT_BYTES_MAX,
    Rules,
};
use crate::format::VALUE_NAME;

const LONG_INTEGER: &str =
    "whole numbers of 64 bits in a Value of this form; read a struct of the old fields";
const HUGE_INTEGER: &str = "whole numbers of 127 bits in a Value; read a struct of the old fields";

/// The least size of a float that may have been a whole number beyond 64 bits: 2^63.
const LONG_INTEGER_MIN: f64 = 9_223_372_036_854_775_808.0;

/// What is known while one value is read.
pub(super) struct Reading<'a> {
    rules: &'static Rules,
    /// The limit that the bytes went over, by its name.
    limit: Cell<Option<&'static str>>,
    payload: &'a [u8],
    /// How many elements of lists and maps may still come.
    elements_left: Cell<usize>,
    /// How many bytes of memory they may still take.
    memory_left: Cell<usize>,
    /// Whether a [`Value`](crate::Value) is read, which is to be written again as it was.
    is_exact: Cell<bool>,
}

/// A deserializer, an access or a seed, and how deep it lies.
pub(super) struct Guard<'a, D> {
    inner: D,
    reading: &'a Reading<'a>,
    depth: usize,
    /// How many options lie around it without a bracket between them, where an option is not written.
    options: usize,
    elements: Elements,
}

/// Whether elements are as many as the bytes say, or as the type says.
#[derive(Clone, Copy)]
enum Elements {
    Counted,
    Fixed,
}

/// Takes `None` for the unit that it was written for.
struct UnitOfNone<V>(V);

impl<'a> Reading<'a> {
    pub(super) fn new(rules: &'static Rules, payload: &'a [u8]) -> Self {
        let bytes = payload.len();
        let memory = bytes.saturating_mul(ELEMENTS_MEMORY_RATIO_MAX);
        Self {
            rules,
            limit: Cell::new(None),
            payload,
            elements_left: Cell::new(bytes.saturating_add(ELEMENTS_WITHOUT_BYTES_MAX)),
            memory_left: Cell::new(memory.saturating_add(ELEMENTS_MEMORY_BYTES_FREE)),
            is_exact: Cell::new(false),
        }
    }

    /// The seed, to be handed to the form.
    pub(super) fn guarded<S>(&self, seed: S) -> Guard<'_, S> {
        Guard {
            inner: seed,
            reading: self,
            depth: 0,
            options: 0,
            elements: Elements::Fixed,
        }
    }

    /// The limit that the bytes went over.
    pub(super) fn limit(&self) -> Option<&'static str> {
        self.limit.get()
    }

    /// For how many elements room may be made before they come: bytes that lie about a length are short.
    fn room(&self, elements: Option<usize>) -> Option<usize> {
        elements.map(|elements| elements.min(self.payload.len()))
    }

    #[cold]
    fn refuse<E: serde::de::Error>(&self, limit: &'static str) -> E {
        self.limit.set(Some(limit));
        E::custom(limit)
    }

    /// Counts an element, and its size in its list.
    fn count<T, E: serde::de::Error>(&self, elements: Elements) -> Result<(), E> {
        if matches!(elements, Elements::Counted) {
            let left = self.elements_left.get().checked_sub(1);
            let left = left.ok_or_else(|| self.refuse("ELEMENTS_WITHOUT_BYTES_MAX"))?;
            self.elements_left.set(left);
            self.take_memory::<T, E>()?;
        }
        Ok(())
    }

    fn take_memory<T, E: serde::de::Error>(&self) -> Result<(), E> {
        let left = self.memory_left.get().checked_sub(size_of::<T>());
        let left = left.ok_or_else(|| self.refuse("ELEMENTS_MEMORY_RATIO_MAX"))?;
        self.memory_left.set(left);
        Ok(())
    }

    /// Refuses a float that may be what a whole number was rounded to, where it is to be written again.
    fn check_float<E: serde::de::Error>(&self, number: f64) -> Result<(), E> {
        let rounds = self.rules.rounds.filter(|_| self.is_exact.get());
        match rounds {
            Some(rounds) if number.abs() >= LONG_INTEGER_MIN && rounds(self.payload) => {
                Err(self.refuse(LONG_INTEGER))
            }
            _ => Ok(()),
        }
    }
}

impl<'a, D> Guard<'a, D> {
    /// Another part of the value, at the same place.
    fn at<T>(&self, inner: T) -> Guard<'a, T> {
        Guard {
            inner,
            reading: self.reading,
            depth: self.depth,
            options: self.options,
            elements: self.elements,
        }
    }

    /// A part of the value that lies one deeper.
    fn under<T, E: serde::de::Error>(&self, inner: T) -> Result<Guard<'a, T>, E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.reading.refuse("DEPTH_MAX"));
        }
        let depth = self.depth + 1;
        Ok(Guard {
            depth,
            options: 0,
            ..self.at(inner)
        })
    }

    /// What an option holds. Where an option is not written, an option of itself would never end.
    fn inside_option<T, E: serde::de::Error>(&self, inner: T) -> Result<Guard<'a, T>, E> {
        if !self.reading.rules.describes_itself {
            return self.under(inner);
        }
        if self.options >= DEPTH_MAX {
            return Err(self.reading.refuse("DEPTH_MAX"));
        }
        let options = self.options + 1;
        Ok(Guard {
            options,
            ..self.at(inner)
        })
    }

    fn with(mut self, elements: Elements) -> Self {
        self.elements = elements;
        self
    }

    /// What is inside, and the visitor for it.
    fn visit<V>(self, visitor: V, elements: Elements) -> (D, Guard<'a, V>) {
        let visitor = self.at(visitor).with(elements);
        (self.inner, visitor)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guard<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.at(deserializer);
        self.inner.deserialize(deserializer)
    }
}

macro_rules! scalars {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

macro_rules! parts {
    ($($method:ident($($name:ident: $type:ty),*), $elements:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let (inner, visitor) = self.visit(visitor, Elements::$elements);
            inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guard<'_, D> {
    type Error = D::Error;

    scalars! {
        deserialize_bool
        deserialize_i8
        deserialize_i16
        deserialize_i32
        deserialize_i64
        deserialize_i128
        deserialize_u8
        deserialize_u16
        deserialize_u32
        deserialize_u64
        deserialize_u128
        deserialize_char
        deserialize_str
        deserialize_identifier
        deserialize_ignored_any
    }

    parts! {
        deserialize_any(), Counted;
        deserialize_bytes(), Counted;
        deserialize_option(), Fixed;
        deserialize_seq(), Counted;
        deserialize_tuple(length: usize), Fixed;
        deserialize_tuple_struct(name: &'static str, length: usize), Fixed;
        deserialize_map(), Counted;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]), Fixed;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]), Fixed;
    }

    /// Whatever width a float was written in, and a whole number that an upcaster put in its place.
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.reading.rules.floats_by_width {
            return self.deserialize_any(visitor);
        }
        self.inner.deserialize_f32(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.reading.rules.floats_by_width {
            return self.deserialize_any(visitor);
        }
        self.inner.deserialize_f64(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let reading = self.reading;
        let was_exact = reading.is_exact.get();
        reading.is_exact.set(was_exact || name == VALUE_NAME);
        let (inner, visitor) = self.visit(visitor, Elements::Fixed);
        let read = inner.deserialize_newtype_struct(name, visitor);
        reading.is_exact.set(was_exact);
        read
    }

    /// Borrowed from the payload, where a form would believe the length and make room for it.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.reading.rules.describes_itself {
            self.inner.deserialize_option(UnitOfNone(visitor))
        } else {
            self.inner.deserialize_unit(visitor)
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if self.reading.rules.describes_itself {
            self.inner.deserialize_option(UnitOfNone(visitor))
        } else {
            self.inner.deserialize_unit_struct(name, visitor)
        }
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! values {
    ($($method:ident: $type:ty,)*) => {$(
        fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Guard<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    values! {
        visit_bool: bool,
        visit_i8: i8,
        visit_i16: i16,
        visit_i32: i32,
        visit_i64: i64,
        visit_i128: i128,
        visit_u8: u8,
        visit_u16: u16,
        visit_u32: u32,
        visit_u64: u64,
        visit_f32: f32,
        visit_char: char,
        visit_str: &str,
        visit_borrowed_str: &'de str,
        visit_string: String,
        visit_bytes: &[u8],
        visit_borrowed_bytes: &'de [u8],
        visit_byte_buf: Vec<u8>,
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<V::Value, E> {
        if self.reading.is_exact.get() && i128::try_from(value).is_err() {
            return Err(self.reading.refuse(HUGE_INTEGER));
        }
        self.inner.visit_u128(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<V::Value, E> {
        self.reading.check_float(value)?;
        self.inner.visit_f64(value)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        // The null of a form that was asked for anything: a unit may have been written.
        if self.reading.rules.describes_itself && matches!(self.elements, Elements::Counted) {
            self.inner.visit_unit()
        } else {
            self.inner.visit_none()
        }
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.inside_option(deserializer)?;
        self.inner.visit_some(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        let deserializer = self.at(deserializer);
        self.inner.visit_newtype_struct(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.under(access)?;
        self.inner.visit_seq(access)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.under(access)?;
        self.inner.visit_map(access)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.at(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Guard<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.at(seed);
        let element = self.inner.next_element_seed(seed)?;
        if element.is_some() {
            self.reading.count::<S::Value, _>(self.elements)?;
        }
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.reading.room(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Guard<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.at(seed);
        let key = self.inner.next_key_seed(seed)?;
        if key.is_some() {
            self.reading.count::<S::Value, _>(self.elements)?;
        }
        Ok(key)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.inner.next_value_seed(self.at(seed))?;
        if matches!(self.elements, Elements::Counted) {
            self.reading.take_memory::<S::Value, _>()?;
        }
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.reading.room(self.inner.size_hint())
    }
}

impl<'a, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Guard<'a, A> {
    type Error = A::Error;
    type Variant = Guard<'a, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let place = self.at(());
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, place.at(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guard<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.under(seed)?;
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.under(visitor)?.with(Elements::Fixed);
        self.inner.tuple_variant(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.under(visitor)?.with(Elements::Fixed);
        self.inner.struct_variant(fields, visitor)
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for UnitOfNone<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, _: D) -> Result<V::Value, D::Error> {
        Err(D::Error::custom("a unit holds something"))
    }
}
