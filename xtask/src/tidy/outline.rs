//! What a Rust file declares, read from its tokens.
//!
//! Tokens rather than a syntax tree, because half of what counts here stands inside macro calls,
//! which a parser leaves alone: the functions in `proptest!`, the types in a macro that makes
//! newtypes. Comments and string literals are no tokens of their own, so a rule never trips on text.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The functions, public types and attributes of a file, in the order of their beginnings.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) functions: Vec<Function>,
    pub(crate) public_types: Vec<PublicType>,
    pub(crate) attributes: Vec<Attribute>,
}

/// A function with a body, wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The line of `fn`.
    pub(crate) line: usize,
    /// The line of the closing brace.
    pub(crate) line_end: usize,
    /// What stands between the parentheses, without white space; empty for a generic function.
    pub(crate) parameters: String,
    /// Whether other crates see it.
    pub(crate) is_public: bool,
    /// Whether it carries an attribute called `test`, such as `#[test]` or `#[tokio::test]`.
    pub(crate) is_test: bool,
}

/// A struct, enum, union, trait or type alias declared with a plain `pub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicType {
    pub(crate) name: String,
    pub(crate) line: usize,
}

/// An attribute, seen through `cfg_attr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// The last part of the path: `test` for `#[tokio::test]`.
    pub(crate) name: String,
    pub(crate) line: usize,
}

impl Outline {
    /// Reads a whole file; fails where its text is not Rust tokens.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let stream: TokenStream = text.parse().map_err(|error| anyhow!("{error}"))?;
        let mut outline = Self::default();
        outline.read(stream);
        Ok(outline)
    }

    fn read(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut is_test = false;
        for (index, token) in tokens.iter().enumerate() {
            let rest = tokens.get(index + 1..).unwrap_or_default();
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    let found = attributes(rest);
                    is_test |= found.iter().any(|attribute| attribute.name == "test");
                    self.attributes.extend(found);
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => is_test = false,
                TokenTree::Ident(ident) if ident == "fn" => {
                    if let Some(mut function) = function(ident.span().start().line, rest) {
                        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
                        function.is_public = before.is_some_and(|token| is_word(token, "pub"));
                        function.is_test = is_test;
                        self.functions.push(function);
                    }
                }
                TokenTree::Ident(ident) if ident == "pub" => {
                    self.public_types.extend(public_type(rest));
                }
                TokenTree::Group(group) => {
                    self.read(group.stream());
                    if group.delimiter() == Delimiter::Brace {
                        is_test = false;
                    }
                }
                _ => {}
            }
        }
    }
}

/// The function whose tokens follow a `fn`; none for a function pointer, and without a body.
fn function(line: usize, rest: &[TokenTree]) -> Option<Function> {
    let name = match rest.first()? {
        TokenTree::Group(_) => return None,
        name => name.to_string(),
    };
    let signature_end =
        |token: &TokenTree| is_brace(token) || is_word(token, "fn") || is_punct(token, ';');
    let body = rest
        .iter()
        .find(|token| signature_end(token))
        .filter(|token| is_brace(token))?;
    let parameters = rest
        .get(1)
        .and_then(parenthesised)
        .map(Group::stream)
        .unwrap_or_default();
    Some(Function {
        name,
        line,
        line_end: body.span().end().line,
        parameters: parameters.to_string().split_whitespace().collect(),
        is_public: false,
        is_test: false,
    })
}

/// The type whose tokens follow a `pub`; none for other items and for `pub(crate)`.
fn public_type(rest: &[TokenTree]) -> Option<PublicType> {
    let rest = match rest.split_first()? {
        (first, rest) if is_word(first, "unsafe") => rest,
        _ => rest,
    };
    let keywords = ["struct", "enum", "union", "trait", "type"];
    let (keyword, rest) = rest.split_first()?;
    if !keywords.iter().any(|word| is_word(keyword, word)) {
        return None;
    }
    match rest.first()? {
        TokenTree::Ident(name) => Some(PublicType {
            name: name.to_string(),
            line: name.span().start().line,
        }),
        _ => None,
    }
}

/// The attributes whose tokens follow a `#`.
fn attributes(rest: &[TokenTree]) -> Vec<Attribute> {
    let after_mark = match rest.first() {
        Some(mark) if is_punct(mark, '!') => rest.get(1),
        first => first,
    };
    match after_mark {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            applied(&group.stream().into_iter().collect::<Vec<_>>())
        }
        _ => Vec::new(),
    }
}

/// The attributes that these tokens apply: one, or those inside `cfg_attr(condition, ...)`.
fn applied(tokens: &[TokenTree]) -> Vec<Attribute> {
    let path_end =
        |token: &&TokenTree| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':');
    let Some(TokenTree::Ident(name)) = tokens
        .iter()
        .take_while(path_end)
        .filter(|token| !is_punct(token, ':'))
        .last()
    else {
        return Vec::new();
    };
    let arguments = tokens.iter().find_map(parenthesised);
    match arguments {
        Some(arguments) if name == "cfg_attr" => arguments
            .stream()
            .into_iter()
            .collect::<Vec<_>>()
            .split(|token| is_punct(token, ','))
            .skip(1)
            .flat_map(applied)
            .collect(),
        _ => vec![Attribute {
            name: name.to_string(),
            line: name.span().start().line,
        }],
    }
}

fn parenthesised(token: &TokenTree) -> Option<&Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some(group),
        _ => None,
    }
}

fn is_brace(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Outline {
        Outline::parse(text).unwrap()
    }

    fn check_functions(text: &str, expected: &[(&str, usize, usize)]) {
        let functions: Vec<_> = outline(text)
            .functions
            .into_iter()
            .map(|function| (function.name, function.line, function.line_end))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|&(name, line, end)| (name.to_owned(), line, end))
            .collect();
        assert_eq!(functions, expected, "{text}");
    }

    #[test]
    fn functions_are_found_wherever_they_stand() {
        check_functions("fn a() {}", &[("a", 1, 1)]);
        check_functions(
            "impl A {\n  pub async fn a()\n  where A: B,\n  {\n  }\n}",
            &[("a", 2, 5)],
        );
        check_functions("fn a() {\n fn b() {\n }\n}", &[("a", 1, 4), ("b", 2, 3)]);
        check_functions(
            "proptest! {\n #[test]\n fn law(x in 0..9) {\n }\n}",
            &[("law", 3, 4)],
        );
        check_functions(
            "fn a() -> impl Fn(fn(u8)) -> [u8; { 3 }] {\n}",
            &[("a", 1, 2)],
        );
    }

    #[test]
    fn what_has_no_body_is_no_function() {
        check_functions("trait A { fn a(); }", &[]);
        check_functions("trait A { fn a(); fn b() {} }", &[("b", 1, 1)]);
        check_functions("type F = fn(u8) -> u8; struct S { f: fn() }", &[]);
        check_functions("// fn a() {}\nconst A: &str = \"fn a() {}\";", &[]);
    }

    #[test]
    fn tests_and_public_functions_are_told_apart() {
        let text = "#[test] fn a() {} fn b() {} #[tokio::test] async fn c() {}
            #[cfg(test)] mod tests { pub fn d(data: &[u8]) {} }";
        let found: Vec<_> = outline(text)
            .functions
            .into_iter()
            .map(|function| (function.name, function.is_test, function.is_public))
            .collect();
        let expected = [("a", true, false), ("b", false, false), ("c", true, false)]
            .into_iter()
            .chain([("d", false, true)])
            .map(|(name, is_test, is_public)| (name.to_owned(), is_test, is_public));
        assert_eq!(found, expected.collect::<Vec<_>>());
        assert_eq!(
            outline(text).functions.last().unwrap().parameters,
            "data:&[u8]"
        );
    }

    #[test]
    fn public_types_are_those_with_a_plain_pub() {
        let text = "pub struct A; pub(crate) struct B; enum C {} pub enum D {}\npub trait E {
            type F; } pub type G = u8; newtype! { pub struct H(u64); } pub unsafe trait I {}
            macro_rules! m { () => { pub struct $name; } } /// pub struct J;
            pub fn j() {} pub(in super) enum K {}";
        let names: Vec<_> = outline(text)
            .public_types
            .into_iter()
            .map(|found| found.name)
            .collect();
        assert_eq!(names, ["A", "D", "E", "G", "H", "I"]);
    }

    #[test]
    fn attributes_are_seen_through_conditions() {
        let text =
            "#![a(b)]\n#[c::d]\n#[cfg_attr(feature = \"x\", e(f), g)]\nstruct S { #[h] i: u8 }
            // #[no]\n#[doc = \"#[no]\"] struct T;";
        let names: Vec<_> = outline(text)
            .attributes
            .into_iter()
            .map(|found| found.name)
            .collect();
        assert_eq!(names, ["a", "d", "e", "g", "h", "doc"]);
    }

    #[test]
    fn text_that_is_not_rust_is_refused() {
        assert!(Outline::parse("fn a() {").is_err());
    }
}
