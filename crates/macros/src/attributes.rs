//! The grammar of `#[event(...)]`: which attributes there are, where each may stand, what it holds.
//!
//! A new attribute is one row of [`KNOWN`], one field of [`Attributes`] and the function that reads
//! it.

use proc_macro2::Span;
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, Lit, LitInt, LitStr, Meta, Path, Result, Token};

use crate::case::Case;
use crate::errors::Errors;
use crate::suggest::nearest;

/// What was stated at one place; an absent attribute is `None`.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) category: Option<LitStr>,
    pub(crate) core: Option<Path>,
    pub(crate) codec: Option<Path>,
    pub(crate) rename_all: Option<Case>,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<u32>,
    pub(crate) upcasts: Option<Upcasts>,
    pub(crate) was: Vec<LitStr>,
    pub(crate) commutes_with: Vec<LitStr>,
    pub(crate) tag: Option<TagAttribute>,
    pub(crate) personal: Option<PersonalAttribute>,
}

/// `personal(subject = "customer_id")`.
pub(crate) struct PersonalAttribute {
    pub(crate) span: Span,
    /// The name of the field that tells whose it is.
    pub(crate) subject: LitStr,
}

/// `upcast(1 => first_to_second, 2 => second_to_third)`.
pub(crate) struct Upcasts {
    pub(crate) span: Span,
    pub(crate) steps: Vec<UpcastStep>,
}

/// The older version that an upcaster starts from, and the upcaster.
pub(crate) struct UpcastStep {
    pub(crate) version: LitInt,
    pub(crate) upcaster: Expr,
}

impl Parse for UpcastStep {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let version = input.parse()?;
        input.parse::<Token![=>]>()?;
        let upcaster = input.parse()?;
        Ok(Self { version, upcaster })
    }
}

/// `tag`, or `tag = "key"`.
pub(crate) enum TagAttribute {
    FieldName(Span),
    Key(LitStr),
}

/// Where an attribute stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Enum,
    Struct,
    Variant,
    Field,
}

/// One attribute that the derive knows.
struct Known {
    name: &'static str,
    usage: &'static str,
    places: &'static [Place],
    read: fn(&mut Attributes, &Known, &Meta) -> Result<()>,
}

const KNOWN: &[Known] = &[
    Known {
        name: "category",
        usage: "category = \"account\"",
        places: &[Place::Enum, Place::Struct],
        read: |into, known, meta| {
            into.category = Some(known.string(meta)?);
            Ok(())
        },
    },
    Known {
        name: "rename_all",
        usage: "rename_all = \"kebab-case\"` or `rename_all = \"PascalCase\"",
        places: &[Place::Enum, Place::Struct],
        read: |into, known, meta| {
            let text = known.string(meta)?;
            let case = Case::parse(&text.value());
            into.rename_all = Some(case.ok_or_else(|| known.misuse(&text, "takes one of two"))?);
            Ok(())
        },
    },
    Known {
        name: "crate",
        usage: "crate = \"::annals::core\"",
        places: &[Place::Enum, Place::Struct],
        read: |into, known, meta| {
            let text = known.string(meta)?;
            let path = text.parse_with(Path::parse_mod_style);
            into.core = Some(path.map_err(|_| known.misuse(&text, "takes a path"))?);
            Ok(())
        },
    },
    Known {
        name: "codec",
        usage: "codec = \"::annals::codec\"",
        places: &[Place::Enum, Place::Struct],
        read: |into, known, meta| {
            let text = known.string(meta)?;
            let path = text.parse_with(Path::parse_mod_style);
            into.codec = Some(path.map_err(|_| known.misuse(&text, "takes a path"))?);
            Ok(())
        },
    },
    Known {
        name: "name",
        usage: "name = \"money-deposited\"",
        places: &[Place::Struct, Place::Variant],
        read: |into, known, meta| {
            into.name = Some(known.string(meta)?);
            Ok(())
        },
    },
    Known {
        name: "version",
        usage: "version = 2",
        places: &[Place::Struct, Place::Variant],
        read: |into, known, meta| {
            into.version = Some(known.version(meta)?);
            Ok(())
        },
    },
    Known {
        name: "upcast",
        usage: "upcast(1 => first_to_second)",
        places: &[Place::Struct, Place::Variant],
        read: |into, known, meta| {
            into.upcasts = Some(known.upcasts(meta)?);
            Ok(())
        },
    },
    Known {
        name: "was",
        usage: "was = \"old-name\"` or `was(\"older-name\", \"old-name\")",
        places: &[Place::Struct, Place::Variant],
        read: |into, known, meta| {
            into.was = known.strings(meta)?;
            Ok(())
        },
    },
    Known {
        name: "commutes_with",
        usage: "commutes_with = \"deposited\"` or `commutes_with(\"deposited\", \"withdrawn\")",
        places: &[Place::Struct, Place::Variant],
        read: |into, known, meta| {
            into.commutes_with = known.strings(meta)?;
            Ok(())
        },
    },
    Known {
        name: "tag",
        usage: "tag` or `tag = \"account\"",
        places: &[Place::Field],
        read: |into, known, meta| {
            into.tag = Some(match meta {
                Meta::Path(path) => TagAttribute::FieldName(path.span()),
                Meta::NameValue(_) | Meta::List(_) => TagAttribute::Key(known.string(meta)?),
            });
            Ok(())
        },
    },
    Known {
        name: "personal",
        usage: "personal(subject = \"customer_id\")",
        places: &[Place::Field],
        read: |into, known, meta| {
            into.personal = Some(known.personal(meta)?);
            Ok(())
        },
    },
];

/// Reads every `#[event(...)]` of one place; what is wrong goes to `errors`, and the rest is kept.
pub(crate) fn parse(attributes: &[Attribute], place: Place, errors: &mut Errors) -> Attributes {
    let mut parsed = Attributes::default();
    let mut seen: Vec<(&str, Span)> = Vec::new();
    let metas = attributes
        .iter()
        .filter_map(|attribute| errors.keep(metas(attribute)));
    let metas: Vec<Meta> = metas.flatten().collect();
    for meta in metas {
        let Some(known) = errors.keep(Known::find(&meta, place)) else {
            continue;
        };
        let span = meta.path().span();
        if let Some((_, first)) = seen.iter().find(|(name, _)| *name == known.name) {
            let name = known.name;
            errors.push(Error::new(
                span,
                format!("`{name}` is stated twice; remove one"),
            ));
            errors.push(Error::new(*first, format!("`{name}` is first stated here")));
            continue;
        }
        seen.push((known.name, span));
        errors.keep((known.read)(&mut parsed, known, &meta));
    }
    parsed
}

/// The comma-separated content of an `#[event(...)]`; nothing for the attributes of others.
fn metas(attribute: &Attribute) -> Result<Punctuated<Meta, Token![,]>> {
    if !attribute.path().is_ident("event") {
        return Ok(Punctuated::new());
    }
    match &attribute.meta {
        Meta::List(list) => list.parse_args_with(Punctuated::parse_terminated),
        Meta::Path(_) | Meta::NameValue(_) => Err(Error::new_spanned(
            attribute,
            "write the attributes in parentheses: `#[event(...)]`",
        )),
    }
}

impl Place {
    const fn with_article(self) -> &'static str {
        match self {
            Self::Enum => "an enum",
            Self::Struct => "a struct",
            Self::Variant => "a variant",
            Self::Field => "a field",
        }
    }
}

impl Known {
    /// The attribute that `meta` names, if it may stand at `place`.
    fn find(meta: &Meta, place: Place) -> Result<&'static Self> {
        let path = meta.path();
        let known = KNOWN.iter().find(|known| path.is_ident(known.name));
        if let Some(known) = known.filter(|known| known.places.contains(&place)) {
            return Ok(known);
        }
        let here = || KNOWN.iter().filter(|known| known.places.contains(&place));
        let complaint = if let Some(Self { name, places, .. }) = known {
            let places: Vec<_> = places.iter().map(|place| place.with_article()).collect();
            format!("`{name}` belongs on {}", places.join(" or "))
        } else {
            let name = path.to_token_stream().to_string().replace(' ', "");
            let complaint = format!("unknown attribute `{name}`");
            nearest(&name, here().map(|known| known.name))
                .map(|known| format!("{complaint} (did you mean `{known}`?)"))
                .unwrap_or(complaint)
        };
        let place = place.with_article();
        let accepted: Vec<_> = here().map(|known| format!("`{}`", known.usage)).collect();
        let message = format!("{complaint}; {place} accepts {}", accepted.join(", "));
        Err(Error::new_spanned(path, message))
    }

    /// The string of `name = "..."`.
    fn string(&self, meta: &Meta) -> Result<LitStr> {
        match literal(meta) {
            Some(Lit::Str(text)) => Ok(text.clone()),
            _ => Err(self.misuse(meta, "takes a string")),
        }
    }

    /// The number of `name = 2`.
    fn version(&self, meta: &Meta) -> Result<u32> {
        let number = match literal(meta) {
            Some(Lit::Int(number)) => number.base10_parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| *number > 0);
        number.ok_or_else(|| {
            self.misuse(
                meta,
                &format!("takes a whole number from 1 to {}", u32::MAX),
            )
        })
    }

    /// The steps of `upcast(1 => ..., 2 => ...)`.
    fn upcasts(&self, meta: &Meta) -> Result<Upcasts> {
        let Meta::List(list) = meta else {
            return Err(self.misuse(meta, "takes steps in parentheses"));
        };
        let steps = list.parse_args_with(Punctuated::<UpcastStep, Token![,]>::parse_terminated);
        let steps = steps.map_err(|error| {
            let message = format!("`upcast` takes steps ({error}): write `{}`", self.usage);
            Error::new(error.span(), message)
        })?;
        Ok(Upcasts {
            span: meta.path().span(),
            steps: steps.into_iter().collect(),
        })
    }

    /// The string of `name = "..."`, or those of `name("...", "...")`.
    fn strings(&self, meta: &Meta) -> Result<Vec<LitStr>> {
        let Meta::List(list) = meta else {
            return Ok(vec![self.string(meta)?]);
        };
        let strings = list.parse_args_with(Punctuated::<LitStr, Token![,]>::parse_terminated);
        let strings = strings.map_err(|_| self.misuse(meta, "takes strings"))?;
        Ok(strings.into_iter().collect())
    }

    /// The field of `personal(subject = "...")`.
    fn personal(&self, meta: &Meta) -> Result<PersonalAttribute> {
        let misuse = || self.misuse(meta, "takes the field that tells whose it is");
        let Meta::List(list) = meta else {
            return Err(misuse());
        };
        let inside: Meta = list.parse_args().map_err(|_| misuse())?;
        match literal(&inside) {
            Some(Lit::Str(subject)) if inside.path().is_ident("subject") => Ok(PersonalAttribute {
                span: meta.path().span(),
                subject: subject.clone(),
            }),
            _ => Err(misuse()),
        }
    }

    fn misuse(&self, at: &impl ToTokens, complaint: &str) -> Error {
        Error::new_spanned(
            at,
            format!("`{}` {complaint}: write `{}`", self.name, self.usage),
        )
    }
}

/// The literal after the `=`, seen through the invisible group that a `macro_rules!` macro may wrap
/// it in.
fn literal(meta: &Meta) -> Option<&Lit> {
    let Meta::NameValue(pair) = meta else {
        return None;
    };
    let mut value = &pair.value;
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn read(place: Place, attributes: &[Attribute]) -> (Attributes, Vec<String>) {
        let mut errors = Errors::default();
        let stated = parse(attributes, place, &mut errors);
        let errors = errors.finish(()).err().into_iter().flatten();
        (stated, errors.map(|error| error.to_string()).collect())
    }

    #[test]
    fn every_attribute_is_read() {
        let (stated, errors) = read(
            Place::Struct,
            &[
                parse_quote!(#[event(category = "account", rename_all = "PascalCase")]),
                parse_quote!(#[serde(category = 1)]),
                parse_quote!(#[event(crate = "crate::core", name = "opened", version = 2,)]),
                parse_quote!(#[event()]),
            ],
        );
        assert_eq!(errors, [""; 0]);
        assert_eq!(
            stated.category.map(|text| text.value()).as_deref(),
            Some("account")
        );
        assert_eq!(stated.rename_all, Some(Case::Pascal));
        assert_eq!(stated.core.map(|path| path.segments.len()), Some(2));
        assert_eq!(
            stated.name.map(|text| text.value()).as_deref(),
            Some("opened")
        );
        assert_eq!(stated.version, Some(2));
        assert!(stated.tag.is_none());
    }

    #[test]
    fn a_tag_has_a_key_or_takes_the_name_of_the_field() {
        let tag = |attribute| read(Place::Field, &[attribute]).0.tag;
        let bare = tag(parse_quote!(#[event(tag)]));
        assert!(matches!(bare, Some(TagAttribute::FieldName(_))));
        let stated = tag(parse_quote!(#[event(tag = "student")]));
        assert!(matches!(stated, Some(TagAttribute::Key(key)) if key.value() == "student"));
        assert!(tag(parse_quote!(#[serde(skip)])).is_none());
    }

    #[test]
    fn what_is_right_is_kept_beside_every_error() {
        let (stated, errors) = read(
            Place::Variant,
            &[
                parse_quote!(#[event(version = 0, nmae = "opened", version = 2)]),
                parse_quote!(#[event(+)]),
                parse_quote!(#[event(name = "started", tag)]),
            ],
        );
        assert_eq!(
            stated.name.map(|text| text.value()).as_deref(),
            Some("started")
        );
        assert_eq!(stated.version, None);
        let accepted = "a variant accepts `name = \"money-deposited\"`, `version = 2`, \
            `upcast(1 => first_to_second)`, `was = \"old-name\"` or `was(\"older-name\", \"old-name\")`, \
            `commutes_with = \"deposited\"` or `commutes_with(\"deposited\", \"withdrawn\")`";
        let unknown = format!("unknown attribute `nmae` (did you mean `name`?); {accepted}");
        let misplaced = format!("`tag` belongs on a field; {accepted}");
        let expected = [
            "expected identifier",
            "`version` takes a whole number from 1 to 4294967295: write `version = 2`",
            unknown.as_str(),
            "`version` is stated twice; remove one",
            "`version` is first stated here",
            misplaced.as_str(),
        ];
        assert_eq!(errors, expected);
    }
}
