//! The implementation that a model stands for.
//!
//! Every path is absolute and every local is at the mixed site, so that nothing in scope where the
//! derive stands changes what the code means. Literals are the recorded names themselves: they cost
//! nothing.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Generics, Path, parse_quote};

use crate::model::{Kind, Kinds, Model, PersonalField, Presence, TagField};
use crate::types;

/// Writes the implementation of `Event`.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let Model { core, category, .. } = model;
    let ident = written_here(&model.ident);
    let generics = bounded(model);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let kinds = model.all_kinds().map(|kind| event_kind(core, kind));
    let kind_index = kind_index(&model.kinds);
    let tags = tags(core, model);
    let commuting = commuting(model);
    let evolution = evolution(model);
    let personal = personal(model);
    quote! {
        #[automatically_derived]
        impl #impl_generics #core::Event for #ident #type_generics #where_clause {
            const CATEGORY: #core::Category = #core::Category::from_static(#category);

            const KINDS: &'static [#core::EventKind] = &[#(#kinds),*];

            fn kind_index(&self) -> ::core::primitive::usize {
                #kind_index
            }

            fn tags(&self) -> ::core::result::Result<#core::Tags, #core::Error> {
                #tags
            }
        }

        #commuting

        #evolution
        #personal
    }
}

/// Writes the implementation of `CommutingEvent`, where the type declares a pair.
fn commuting(model: &Model) -> Option<TokenStream> {
    if model.commuting.is_empty() {
        return None;
    }
    let Model { core, .. } = model;
    let ident = written_here(&model.ident);
    let generics = bounded(model);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let pairs = model.commuting.iter().map(|(one, other)| {
        let [one, other] = [one, other].map(|index| Literal::usize_unsuffixed(*index));
        quote!((#one, #other))
    });
    Some(quote! {
        #[automatically_derived]
        impl #impl_generics #core::CommutingEvent for #ident #type_generics #where_clause {
            const COMMUTING: &'static [(::core::primitive::usize, ::core::primitive::usize)] =
                &[#(#pairs),*];
        }
    })
}

/// Writes the implementation of `EvolvingEvent`, where the type declares something for it.
fn evolution(model: &Model) -> Option<TokenStream> {
    let codec = model.codec.as_ref()?;
    model.all_kinds().find(|kind| kind.evolves())?;
    let ident = written_here(&model.ident);
    let generics = bounded(model);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let upcasts = model.all_kinds().flat_map(|kind| {
        let name = &kind.name;
        let steps = kind.upcasts.iter();
        steps.map(move |(version, upcaster)| {
            quote_spanned!(upcaster.span()=> .upcast(#name, #version, #upcaster))
        })
    });
    let renames = model.all_kinds().flat_map(|kind| {
        let name = &kind.name;
        kind.was
            .iter()
            .map(move |old| quote!(.renamed(#old, #name)))
    });
    Some(quote! {
        #[automatically_derived]
        impl #impl_generics #codec::EvolvingEvent for #ident #type_generics #where_clause {
            fn evolution() -> #codec::EvolutionBuilder<Self> {
                #codec::Evolution::<Self>::builder()
                    #(#upcasts)*
                    #(#renames)*
            }
        }
    })
}

/// Writes the implementation of `PersonalEvent`, where a field says whose it is.
fn personal(model: &Model) -> Option<TokenStream> {
    let codec = model.codec.as_ref()?;
    model.all_kinds().find(|kind| kind.is_personal())?;
    let ident = written_here(&model.ident);
    let generics = personally_bounded(model, codec);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let body = match &model.kinds {
        Kinds::Struct(kind) => {
            let (pattern, adds) = (personal_pattern(kind), personal_adds(codec, kind));
            quote! {
                let Self #pattern = self;
                #adds
            }
        }
        Kinds::Enum(kinds) => {
            let arms = kinds.iter().filter(|(_, kind)| kind.is_personal());
            let arms = arms.map(|(variant, kind)| {
                let (pattern, adds) = (personal_pattern(kind), personal_adds(codec, kind));
                quote!(Self::#variant #pattern => { #adds })
            });
            let rest = kinds.iter().any(|(_, kind)| !kind.is_personal());
            let rest = rest.then(|| quote!(_ => {}));
            quote!(match self { #(#arms)* #rest })
        }
    };
    Some(quote! {
        #[automatically_derived]
        impl #impl_generics #codec::privacy::PersonalEvent for #ident #type_generics #where_clause {
            fn personal_fields(
                &self,
                __fields: &mut #codec::privacy::PersonalFields,
            ) -> ::core::result::Result<(), #codec::Error> {
                #body
                ::core::result::Result::Ok(())
            }
        }
    })
}

/// The generics of `PersonalEvent`: personal fields are encrypted, and their subjects are texts.
fn personally_bounded(model: &Model, codec: &Path) -> Generics {
    let mut generics = bounded(model);
    let parameters: Vec<_> = generics
        .type_params()
        .map(|param| param.ident.clone())
        .collect();
    if parameters.is_empty() {
        return generics;
    }
    let clause = generics.make_where_clause();
    for field in model.all_kinds().flat_map(|kind| &kind.personal) {
        let PersonalField {
            ty, subject_type, ..
        } = field;
        if types::mentions(ty, parameters.iter()) {
            let bound = parse_quote!(#ty: #codec::privacy::PersonalData);
            clause.predicates.push(bound);
        }
        if types::mentions(subject_type, parameters.iter()) {
            let bound = parse_quote!(#subject_type: ::core::fmt::Display);
            clause.predicates.push(bound);
        }
    }
    generics
}

/// Binds the personal fields, and each of their subjects once.
fn personal_pattern(kind: &Kind) -> TokenStream {
    let fields = (0_usize..).zip(&kind.personal).map(|(index, field)| {
        let (member, local) = (&field.member, personal_local(index, field));
        quote!(#member: #local,)
    });
    let subjects = (0_usize..)
        .zip(&kind.personal)
        .filter_map(|(index, field)| {
            let (first, local) = subject_local(kind, field);
            let member = &field.subject;
            (first == index).then(|| quote!(#member: #local,))
        });
    quote!({ #(#fields)* #(#subjects)* .. })
}

fn personal_adds(codec: &Path, kind: &Kind) -> TokenStream {
    let adds = (0_usize..).zip(&kind.personal).map(|(index, field)| {
        let local = personal_local(index, field);
        let (_, subject) = subject_local(kind, field);
        let span = field.ty.span();
        quote_spanned! {span=>
            #codec::privacy::PersonalFields::add(__fields, #local, #subject)?;
        }
    });
    quote!(#(#adds)*)
}

/// The local of a personal field, placed at its type, where the compiler then says what that lacks.
fn personal_local(index: usize, field: &PersonalField) -> Ident {
    let span = Span::mixed_site().located_at(field.ty.span());
    format_ident!("__personal{index}", span = span)
}

/// The local of a field's subject, alike, and the number of the first field that has the same.
fn subject_local(kind: &Kind, field: &PersonalField) -> (usize, Ident) {
    let mut fields = kind.personal.iter();
    let first = fields.position(|other| other.subject == field.subject);
    let first = first.unwrap_or_default();
    let span = Span::mixed_site().located_at(field.subject_type.span());
    (first, format_ident!("__subject{first}", span = span))
}

fn event_kind(core: &Path, kind: &Kind) -> TokenStream {
    let Kind { name, version, .. } = kind;
    quote! {
        #core::EventKind::new(
            #core::EventType::from_static(#name),
            #core::SchemaVersion::from_static(#version),
        )
    }
}

fn kind_index(kinds: &Kinds) -> TokenStream {
    match kinds {
        Kinds::Struct(_) => quote!(0),
        Kinds::Enum(kinds) => {
            let arms = kinds.iter().enumerate().map(|(index, (variant, _))| {
                let index = Literal::usize_unsuffixed(index);
                quote!(Self::#variant { .. } => #index,)
            });
            quote!(match self { #(#arms)* })
        }
    }
}

fn tags(core: &Path, model: &Model) -> TokenStream {
    let none = quote!(::core::result::Result::Ok(#core::Tags::EMPTY));
    if model.all_kinds().all(|kind| kind.tags.is_empty()) {
        return none;
    }
    match &model.kinds {
        Kinds::Struct(kind) => {
            let (pattern, tags) = (pattern(kind), tags_of(core, kind));
            quote! {
                let Self #pattern = self;
                #tags
            }
        }
        Kinds::Enum(kinds) => {
            let (untagged, tagged): (Vec<_>, Vec<_>) =
                kinds.iter().partition(|(_, kind)| kind.tags.is_empty());
            let arms = tagged.iter().map(|(variant, kind)| {
                let (pattern, tags) = (pattern(kind), tags_of(core, kind));
                quote!(Self::#variant #pattern => #tags,)
            });
            let rest = (!untagged.is_empty()).then(|| {
                let variants = untagged.iter().map(|(variant, _)| variant);
                quote!(#(Self::#variants { .. })|* => #none,)
            });
            quote!(match self { #(#arms)* #rest })
        }
    }
}

/// Binds the fields that give tags.
fn pattern(kind: &Kind) -> TokenStream {
    let members = kind.tags.iter().map(|tag| &tag.member);
    let locals = (0..).zip(&kind.tags).map(|(index, tag)| local(index, tag));
    quote!({ #(#members: #locals,)* .. })
}

/// The tags of one kind; it has some.
fn tags_of(core: &Path, kind: &Kind) -> TokenStream {
    let locals = (0..)
        .zip(&kind.tags)
        .map(|(index, tag)| (local(index, tag), tag));
    let make = |key: &str, value: &Ident| quote!(#core::Tag::from_parts(#key, #value)?);
    if kind.tags.iter().all(|tag| tag.presence == Presence::Always) {
        let tags = locals.map(|(local, tag)| make(&tag.key, &local));
        return quote!(#core::Tags::new([#(#tags),*]));
    }
    let tags = locals.map(|(local, tag)| {
        let tag_of_local = make(&tag.key, &local);
        match tag.presence {
            Presence::Always => quote!(::core::option::Option::Some(#tag_of_local)),
            Presence::Optional => quote! {
                match #local {
                    ::core::option::Option::Some(#local) =>
                        ::core::option::Option::Some(#tag_of_local),
                    ::core::option::Option::None => ::core::option::Option::None,
                }
            },
        }
    });
    quote! {
        #core::Tags::new(::core::iter::Iterator::flatten(
            ::core::iter::IntoIterator::into_iter([#(#tags),*]),
        ))
    }
}

/// The local that holds a field: unseen by the application, and placed at the field's type, where
/// the compiler then says that the type has no `Display`.
fn local(index: usize, tag: &TagField) -> Ident {
    let span = Span::mixed_site().located_at(tag.value.span());
    format_ident!("__field{index}", span = span)
}

/// The same name, as a use of it by the derive: a deprecated type is still an event.
fn written_here(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(ident.span().resolved_at(Span::call_site()));
    ident
}

/// The generics of the implementation: it holds for the parameters that make the type an event.
fn bounded(model: &Model) -> Generics {
    let mut generics = model.generics.clone();
    let parameters: Vec<_> = generics
        .type_params()
        .map(|param| param.ident.clone())
        .collect();
    if parameters.is_empty() {
        return generics;
    }
    let clause = generics.make_where_clause();
    clause.predicates.push(parse_quote! {
        Self: ::core::marker::Send + ::core::marker::Sync + 'static
    });
    for TagField { value, .. } in model.all_kinds().flat_map(|kind| &kind.tags) {
        if types::mentions(value, parameters.iter()) {
            clause
                .predicates
                .push(parse_quote!(#value: ::core::fmt::Display));
        }
    }
    generics
}
