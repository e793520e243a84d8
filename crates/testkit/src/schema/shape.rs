//! The shape of an event: which fields it has, and of what types.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::describe::Node;

/// Paths to the values in events, and their types.
///
/// `.` is the whole, `.name` a field, `[]` the elements of a list, `{}` the values of a map and `{key}` its keys, `?`
/// what an option holds, `<Name>` the content of a variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape(BTreeMap<String, String>);

/// The types of values that don't tell their own.
const UNTOLD: &str = "untold";

impl Shape {
    pub(super) fn of(node: &Node) -> Self {
        let mut shape = Self::default();
        shape.add(".", node);
        shape
    }

    fn add(&mut self, path: &str, node: &Node) {
        let field = |name: &str| {
            if path == "." {
                format!(".{name}")
            } else {
                format!("{path}.{name}")
            }
        };
        let name = match node {
            Node::Leaf(name, _) => name,
            Node::None | Node::Some(_) => "option",
            Node::Struct(_) => "struct",
            Node::List(_) => "list",
            Node::Map(_) => "map",
            Node::Variant(..) => "enum",
            Node::LeftOut => UNTOLD,
        };
        self.put(path, name);
        match node {
            Node::Leaf(..) | Node::None | Node::LeftOut => {}
            Node::Some(inside) => self.add(&format!("{path}?"), inside),
            Node::Struct(fields) => fields
                .iter()
                .for_each(|(name, node)| self.add(&field(name), node)),
            Node::List(values) => values
                .iter()
                .for_each(|node| self.add(&format!("{path}[]"), node)),
            Node::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.add(&format!("{path}{{key}}"), key);
                self.add(&format!("{path}{{}}"), value);
            }),
            Node::Variant(name, content) => self.add(&format!("{path}<{name}>"), content),
        }
    }

    fn put(&mut self, path: &str, name: &str) {
        let told = self.0.get(path).is_some_and(|told| told != UNTOLD);
        if !told || name != UNTOLD {
            self.0.insert(path.to_owned(), name.to_owned());
        }
    }

    /// Takes in what another sample shows.
    pub(super) fn merge(&mut self, other: &Self) {
        for (path, name) in &other.0 {
            self.put(path, name);
        }
    }

    pub(super) fn parse(lines: &str) -> Self {
        let lines = lines.lines().filter_map(|line| line.rsplit_once(": "));
        Self(
            lines
                .map(|(path, name)| (path.to_owned(), name.to_owned()))
                .collect(),
        )
    }

    /// Itself and another without the lines that only differ because samples differ: what one of them does not
    /// tell of is left out of both.
    pub(super) fn comparable(&self, other: &Self) -> (String, String) {
        let text = |one: &Self, other: &Self| {
            let mut text = String::new();
            for (path, name) in &one.0 {
                if other.tells_of(path) && name != UNTOLD {
                    let _ = writeln!(text, "{path}: {name}");
                }
            }
            text
        };
        (text(self, other), text(other, self))
    }

    /// Whether this would show a path if the shape had it: the path itself has a told type, or its struct is there
    /// without it.
    fn tells_of(&self, path: &str) -> bool {
        match self.0.get(path) {
            Some(name) => name != UNTOLD,
            None => match path.rsplit_once('.') {
                Some((parent, name)) if !name.contains(['[', '{', '?', '<']) => {
                    let parent = if parent.is_empty() { "." } else { parent };
                    self.0.get(parent).is_some_and(|name| name == "struct")
                }
                _ => false,
            },
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (path, name) in &self.0 {
            let _ = writeln!(text, "{path}: {name}");
        }
        text
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
            let (before, after) = one.comparable(&other);
            assert_eq!(before, after);
        }
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
            let (before, after) = lines(before).comparable(&lines(after));
            assert_ne!(before, after);
        }
    }
}
