//! A serializer that refuses what a form of bytes would lose.

use std::cell::Cell;
use std::fmt;

use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use super::{DEPTH_MAX, ELEMENTS_WITHOUT_BYTES_MAX, Rules};

const NOT_FINITE: &str = "number is not finite";
const EMPTY_IN_OPTION: &str = "an option holds an empty value, which would read back as none";
const TOO_DEEP: &str = "nesting is deeper than DEPTH_MAX";
const SKIPPED_FIELD: &str = "a field is left out, but fields are known by their place; remove #[serde(skip_serializing_if)]";
const UNKNOWN_LENGTH: &str =
    "a list or map does not know its length beforehand; remove #[serde(flatten)]";
/// With more elements than this, what is written is read back: they may take more memory than a reader has.
const ELEMENTS_UNDOUBTED_MAX: usize = 16_384;

const TOO_MANY_ELEMENTS: &str =
    "more elements without bytes of their own than ELEMENTS_WITHOUT_BYTES_MAX";

/// What is known while one value is written.
pub(super) struct Writing {
    rules: &'static Rules,
    /// Why the value is refused, in words that hold none of it.
    reason: Cell<Option<&'static str>>,
    elements: Cell<usize>,
    /// Whether something was written that not every type reads back from a form that describes itself.
    in_doubt: Cell<bool>,
}

/// Passes everything on to the serializer of a form but what would not read back from it: what the form's
/// [`Rules`] name, and nesting that a reader refuses.
pub(super) struct Guard<'a, S> {
    inner: S,
    writing: &'a Writing,
    scope: Scope,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Scope {
    depth: usize,
    in_option: InOption,
    role: Role,
}

/// What a value is to the one around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Value,
    /// The key of a map, in a form that describes itself.
    Key,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum InOption {
    No,
    /// The value is all that tells `Some` from `None`.
    Directly,
}

/// A value whose serializer is guarded.
pub(super) struct Guarded<'a, T: ?Sized> {
    value: &'a T,
    writing: &'a Writing,
    scope: Scope,
}

/// The parts of a value, each guarded.
pub(super) struct GuardedParts<'a, S> {
    inner: S,
    writing: &'a Writing,
    scope: Scope,
    elements: Elements,
}

/// Whether parts are as many as the value likes, or as the type says.
#[derive(Clone, Copy)]
enum Elements {
    Counted,
    Fixed,
}

impl Writing {
    pub(super) fn new(rules: &'static Rules) -> Self {
        Self {
            rules,
            reason: Cell::new(None),
            elements: Cell::new(0),
            // In a closed form nothing shows how a type is read.
            in_doubt: Cell::new(!rules.describes_itself),
        }
    }

    /// The value, to be handed to the form.
    pub(super) fn guarded<'a, T: ?Sized>(&'a self, value: &'a T) -> Guarded<'a, T> {
        let scope = Scope {
            depth: 0,
            in_option: InOption::No,
            role: Role::Value,
        };
        Guarded {
            value,
            writing: self,
            scope,
        }
    }

    /// Whether a reader takes as many elements in this many bytes.
    pub(super) fn check_elements(&self, bytes: usize) -> Result<(), &'static str> {
        if self.elements.get() > bytes.saturating_add(ELEMENTS_WITHOUT_BYTES_MAX) {
            return Err(TOO_MANY_ELEMENTS);
        }
        Ok(())
    }

    /// Whether only reading shows that what was written reads back.
    ///
    /// In a form that describes itself these are: maps that don't know their length (`flatten`), fields that
    /// are left out, very many elements, and what the buffer loses through which serde reads `tag`, `untagged` and `flatten`
    /// (numbers of 128 bits, keys that are no texts, types with a form for people and one for machines).
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt.get() || self.elements.get() > ELEMENTS_UNDOUBTED_MAX
    }

    fn doubt(&self) {
        self.in_doubt.set(true);
    }

    /// Why the value was refused, where this guard did it.
    pub(super) fn reason(&self) -> Option<&'static str> {
        self.reason.get()
    }

    #[cold]
    fn refuse<E: serde::ser::Error>(&self, reason: &'static str) -> E {
        self.reason.set(Some(reason));
        E::custom(reason)
    }

    fn count(&self, elements: Elements) {
        if matches!(elements, Elements::Counted) {
            self.elements.set(self.elements.get().saturating_add(1));
        }
    }
}

impl<'a, S: Serializer> Guard<'a, S> {
    /// The scope of what lies `levels` of brackets deeper.
    fn deeper(&self, levels: usize) -> Result<Scope, S::Error> {
        let depth = self.scope.depth + levels;
        if depth > DEPTH_MAX {
            return Err(self.writing.refuse(TOO_DEEP));
        }
        Ok(Scope {
            depth,
            in_option: InOption::No,
            role: Role::Value,
        })
    }

    fn doubt_key(&self) {
        if self.scope.role == Role::Key {
            self.writing.doubt();
        }
    }

    /// Refuses a value that is written as `null` where `null` is `None`.
    fn not_in_option(&self) -> Result<(), S::Error> {
        match self.scope.in_option {
            InOption::No => Ok(()),
            InOption::Directly => Err(self.writing.refuse(EMPTY_IN_OPTION)),
        }
    }

    fn finite(&self, is_finite: bool) -> Result<(), S::Error> {
        if is_finite || !self.writing.rules.finite_only {
            Ok(())
        } else {
            Err(self.writing.refuse(NOT_FINITE))
        }
    }

    /// Refuses what a form with a length before its elements can't begin to write.
    fn known(&self, length: Option<usize>) -> Result<(), S::Error> {
        if length.is_some() || self.writing.rules.describes_itself {
            Ok(())
        } else {
            Err(self.writing.refuse(UNKNOWN_LENGTH))
        }
    }

    fn guarded<'b, T: ?Sized>(&self, value: &'b T, scope: Scope) -> Guarded<'b, T>
    where
        'a: 'b,
    {
        Guarded {
            value,
            writing: self.writing,
            scope,
        }
    }
}

impl<'a, S> GuardedParts<'a, S> {
    fn new(inner: S, writing: &'a Writing, scope: Scope, elements: Elements) -> Self {
        Self {
            inner,
            writing,
            scope,
            elements,
        }
    }

    fn guarded<'b, T: ?Sized>(&self, value: &'b T) -> Guarded<'b, T>
    where
        'a: 'b,
    {
        Guarded {
            value,
            writing: self.writing,
            scope: self.scope,
        }
    }

    fn guarded_key<'b, T: ?Sized>(&self, key: &'b T) -> Guarded<'b, T>
    where
        'a: 'b,
    {
        let scope = Scope {
            role: Role::Key,
            ..self.scope
        };
        Guarded {
            value: key,
            writing: self.writing,
            scope,
        }
    }
}

macro_rules! forward {
    ($($method:ident: $value:ty,)*) => {$(
        fn $method(self, value: $value) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

macro_rules! forward_no_text {
    ($($method:ident: $value:ty,)*) => {$(
        fn $method(self, value: $value) -> Result<S::Ok, S::Error> {
            self.doubt_key();
            self.inner.$method(value)
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Guard<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = GuardedParts<'a, S::SerializeSeq>;
    type SerializeTuple = GuardedParts<'a, S::SerializeTuple>;
    type SerializeTupleStruct = GuardedParts<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = GuardedParts<'a, S::SerializeTupleVariant>;
    type SerializeMap = GuardedParts<'a, S::SerializeMap>;
    type SerializeStruct = GuardedParts<'a, S::SerializeStruct>;
    type SerializeStructVariant = GuardedParts<'a, S::SerializeStructVariant>;

    forward! {
        serialize_char: char,
        serialize_str: &str,
    }

    forward_no_text! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_bytes: &[u8],
    }

    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        self.writing.doubt();
        self.inner.serialize_i128(value)
    }

    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        self.writing.doubt();
        self.inner.serialize_u128(value)
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.doubt_key();
        self.finite(value.is_finite())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.doubt_key();
        self.finite(value.is_finite())?;
        self.inner.serialize_f64(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.not_in_option()?;
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let scope = if self.writing.rules.describes_itself {
            Scope {
                in_option: InOption::Directly,
                ..self.scope
            }
        } else {
            self.deeper(1)?
        };
        let value = self.guarded(value, scope);
        self.inner.serialize_some(&value)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.not_in_option()?;
        if self.writing.rules.describes_itself {
            self.inner.serialize_none()
        } else {
            self.inner.serialize_unit()
        }
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.not_in_option()?;
        if self.writing.rules.describes_itself {
            self.inner.serialize_none()
        } else {
            self.inner.serialize_unit_struct(name)
        }
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
        let value = self.guarded(value, self.scope);
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = self.guarded(value, self.deeper(1)?);
        self.inner
            .serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.known(length)?;
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_seq(length)?;
        Ok(GuardedParts::new(
            inner,
            self.writing,
            scope,
            Elements::Counted,
        ))
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_tuple(length)?;
        Ok(GuardedParts::new(
            inner,
            self.writing,
            scope,
            Elements::Fixed,
        ))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_tuple_struct(name, length)?;
        Ok(GuardedParts::new(
            inner,
            self.writing,
            scope,
            Elements::Fixed,
        ))
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
        Ok(GuardedParts::new(
            inner,
            self.writing,
            scope,
            Elements::Fixed,
        ))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.known(length)?;
        if length.is_none() {
            self.writing.doubt();
        }
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_map(length)?;
        Ok(GuardedParts::new(
            inner,
            self.writing,
            scope,
            Elements::Counted,
        ))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let scope = self.deeper(1)?;
        let inner = self.inner.serialize_struct(name, length)?;
        Ok(GuardedParts::new(
            inner,
            self.writing,
            scope,
            Elements::Fixed,
        ))
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
        Ok(GuardedParts::new(
            inner,
            self.writing,
            scope,
            Elements::Fixed,
        ))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    /// A type that asks has two forms, and a buffer of serde reads the one for people.
    fn is_human_readable(&self) -> bool {
        let is_for_people = self.inner.is_human_readable();
        if !is_for_people {
            self.writing.doubt();
        }
        is_for_people
    }
}

impl<T: Serialize + ?Sized> Serialize for Guarded<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Guard {
            inner: serializer,
            writing: self.writing,
            scope: self.scope,
        })
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident,)*) => {$(
        impl<S: $trait> $trait for GuardedParts<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.writing.count(self.elements);
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
        impl<S: $trait> $trait for GuardedParts<'_, S> {
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
                if !self.writing.rules.describes_itself {
                    return Err(self.writing.refuse(SKIPPED_FIELD));
                }
                self.writing.doubt();
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

impl<S: SerializeMap> SerializeMap for GuardedParts<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.writing.count(self.elements);
        let key = self.guarded_key(key);
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
        self.writing.count(self.elements);
        let (key, value) = (self.guarded_key(key), self.guarded(value));
        self.inner.serialize_entry(&key, &value)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
