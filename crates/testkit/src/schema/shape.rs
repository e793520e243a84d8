//! The shape of an event: which fields it has, and of what types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::describe::Node;

/// Paths to the values in events, and the types that they have there.
///
/// `.` is the whole, `.name` a field, `[]` the elements of a list, `{}` the values of a map and `{key}` its keys, `?`
/// what an option holds, `<Name>` the content of a variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape(BTreeMap<String, BTreeSet<String>>);

/// The type of values that don't tell their own.
const UNTOLD: &str = "untold";

/// Stands among the types of a field that some of the structs at its place are without.
const ABSENT: &str = "absent";

/// Between the types of one path.
const OR: &str = " | ";

impl Shape {
    pub(super) fn of(node: &Node) -> Self {
        Self::at(".", node)
    }

    /// The shape of a value at a path.
    fn at(path: &str, node: &Node) -> Self {
        let name = match node {
            Node::Leaf(name, _) => name,
            Node::None | Node::Some(_) => "option",
            Node::Struct(_) => "struct",
            Node::List(_) => "list",
            Node::Map(_) => "map",
            Node::Variant(..) => "enum",
            Node::LeftOut => UNTOLD,
        };
        let mut shape = Self::default();
        shape.put(path, name);
        match node {
            Node::Leaf(..) | Node::None | Node::LeftOut => {}
            Node::Some(inside) => shape.join(Self::at(&format!("{path}?"), inside)),
            Node::Struct(fields) => {
                for (name, node) in fields {
                    shape.join(Self::at(&field(path, name), node));
                }
            }
            Node::List(values) => {
                shape.join(Self::at_each(&format!("{path}[]"), values.iter()));
            }
            Node::Map(entries) => {
                let (keys, values) = (entries.iter().map(|entry| &entry.0), entries.iter());
                shape.join(Self::at_each(&format!("{path}{{key}}"), keys));
                let values = values.map(|entry| &entry.1);
                shape.join(Self::at_each(&format!("{path}{{}}"), values));
            }
            Node::Variant(name, content) => {
                shape.join(Self::at(&format!("{path}<{name}>"), content));
            }
        }
        shape
    }

    /// The shape of several values at one path.
    fn at_each<'a>(path: &str, nodes: impl Iterator<Item = &'a Node>) -> Self {
        let mut shape = Self::default();
        nodes.for_each(|node| shape.merge(&Self::at(path, node)));
        shape
    }

    fn put(&mut self, path: &str, name: &str) {
        let types = self.0.entry(path.to_owned()).or_default();
        types.insert(name.to_owned());
        if types.iter().any(|name| name != UNTOLD && name != ABSENT) {
            types.remove(UNTOLD);
        }
    }

    /// Takes in what lies below.
    fn join(&mut self, other: Self) {
        for (path, types) in other.0 {
            for name in types {
                self.put(&path, &name);
            }
        }
    }

    /// Takes in what another value at the same place shows: each path has the types of both then.
    pub(super) fn merge(&mut self, other: &Self) {
        let paths = self.0.keys().chain(other.0.keys());
        let absent = paths.filter(|path| self.lacks(path) || other.lacks(path));
        let absent: Vec<String> = absent.cloned().collect();
        self.join(other.clone());
        for path in absent {
            self.put(&path, ABSENT);
        }
    }

    pub(super) fn parse(lines: &str) -> Self {
        let mut shape = Self::default();
        for (path, types) in lines.lines().filter_map(|line| line.rsplit_once(": ")) {
            types.split(OR).for_each(|name| shape.put(path, name));
        }
        shape
    }

    /// What differs in itself and in another: paths of which both tell, and for which they have no type in common.
    pub(super) fn differences(&self, other: &Self) -> (String, String) {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let (mut before, mut after) = (String::new(), String::new());
        for path in paths {
            if let (Some(one), Some(two)) = (self.told(path), other.told(path))
                && one.is_disjoint(&two)
            {
                write_line(&mut before, path, one);
                write_line(&mut after, path, two);
            }
        }
        (before, after)
    }

    /// The types at a path, if the shape tells of it: the path itself has some, or its struct is there without it.
    fn told(&self, path: &str) -> Option<BTreeSet<&str>> {
        if self.lacks(path) {
            return Some([ABSENT].into());
        }
        let types = self.0.get(path).filter(|types| !types.contains(UNTOLD))?;
        Some(types.iter().map(String::as_str).collect())
    }

    /// Whether a path is that of a field that the struct at its place is without.
    fn lacks(&self, path: &str) -> bool {
        let Some((parent, name)) = path.rsplit_once('.') else {
            return false;
        };
        if name.is_empty() || name.contains(['[', '{', '?', '<']) || self.0.contains_key(path) {
            return false;
        }
        let parent = if parent.is_empty() { "." } else { parent };
        let types = self.0.get(parent);
        types.is_some_and(|types| types.contains("struct"))
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (path, types) in &self.0 {
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            let _ = writeln!(text, "{path}: {}", types.join(OR));
        }
        text
    }
}

/// The path of a field of the struct at this one.
fn field(path: &str, name: &str) -> String {
    if path == "." {
        format!(".{name}")
    } else {
        format!("{path}.{name}")
    }
}

fn write_line(text: &mut String, path: &str, mut types: BTreeSet<&str>) {
    types.remove(ABSENT);
    if !types.is_empty() {
        let types: Vec<&str> = types.into_iter().collect();
        let _ = writeln!(text, "{path}: {}", types.join(OR));
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::super::describe::Describer;
    use super::*;

    #[derive(Serialize)]
    struct Order<'a> {
        lines: &'a [(&'a str, u8)],
        note: Option<&'a str>,
        paid: Paid,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
    }

    #[derive(Serialize)]
    enum Paid {
        No,
        In { cents: u64 },
    }

    fn shape(value: &impl Serialize) -> Shape {
        Shape::of(&value.serialize(Describer).expect("it can be described"))
    }

    fn full() -> Shape {
        shape(&Order {
            lines: &[("tea", 2)],
            note: Some("soon"),
            paid: Paid::In { cents: 5 },
            code: Some(7),
        })
    }

    #[test]
    fn every_path_is_told() {
        let text = full().text();
        assert_eq!(
            text,
            ".: struct\n.code: option\n.code?: u16\n.lines: list\n.lines[]: struct\n.lines[].0: text\n\
             .lines[].1: u8\n.note: option\n.note?: text\n.paid: enum\n.paid<In>: struct\n\
             .paid<In>.cents: u64\n"
        );
        assert_eq!(Shape::parse(&text), full());
    }

    #[test]
    fn samples_that_say_less_are_of_the_same_shape() {
        let empty = shape(&Order {
            lines: &[],
            note: None,
            paid: Paid::No,
            code: None,
        });
        for (one, other) in [(full(), empty.clone()), (empty, full())] {
            let (before, after) = one.differences(&other);
            assert_eq!(before, after);
        }
    }

    #[derive(Serialize)]
    #[serde(untagged)]
    enum Mixed<'a> {
        Number(u64),
        Text(&'a str),
        Named { name: &'a str },
        Priced { price: u8 },
    }

    #[test]
    fn values_of_several_types_have_all_of_them() {
        use Mixed::{Named, Number, Priced, Text};
        let mixed = [
            Number(1),
            Text("a"),
            Named { name: "b" },
            Priced { price: 5 },
        ];
        let all = shape(&mixed.as_slice());
        assert_eq!(
            all.text(),
            ".: list\n.[]: struct | text | u64\n.[].name: absent | text\n.[].price: absent | u8\n"
        );
        assert_eq!(Shape::parse(&all.text()), all);
        for one in &mixed {
            let one = shape(&[one].as_slice());
            for (before, after) in [one.differences(&all), all.differences(&one)] {
                assert_eq!((before.as_str(), after.as_str()), ("", ""));
            }
        }
        let (before, after) = shape(&vec![Number(1)]).differences(&shape(&vec![Text("a")]));
        assert_eq!(
            (before.as_str(), after.as_str()),
            (".[]: u64\n", ".[]: text\n")
        );
    }

    #[test]
    fn changes_are_seen_at_any_depth() {
        let lines = |text: &str| Shape::parse(text);
        for (before, after) in [
            (".: struct\n.a: u8\n", ".: struct\n.b: u8\n"),
            (".: struct\n.a: u8\n", ".: struct\n"),
            (".: struct\n.a: u8\n", ".: struct\n.a: u16\n"),
            (".: u8\n", ".: struct\n.a: u8\n"),
            (
                ".: struct\n.a: list\n.a[]: struct\n.a[].b: u8\n",
                ".: struct\n.a: list\n.a[]: struct\n.a[].c: u8\n",
            ),
            (
                ".: struct\n.a: option\n.a?: u8\n",
                ".: struct\n.a: option\n.a?: text\n",
            ),
        ] {
            let (before, after) = lines(before).differences(&lines(after));
            assert_ne!(before, after);
        }
    }
}
