//! Values without a type, for upcasters that change a field or two.

mod serde;

use super::UpcastError;

/// How many values may lie in a [`Value`] that is read: 1,048,576. It takes up to about 64 MiB of memory and what
/// its texts take.
pub const VALUE_NODES_MAX: usize = 1 << 20;

/// A value of any form that describes itself (JSON, `MessagePack`, CBOR), for upcasters that change a field or
/// two and leave the rest as it is.
///
/// It reads up to [`DEPTH_MAX`](crate::DEPTH_MAX) deep and up to [`VALUE_NODES_MAX`] values, and refuses a map with
/// two equal texts as keys. Fields stay in order, also those that the upcaster does not know.
///
/// Whole numbers beyond 64 bits are not in it everywhere; take a struct of the old fields where there are such
/// numbers. In JSON they would be rounded, and are refused when they are read. In CBOR those beyond 127 bits are
/// refused. In `MessagePack` those beyond 64 bits are [`Bytes`](Self::Bytes), and are kept as they are.
///
/// ```
/// use annals_codec::{FormatExt, JsonCodec, Value};
///
/// let mut old: Value = JsonCodec.from_bytes(br#"{"amount":5,"by":"Ada","note":null}"#)?;
/// old.rename("amount", "cents");
/// old.remove("note");
/// old.insert("currency", "EUR");
/// assert_eq!(JsonCodec.to_bytes(&old)?, br#"{"cents":5,"by":"Ada","currency":"EUR"}"#);
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing: `null`, a unit, `None`.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Self>),
    /// Fields in order, each a key and its value.
    Map(Vec<(Self, Self)>),
}

impl Value {
    /// The value of a field; `None` where there is none, or where this is no map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(fields) = self else { return None };
        let mut fields = fields.iter();
        fields
            .find(|(name, _)| name.is_key(key))
            .map(|(_, value)| value)
    }

    /// The value of a field, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Self::Map(fields) = self else { return None };
        let mut fields = fields.iter_mut();
        fields
            .find(|(name, _)| name.is_key(key))
            .map(|(_, value)| value)
    }

    /// Sets a field: the value of one that is there, else a new one at the end. What is no map becomes one.
    pub fn insert(&mut self, key: &str, value: impl Into<Self>) {
        let value = value.into();
        if let Some(old) = self.get_mut(key) {
            *old = value;
            return;
        }
        let field = (Self::Text(key.to_owned()), value);
        if let Self::Map(fields) = self {
            fields.push(field);
        } else {
            *self = Self::Map(vec![field]);
        }
    }

    /// Takes a field out; gives its value, if it was there.
    pub fn remove(&mut self, key: &str) -> Option<Self> {
        let Self::Map(fields) = self else { return None };
        let at = fields.iter().position(|(name, _)| name.is_key(key))?;
        Some(fields.remove(at).1)
    }

    /// Takes a field out that has to be there.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn take(&mut self, key: &str) -> Result<Self, UpcastError> {
        self.remove(key)
            .ok_or(UpcastError::new("a field is missing"))
    }

    /// Takes a text out that has to be there.
    ///
    /// # Errors
    /// When there is no such field, or when it is no text.
    pub fn take_text(&mut self, key: &str) -> Result<String, UpcastError> {
        match self.take(key)? {
            Self::Text(text) => Ok(text),
            _ => Err(UpcastError::new("a field is no text")),
        }
    }

    /// Takes a whole number out that has to be there.
    ///
    /// # Errors
    /// When there is no such field, or when it is no whole number.
    pub fn take_integer(&mut self, key: &str) -> Result<i128, UpcastError> {
        match self.take(key)? {
            Self::Integer(number) => Ok(number),
            _ => Err(UpcastError::new("a field is no whole number")),
        }
    }

    /// Renames a field, which keeps its place; whether it was there. A field that has the new name already is
    /// taken out.
    pub fn rename(&mut self, key: &str, new: &str) -> bool {
        if key == new || self.get(key).is_none() {
            return self.get(key).is_some();
        }
        self.remove(new);
        let Self::Map(fields) = self else {
            return false;
        };
        let field = fields.iter_mut().find(|(name, _)| name.is_key(key));
        if let Some((name, _)) = field {
            *name = Self::Text(new.to_owned());
        }
        true
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_integer(&self) -> Option<i128> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    fn is_key(&self, key: &str) -> bool {
        self.as_text() == Some(key)
    }
}

macro_rules! from_integer {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(number: $type) -> Self {
                Self::Integer(number.into())
            }
        }
    )*};
}

from_integer!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, u8)]) -> Value {
        let fields = fields
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        Value::Map(fields.collect())
    }

    #[test]
    fn fields_keep_their_places() {
        let mut value = map(&[("a", 1), ("b", 2), ("c", 3)]);
        assert!(value.rename("b", "d"));
        assert!(!value.rename("b", "e"));
        value.insert("a", 4);
        value.insert("z", 5);
        assert_eq!(value, map(&[("a", 4), ("d", 2), ("c", 3), ("z", 5)]));
        assert!(value.rename("c", "a"));
        assert_eq!(value, map(&[("d", 2), ("a", 3), ("z", 5)]));
        assert!(value.rename("z", "z"));
        assert_eq!(value.remove("d"), Some(2.into()));
        assert_eq!(value.take_integer("a"), Ok(3));
        assert!(value.take_integer("a").is_err() && value.take_text("z").is_err());
        let mut text = Value::from("text");
        assert!(text.get("a").is_none() && !text.rename("a", "b") && text.remove("a").is_none());
        text.insert("a", 1);
        assert_eq!(text, map(&[("a", 1)]));
    }
}
