//! What an event holds, as text that depends on no form of bytes.

use std::fmt::{self, Display, Write as _};

use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// A value as serde shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// A plain value: its type and its text.
    Leaf(&'static str, String),
    None,
    Some(Box<Self>),
    /// Fields by name; those of a tuple by number.
    Struct(Vec<(String, Self)>),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Variant(String, Box<Self>),
    /// A field that serde leaves out.
    LeftOut,
}

/// Why a value can't be described: its `Serialize` refuses.
#[derive(Debug)]
pub(super) struct Refused(String);

/// Describes one value.
#[derive(Clone, Copy)]
pub(super) struct Describer;

/// Describes the parts of a value, then wraps them.
pub(super) struct Parts {
    fields: Vec<(String, Node)>,
    entries: Vec<(Node, Node)>,
    variant: Option<&'static str>,
}

impl Node {
    /// The value on lines of their own, from this depth on.
    pub(super) fn write(&self, text: &mut String, depth: usize) {
        match self {
            Self::Leaf(_, leaf) => text.push_str(leaf),
            Self::None => text.push_str("none"),
            Self::Some(inside) => inside.write(text, depth),
            Self::LeftOut => text.push_str("left out"),
            Self::Variant(name, content) => {
                text.push_str(name);
                if !matches!(**content, Self::Leaf("unit", _)) {
                    text.push(' ');
                    content.write(text, depth);
                }
            }
            Self::Struct(fields) => {
                write_lines(text, depth, ("{", "}"), fields, |text, (name, value)| {
                    let _ = write!(text, "{name}: ");
                    value.write(text, depth + 1);
                });
            }
            Self::List(values) => {
                write_lines(text, depth, ("[", "]"), values, |text, value| {
                    value.write(text, depth + 1);
                });
            }
            Self::Map(entries) => {
                write_lines(text, depth, ("{", "}"), entries, |text, (key, value)| {
                    key.write(text, depth + 1);
                    text.push_str(" => ");
                    value.write(text, depth + 1);
                });
            }
        }
    }
}

fn write_lines<T>(
    text: &mut String,
    depth: usize,
    (open, close): (&str, &str),
    parts: &[T],
    mut write_part: impl FnMut(&mut String, &T),
) {
    text.push_str(open);
    for part in parts {
        text.push('\n');
        text.push_str(&"  ".repeat(depth + 1));
        write_part(text, part);
    }
    if !parts.is_empty() {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    }
    text.push_str(close);
}

impl Parts {
    fn new(variant: Option<&'static str>) -> Self {
        Self {
            fields: Vec::new(),
            entries: Vec::new(),
            variant,
        }
    }

    fn push<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refused> {
        let node = value.serialize(Describer)?;
        self.fields.push((name.to_owned(), node));
        Ok(())
    }

    fn push_next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let name = self.fields.len().to_string();
        self.push(&name, value)
    }

    fn wrapped(self) -> Node {
        let fields = Node::Struct(self.fields);
        match self.variant {
            None => fields,
            Some(name) => Node::Variant(name.to_owned(), Box::new(fields)),
        }
    }
}

macro_rules! leaves {
    ($($method:ident($type:ty) $name:literal,)*) => {$(
        fn $method(self, value: $type) -> Result<Node, Refused> {
            Ok(Node::Leaf($name, format!("{value:?}")))
        }
    )*};
}

impl Serializer for Describer {
    type Ok = Node;
    type Error = Refused;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    leaves! {
        serialize_bool(bool) "bool",
        serialize_i8(i8) "i8",
        serialize_i16(i16) "i16",
        serialize_i32(i32) "i32",
        serialize_i64(i64) "i64",
        serialize_i128(i128) "i128",
        serialize_u8(u8) "u8",
        serialize_u16(u16) "u16",
        serialize_u32(u32) "u32",
        serialize_u64(u64) "u64",
        serialize_u128(u128) "u128",
        serialize_f32(f32) "f32",
        serialize_f64(f64) "f64",
        serialize_char(char) "char",
        serialize_str(&str) "text",
        serialize_bytes(&[u8]) "bytes",
    }

    fn serialize_none(self) -> Result<Node, Refused> {
        Ok(Node::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Node, Refused> {
        Ok(Node::Some(Box::new(value.serialize(self)?)))
    }

    fn serialize_unit(self) -> Result<Node, Refused> {
        Ok(Node::Leaf("unit", "()".to_owned()))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Node, Refused> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<Node, Refused> {
        Ok(Node::Variant(
            name.to_owned(),
            Box::new(self.serialize_unit()?),
        ))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Node, Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<Node, Refused> {
        Ok(Node::Variant(
            name.to_owned(),
            Box::new(value.serialize(self)?),
        ))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Refused> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Refused> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, Refused> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts, Refused> {
        Ok(Parts::new(Some(name)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Refused> {
        Ok(Parts::new(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, Refused> {
        Ok(Parts::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts, Refused> {
        Ok(Parts::new(Some(name)))
    }
}

impl SerializeSeq for Parts {
    type Ok = Node;
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.push("", value)
    }

    fn end(self) -> Result<Node, Refused> {
        let values = self.fields.into_iter().map(|(_, value)| value);
        Ok(Node::List(values.collect()))
    }
}

impl SerializeMap for Parts {
    type Ok = Node;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.entries
            .push((key.serialize(Describer)?, Node::LeftOut));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let node = value.serialize(Describer)?;
        if let Some((_, value)) = self.entries.last_mut() {
            *value = node;
        }
        Ok(())
    }

    /// In the order of the keys' texts: a hash map has none of its own.
    fn end(mut self) -> Result<Node, Refused> {
        self.entries.sort_by_cached_key(|(key, _)| {
            let mut text = String::new();
            key.write(&mut text, 0);
            text
        });
        Ok(Node::Map(self.entries))
    }
}

macro_rules! numbered {
    ($($part:ident::$method:ident,)*) => {$(
        impl $part for Parts {
            type Ok = Node;
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
                self.push_next(value)
            }

            fn end(self) -> Result<Node, Refused> {
                Ok(self.wrapped())
            }
        }
    )*};
}

numbered! {
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! named {
    ($($part:ident,)*) => {$(
        impl $part for Parts {
            type Ok = Node;
            type Error = Refused;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Refused> {
                self.push(name, value)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), Refused> {
                self.fields.push((name.to_owned(), Node::LeftOut));
                Ok(())
            }

            fn end(self) -> Result<Node, Refused> {
                Ok(self.wrapped())
            }
        }
    )*};
}

named! { SerializeStruct, SerializeStructVariant, }

impl ser::Error for Refused {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}
