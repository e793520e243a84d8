//! What a type reads from bytes, found out by letting it read: the schema of a state, without a value of it.
//!
//! The type is deserialized from a form that holds nothing: it writes down what it is asked for, name by
//! name, and answers with the least that there is. Enums are gone through variant by variant, in as many
//! runs. What a run can't read ends it; that, too, is the same each time.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor, value::StrDeserializer,
};

/// How often a type is read: once for every variant of its enums, and more for texts that it refuses.
const RUNS_MAX: usize = 512;
/// How much a type may ask for in one run.
const TOKENS_MAX: usize = 65_536;
/// How deep it may nest.
const DEPTH_MAX: usize = 64;
/// What a text is, tried in turn while the type refuses it: ids, times and names are read from texts.
const TEXTS: [&str; 7] = [
    "",
    "1",
    "a",
    "a-1",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00000000-0000-7000-8000-000000000001",
];

/// A number that stands for everything that the type reads: names and types of fields, names of variants.
pub(crate) fn schema_of<S: DeserializeOwned>() -> u64 {
    let mut tracing = Tracing::default();
    for _ in 0..RUNS_MAX {
        tracing.begin();
        let outcome = S::deserialize(Tracer(&mut tracing));
        if !tracing.has_more(outcome.is_err()) {
            break;
        }
    }
    tracing.hash
}

/// The number of what this number stands for, and of one more word: FNV-1a, in 64 bits.
pub(crate) fn with_word(hash: u64, word: &str) -> u64 {
    let start = match hash {
        0 => 0xcbf2_9ce4_8422_2325,
        hash => hash,
    };
    let separated = word.bytes().chain([0xff]);
    separated.fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What was seen, and how the next run differs from the ones before.
#[derive(Default)]
struct Tracing {
    hash: u64,
    tokens: usize,
    depth: usize,
    /// The structs that are being read, from the outside in.
    structs: Vec<&'static str>,
    enums: BTreeMap<&'static str, Variants>,
    /// Which of [`TEXTS`] the n-th text of a run is.
    texts: Vec<usize>,
    texts_read: usize,
    is_new_variant: bool,
    /// Whether a text is what the type was given last: then it is the text that it refuses.
    is_text_last: bool,
}

/// How far the variants of an enum were gone through.
#[derive(Default)]
struct Variants {
    next: usize,
    count: usize,
    /// One that could be read to its end, to choose where the others are done.
    readable: Option<usize>,
}

impl Tracing {
    fn begin(&mut self) {
        self.tokens = 0;
        self.depth = 0;
        self.structs.clear();
        self.texts_read = 0;
        self.is_new_variant = false;
        self.is_text_last = false;
        self.note("run");
    }

    /// Whether another run would see more.
    fn has_more(&mut self, is_failed: bool) -> bool {
        if is_failed && self.is_text_last {
            let last = self.texts_read.saturating_sub(1);
            if let Some(text) = self
                .texts
                .get_mut(last)
                .filter(|text| **text + 1 < TEXTS.len())
            {
                *text += 1;
                return true;
            }
        }
        let is_open = self.enums.values().any(|it| it.next < it.count);
        self.is_new_variant && is_open
    }

    /// Adds a word to what was seen.
    fn note(&mut self, word: &str) {
        self.hash = with_word(self.hash, word);
    }

    fn ask(&mut self, what: &str) -> Result<(), Unread> {
        self.note(what);
        self.is_text_last = false;
        self.tokens += 1;
        if self.tokens > TOKENS_MAX || self.depth > DEPTH_MAX {
            return Err(Unread);
        }
        Ok(())
    }

    /// Whether a struct is being read inside itself: then what may be left out is left out.
    fn is_inside_itself(&self) -> bool {
        let innermost = self.structs.last();
        innermost.is_some_and(|name| self.structs.iter().filter(|it| *it == name).count() > 1)
    }

    fn text(&mut self) -> &'static str {
        let place = self.texts_read;
        self.texts_read += 1;
        self.is_text_last = true;
        if self.texts.len() <= place {
            self.texts.resize(place + 1, 0);
        }
        let index = self.texts.get(place).copied().unwrap_or_default();
        TEXTS.get(index).copied().unwrap_or_default()
    }

    fn variant(&mut self, name: &'static str, count: usize) -> usize {
        let variants = self.enums.entry(name).or_default();
        variants.count = count;
        if variants.next < count {
            variants.next += 1;
            self.is_new_variant = true;
            return variants.next - 1;
        }
        variants.readable.unwrap_or_default()
    }
}

/// A run that came to something which it can't read.
#[derive(Debug)]
struct Unread;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not readable from nothing")
    }
}

impl std::error::Error for Unread {}

impl de::Error for Unread {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// The form that holds nothing.
struct Tracer<'a>(&'a mut Tracing);

impl Tracer<'_> {
    /// One level deeper.
    fn nested<T>(self, read: impl FnOnce(&mut Tracing) -> Result<T, Unread>) -> Result<T, Unread> {
        self.0.depth += 1;
        let read = read(self.0);
        self.0.depth -= 1;
        read
    }
}

macro_rules! scalars {
    ($($method:ident $visit:ident $($value:expr)?;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
            self.0.ask(stringify!($method))?;
            visitor.$visit($($value)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Unread;

    scalars! {
        deserialize_any visit_unit;
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_i128 visit_i128 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_u128 visit_u128 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_char visit_char 'a';
        deserialize_bytes visit_bytes b"";
        deserialize_byte_buf visit_bytes b"";
        deserialize_unit visit_unit;
        deserialize_ignored_any visit_unit;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.0.ask("str")?;
        visitor.visit_str(self.0.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.0.ask("option")?;
        if self.0.is_inside_itself() {
            return visitor.visit_none();
        }
        self.nested(|tracing| visitor.visit_some(Tracer(tracing)))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.0.note(name);
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.0.note(name);
        self.0.ask("newtype")?;
        self.nested(|tracing| visitor.visit_newtype_struct(Tracer(tracing)))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.0.ask("seq")?;
        let count = usize::from(!self.0.is_inside_itself());
        self.nested(|tracing| visitor.visit_seq(Elements::new(tracing, count)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.0.ask(&format!("tuple of {count}"))?;
        self.nested(|tracing| visitor.visit_seq(Elements::new(tracing, count)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.0.note(name);
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.0.ask("map")?;
        let count = usize::from(!self.0.is_inside_itself());
        self.nested(|tracing| visitor.visit_map(Elements::new(tracing, count)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.0.ask("struct")?;
        self.0.note(name);
        self.0.structs.push(name);
        self.nested(|tracing| visitor.visit_map(Fields { tracing, fields }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.0.ask("enum")?;
        self.0.note(name);
        for variant in variants {
            self.0.note(variant);
        }
        let chosen = self.0.variant(name, variants.len());
        let variant = variants.get(chosen).copied().ok_or(Unread)?;
        self.nested(|tracing| {
            let access = Variant { tracing, variant };
            let read = visitor.visit_enum(access)?;
            let seen = tracing.enums.entry(name).or_default();
            seen.readable.get_or_insert(chosen);
            Ok(read)
        })
    }
}

/// The elements of a list, or the entries of a map.
struct Elements<'a> {
    tracing: &'a mut Tracing,
    left: usize,
}

impl<'a> Elements<'a> {
    fn new(tracing: &'a mut Tracing, left: usize) -> Self {
        Self { tracing, left }
    }

    fn take(&mut self) -> bool {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unread> {
        if !self.take() {
            return Ok(None);
        }
        seed.deserialize(Tracer(self.tracing)).map(Some)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unread> {
        if !self.take() {
            return Ok(None);
        }
        seed.deserialize(Tracer(self.tracing)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        seed.deserialize(Tracer(self.tracing))
    }
}

/// The fields of a struct, by name.
struct Fields<'a> {
    tracing: &'a mut Tracing,
    fields: &'static [&'static str],
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unread> {
        let Some((name, rest)) = self.fields.split_first() else {
            self.tracing.structs.pop();
            return Ok(None);
        };
        self.fields = rest;
        self.tracing.note(name);
        let name: StrDeserializer<'_, Unread> = (*name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        seed.deserialize(Tracer(self.tracing))
    }
}

/// One variant of an enum.
struct Variant<'a> {
    tracing: &'a mut Tracing,
    variant: &'static str,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Unread;
    type Variant = Tracer<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Tracer<'a>), Unread> {
        self.tracing.note(self.variant);
        let name: StrDeserializer<'_, Unread> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, Tracer(self.tracing)))
    }
}

impl<'de> VariantAccess<'de> for Tracer<'_> {
    type Error = Unread;

    fn unit_variant(self) -> Result<(), Unread> {
        self.0.ask("unit variant")
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Unread> {
        self.0.ask("newtype variant")?;
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_tuple(count, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.deserialize_struct("variant", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;

    use annals_core::{StreamId, Timestamp};
    use serde::Deserialize;

    use super::*;

    mod first {
        use super::*;

        #[derive(Deserialize)]
        pub(super) struct Account {
            #[expect(dead_code, reason = "only its schema is of interest")]
            balance: u64,
            #[expect(dead_code, reason = "only its schema is of interest")]
            owner: Option<String>,
        }
    }

    macro_rules! differs {
        ($($name:ident { $($field:tt)* })*) => {$({
            #[derive(Deserialize)]
            #[expect(dead_code, reason = "only its schema is of interest")]
            struct Account { $($field)* }
            assert_ne!(schema_of::<first::Account>(), schema_of::<Account>(), stringify!($name));
        })*};
    }

    #[test]
    fn every_change_of_a_field_is_seen() {
        differs! {
            renamed { cents: u64, owner: Option<String> }
            retyped { balance: i64, owner: Option<String> }
            dropped { balance: u64 }
            added { balance: u64, owner: Option<String>, open: bool }
            reordered { owner: Option<String>, balance: u64 }
            nested { balance: u64, owner: Option<Vec<String>> }
            required { balance: u64, owner: String }
        }
    }

    #[test]
    fn the_same_fields_are_the_same_schema() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its schema is of interest")]
        struct Account {
            balance: u64,
            owner: Option<String>,
        }
        assert_eq!(schema_of::<first::Account>(), schema_of::<Account>());
        assert_eq!(schema_of::<Account>(), 15_599_150_163_051_380_838);
    }

    macro_rules! tail_is_seen {
        ($($before:ty),*) => {$({
            #[derive(Deserialize)]
            #[expect(dead_code, reason = "only its schema is of interest")]
            struct One { before: $before, after: u8 }
            let one = schema_of::<One>();
            {
                #[derive(Deserialize)]
                #[expect(dead_code, reason = "only its schema is of interest")]
                struct One { before: $before, after: u16 }
                assert_ne!(one, schema_of::<One>(), stringify!($before));
            }
        })*};
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    enum Tree {
        Fork(Box<Tree>, Box<Tree>),
        Leaf { next: Option<Box<Chain>> },
        Nothing,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Chain {
        next: Option<Box<Chain>>,
        other: Vec<Chain>,
        tree: Option<Box<Tree>>,
    }

    #[test]
    fn what_follows_types_that_are_hard_to_read_is_seen() {
        tail_is_seen!(
            NonZeroU32,
            StreamId,
            Timestamp,
            Chain,
            Tree,
            BTreeMap<u32, (char, f64)>,
            Result<u8, String>
        );
    }

    #[test]
    fn every_variant_is_seen() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its schema is of interest")]
        enum State {
            Open,
            Closed { why: u8 },
        }
        let before = schema_of::<State>();
        {
            #[derive(Deserialize)]
            #[expect(dead_code, reason = "only its schema is of interest")]
            enum State {
                Open,
                Closed { why: u16 },
            }
            assert_ne!(before, schema_of::<State>());
        }
    }
}
