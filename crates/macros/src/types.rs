//! What the written form of a field's type tells: a derive sees tokens, not types.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Ident, PathArguments, Type};

/// The collections of the standard library, which hold any number of values.
const COLLECTIONS: [&str; 8] = [
    "BTreeMap",
    "BTreeSet",
    "BinaryHeap",
    "HashMap",
    "HashSet",
    "LinkedList",
    "Vec",
    "VecDeque",
];

/// The `T` of `Option<T>`, by whatever path the option is written; an alias of it is not seen.
pub(crate) fn inside_option(ty: &Type) -> Option<&Type> {
    let (ident, arguments) = last_segment(ty)?;
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(inside)) if ident == "Option" && arguments.args.len() == 1 => {
            Some(inside)
        }
        _ => None,
    }
}

/// Whether the type is written as one that holds several values.
pub(crate) fn is_plural(ty: &Type) -> bool {
    match bare(ty) {
        Type::Array(_) | Type::Slice(_) | Type::Tuple(_) => true,
        Type::Reference(reference) => is_plural(&reference.elem),
        ty => {
            last_segment(ty).is_some_and(|(ident, _)| COLLECTIONS.iter().any(|name| ident == name))
        }
    }
}

/// Whether one of `idents` stands anywhere in the type.
pub(crate) fn mentions<'a>(ty: &Type, mut idents: impl Iterator<Item = &'a Ident>) -> bool {
    let tokens = ty.to_token_stream();
    idents.any(|ident| contains(tokens.clone(), ident))
}

fn contains(tokens: TokenStream, ident: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(found) => found == *ident,
        TokenTree::Group(group) => contains(group.stream(), ident),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn last_segment(ty: &Type) -> Option<(&Ident, &PathArguments)> {
    let Type::Path(path) = bare(ty) else {
        return None;
    };
    path.path
        .segments
        .last()
        .map(|segment| (&segment.ident, &segment.arguments))
}

/// The type without parentheses and the invisible groups of `macro_rules!` macros.
fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Type {
        syn::parse_str(text).unwrap()
    }

    #[test]
    fn an_option_is_seen_by_any_path() {
        for (text, expected) in [
            ("Option<u64>", Some("u64")),
            ("(Option<u64>)", Some("u64")),
            ("std::option::Option<Id<T>>", Some("Id < T >")),
            ("::core::option::Option<String>", Some("String")),
            ("String", None),
            ("Option", None),
            ("Maybe<u64>", None),
            ("Vec<Option<u64>>", None),
            ("&'static Option<u64>", None),
        ] {
            let ty = parse(text);
            let inside = inside_option(&ty).map(|ty| ty.to_token_stream().to_string());
            assert_eq!(inside.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn collections_are_plural() {
        for (text, expected) in [
            ("Vec<u64>", true),
            ("std::collections::HashSet<String>", true),
            ("[u8; 16]", true),
            ("&'static [u8]", true),
            ("(u8, u8)", true),
            ("String", false),
            ("VecId", false),
            ("Box<str>", false),
        ] {
            assert_eq!(is_plural(&parse(text)), expected, "{text}");
        }
    }

    #[test]
    fn mentioned_parameters_are_found_at_any_depth() {
        let parameter: Ident = syn::parse_str("T").unwrap();
        for (text, expected) in [
            ("T", true),
            ("Id<T>", true),
            ("<T as Keyed>::Key", true),
            ("[T; 2]", true),
            ("Id<String>", false),
        ] {
            assert_eq!(
                mentions(&parse(text), [&parameter].into_iter()),
                expected,
                "{text}"
            );
        }
    }
}
