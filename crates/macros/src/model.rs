//! The proven form of a derive's input: what stands here needs no further check.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    Data, DeriveInput, Error, Expr, Field, Fields, Generics, Ident, LitStr, Member, Path, Result,
    Token, Type, Variant,
};

use crate::attributes::{self, Attributes, PersonalAttribute, Place, TagAttribute};
use crate::case::Case;
use crate::errors::Errors;
use crate::{core_path, name, suggest, types};

/// An implementation of `Event` to be written.
pub(crate) struct Model {
    pub(crate) ident: Ident,
    /// As written; no lifetimes.
    pub(crate) generics: Generics,
    /// The path to the core crate.
    pub(crate) core: Path,
    pub(crate) category: String,
    pub(crate) kinds: Kinds,
    /// Pairs of kinds that are declared to commute, by their places; the lower one first.
    pub(crate) commuting: BTreeSet<(usize, usize)>,
    /// The path to the codec crate, where a kind declares upcasters, older names or personal fields.
    pub(crate) codec: Option<Path>,
}

/// The kinds of event that the type holds.
pub(crate) enum Kinds {
    /// A struct is one.
    Struct(Kind),
    /// An enum has one for each variant, and at least one.
    Enum(Vec<(Ident, Kind)>),
}

/// One kind of event.
pub(crate) struct Kind {
    /// The recorded name, unique in the model.
    pub(crate) name: String,
    /// The schema version, from 1.
    pub(crate) version: u32,
    /// One for each older version, or none at all.
    pub(crate) upcasts: Vec<(u32, Expr)>,
    /// Older names.
    pub(crate) was: Vec<String>,
    /// Names of the kinds that it commutes with, as stated.
    commutes_with: Vec<LitStr>,
    pub(crate) tags: Vec<TagField>,
    pub(crate) personal: Vec<PersonalField>,
}

/// A field that is encrypted for somebody.
pub(crate) struct PersonalField {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    /// The field whose `Display` tells for whom.
    pub(crate) subject: Member,
    pub(crate) subject_type: Type,
}

/// A field that gives a tag.
pub(crate) struct TagField {
    pub(crate) member: Member,
    pub(crate) key: String,
    pub(crate) presence: Presence,
    /// The type of the tag's value: for [`Presence::Optional`], that inside the option.
    pub(crate) value: Type,
}

/// When a field gives its tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Always,
    /// When it is `Some`.
    Optional,
}

impl Model {
    /// Checks the whole input; the error holds everything that is wrong.
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        match &input.data {
            Data::Struct(data) => Self::build(input, Place::Struct, |stated, case, errors| {
                Kinds::Struct(Kind::parse(
                    &input.ident,
                    stated,
                    &data.fields,
                    case,
                    errors,
                ))
            }),
            Data::Enum(data) => Self::build(input, Place::Enum, |_, case, errors| {
                Kinds::Enum(variants(&input.ident, &data.variants, case, errors))
            }),
            Data::Union(data) => {
                let message = "a union does not know which event it holds; write an enum";
                Err(Error::new(data.union_token.span, message))
            }
        }
    }

    fn build(
        input: &DeriveInput,
        place: Place,
        kinds: impl FnOnce(&Attributes, Case, &mut Errors) -> Kinds,
    ) -> Result<Self> {
        let mut errors = Errors::default();
        let stated = attributes::parse(&input.attrs, place, &mut errors);
        let category = category(&input.ident, &stated, &mut errors);
        refuse_lifetimes(&input.generics, &mut errors);
        let kinds = kinds(&stated, stated.rename_all.unwrap_or_default(), &mut errors);
        let commuting = commuting(&kinds, &mut errors);
        let (category, kinds, commuting) = errors.finish((category, kinds, commuting))?;
        let core = stated.core.or_else(core_path::find).ok_or_else(|| {
            let message = "found neither `annals-core` nor `annals` in Cargo.toml; add one to \
                [dependencies], or write `#[event(crate = \"path::to::annals_core\")]`";
            Error::new(Span::call_site(), message)
        })?;
        let (ident, generics) = (input.ident.clone(), input.generics.clone());
        let mut model = Self {
            ident,
            generics,
            core,
            category,
            kinds,
            commuting,
            codec: None,
        };
        if model
            .all_kinds()
            .any(|kind| kind.evolves() || kind.is_personal())
        {
            let codec = stated.codec.or_else(core_path::find_codec).ok_or_else(|| {
                let message = "upcasters and personal fields need `annals-codec` or `annals` in Cargo.toml; add one to \
                    [dependencies], or write `#[event(codec = \"path::to::annals_codec\")]`";
                Error::new(Span::call_site(), message)
            })?;
            model.codec = Some(codec);
        }
        Ok(model)
    }

    /// Every kind of event, in the order of declaration.
    pub(crate) fn all_kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }
}

impl Kinds {
    /// The kinds, in the order of declaration.
    fn iter(&self) -> impl Iterator<Item = &Kind> {
        let (one, many) = match self {
            Self::Struct(kind) => (Some(kind), &[][..]),
            Self::Enum(kinds) => (None, kinds.as_slice()),
        };
        one.into_iter().chain(many.iter().map(|(_, kind)| kind))
    }
}

impl Kind {
    /// What is wrong goes to `errors`, and leaves a value that nobody uses.
    fn parse(
        ident: &Ident,
        stated: &Attributes,
        fields: &Fields,
        case: Case,
        errors: &mut Errors,
    ) -> Self {
        let name = match &stated.name {
            Some(text) => name::event_type(text),
            None => name::derived(ident, case),
        };
        let name = errors.keep(name).unwrap_or_default();
        let stated_fields = fields.iter().zip(fields.members());
        let stated_fields: Vec<_> = stated_fields
            .map(|(field, member)| {
                let stated = attributes::parse(&field.attrs, Place::Field, errors);
                (field, member, stated)
            })
            .collect();
        let personal = personal_fields(&stated_fields, errors);
        let tags = stated_fields.into_iter();
        let tags = tags
            .filter_map(|(field, member, stated)| TagField::parse(field, member, stated, errors))
            .collect();
        let version = stated.version.unwrap_or(1);
        let was = stated.was.iter();
        Self {
            name,
            version,
            upcasts: upcasts(stated, version, errors),
            was: was
                .filter_map(|text| errors.keep(name::event_type(text)))
                .collect(),
            commutes_with: stated.commutes_with.clone(),
            tags,
            personal,
        }
    }

    /// Whether some of its fields are encrypted.
    pub(crate) fn is_personal(&self) -> bool {
        !self.personal.is_empty()
    }

    /// Whether older events of this kind are read.
    pub(crate) fn evolves(&self) -> bool {
        !self.upcasts.is_empty() || !self.was.is_empty()
    }
}

/// The personal fields of a kind; refuses one whose subject is no field, or personal too.
fn personal_fields(
    fields: &[(&Field, Member, Attributes)],
    errors: &mut Errors,
) -> Vec<PersonalField> {
    let mut personal = Vec::new();
    for (field, member, stated) in fields {
        let Some(PersonalAttribute { span, subject }) = &stated.personal else {
            continue;
        };
        if stated.tag.is_some() {
            let message =
                "a personal field is no tag, as tags are not encrypted; remove one of the two";
            errors.push(Error::new(*span, message));
        }
        let name = subject.value();
        let found = fields
            .iter()
            .find(|(_, member, _)| member_name(member) == name);
        let Some((subject_field, subject_member, subject_stated)) = found else {
            let known: Vec<String> = fields
                .iter()
                .map(|(_, member, _)| member_name(member))
                .collect();
            let hint = suggest::nearest(&name, known.iter().map(String::as_str));
            let hint = hint.map(|known| format!(" (did you mean `{known}`?)"));
            let message = format!(
                "there is no field `{name}` here{}; name the field that tells whose this is",
                hint.unwrap_or_default()
            );
            errors.push(Error::new(subject.span(), message));
            continue;
        };
        if subject_stated.personal.is_some() {
            let message = format!(
                "the field `{name}` is personal too, and can't be read before the key is known; \
                 name a field that stays readable"
            );
            errors.push(Error::new(subject.span(), message));
            continue;
        }
        personal.push(PersonalField {
            member: member.clone(),
            ty: field.ty.clone(),
            subject: subject_member.clone(),
            subject_type: subject_field.ty.clone(),
        });
    }
    personal
}

/// A field as an attribute names it.
fn member_name(member: &Member) -> String {
    match member {
        Member::Named(ident) => ident.unraw().to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

/// The stated pairs; refuses a name that no kind has.
fn commuting(kinds: &Kinds, errors: &mut Errors) -> BTreeSet<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    for (index, kind) in kinds.iter().enumerate() {
        for stated in &kind.commutes_with {
            let name = stated.value();
            let other = kinds.iter().position(|other| other.name == name);
            if let Some(other) = other {
                pairs.insert((index.min(other), index.max(other)));
                continue;
            }
            let names = kinds.iter().map(|other| other.name.as_str());
            let hint =
                suggest::nearest(&name, names).map(|name| format!(" (did you mean `{name}`?)"));
            let message = format!(
                "no kind is recorded as `{name}`{}; write the recorded name of one here",
                hint.unwrap_or_default()
            );
            errors.push(Error::new(stated.span(), message));
        }
    }
    pairs
}

/// The stated upcasters; refuses one that is missing, doubled or too high.
fn upcasts(stated: &Attributes, current: u32, errors: &mut Errors) -> Vec<(u32, Expr)> {
    let Some(stated) = &stated.upcasts else {
        return Vec::new();
    };
    let mut steps: BTreeMap<u32, (Span, Expr)> = BTreeMap::new();
    for step in &stated.steps {
        let span = step.version.span();
        let Some(version) = errors.keep(step.version.base10_parse::<u32>()) else {
            continue;
        };
        if version == 0 || version >= current {
            let message = format!(
                "there is no version {version} before version {current}, which is written now; \
                 correct the number, or raise `version`"
            );
            errors.push(Error::new(span, message));
        } else if let Some((first, _)) = steps.get(&version) {
            let message = format!("two upcasters start from version {version}; remove one");
            errors.push(Error::new(span, message));
            errors.push(Error::new(*first, "the first one starts here"));
        } else {
            steps.insert(version, (span, step.upcaster.clone()));
        }
    }
    let missing = (1..current).filter(|version| !steps.contains_key(version));
    let missing: Vec<String> = missing
        .take(10)
        .map(|version| format!("`{version} => ...`"))
        .collect();
    if !missing.is_empty() {
        let message = format!(
            "old events need a way to the present; add {}",
            missing.join(", ")
        );
        errors.push(Error::new(stated.span, message));
    }
    let steps = steps.into_iter();
    steps
        .map(|(version, (_, upcaster))| (version, upcaster))
        .collect()
}

impl TagField {
    /// Nothing for a field that is no tag.
    fn parse(
        field: &Field,
        member: Member,
        stated: Attributes,
        errors: &mut Errors,
    ) -> Option<Self> {
        let key = match (stated.tag?, &field.ident) {
            (TagAttribute::Key(text), _) => errors.keep(name::tag_key(&text))?,
            (TagAttribute::FieldName(_), Some(ident)) => ident.unraw().to_string(),
            (TagAttribute::FieldName(span), None) => {
                let message =
                    "a field without a name has no key; write `#[event(tag = \"account\")]`";
                errors.push(Error::new(span, message));
                return None;
            }
        };
        let (value, presence) = match types::inside_option(&field.ty) {
            Some(value) => (value, Presence::Optional),
            None => (&field.ty, Presence::Always),
        };
        if types::is_plural(value) {
            let message = "a tag holds one value and this type several; tag a field of one value, \
                or implement `Event` by hand";
            errors.push(Error::new_spanned(&field.ty, message));
            return None;
        }
        Some(Self {
            member,
            key,
            presence,
            value: value.clone(),
        })
    }
}

fn category(ident: &Ident, stated: &Attributes, errors: &mut Errors) -> String {
    if let Some(text) = &stated.category {
        return errors.keep(name::category(text)).unwrap_or_default();
    }
    // A misspelt attribute may be the category: its own error says what to write.
    if errors.is_empty() {
        let message = format!(
            "`{ident}` has no category; write `#[event(category = \"account\")]` with the category \
             of the streams that hold it"
        );
        errors.push(Error::new(ident.span(), message));
    }
    String::new()
}

/// An event outlives the call that made it, so it cannot borrow.
fn refuse_lifetimes(generics: &Generics, errors: &mut Errors) {
    for parameter in generics.lifetimes() {
        let lifetime = &parameter.lifetime;
        let message = format!(
            "an event owns its data; write an owned type, as `String`, in place of `{lifetime}`"
        );
        errors.push(Error::new(lifetime.span(), message));
    }
}

/// The kinds of an enum; refuses an empty enum and a name that two variants share.
fn variants(
    ident: &Ident,
    variants: &Punctuated<Variant, Token![,]>,
    case: Case,
    errors: &mut Errors,
) -> Vec<(Ident, Kind)> {
    if variants.is_empty() {
        let message = format!("`{ident}` holds no event; write a variant for each kind of event");
        errors.push(Error::new(ident.span(), message));
    }
    let mut spans: HashMap<String, Span> = HashMap::new();
    let mut kinds = Vec::new();
    let mut olds = Vec::new();
    for variant in variants {
        let stated = attributes::parse(&variant.attrs, Place::Variant, errors);
        let kind = Kind::parse(&variant.ident, &stated, &variant.fields, case, errors);
        let span = stated
            .name
            .as_ref()
            .map_or_else(|| variant.ident.span(), LitStr::span);
        match spans.get(&kind.name) {
            Some(first) if !kind.name.is_empty() => {
                let name = &kind.name;
                let message = format!(
                    "the name `{name}` is taken; write another: `#[event(name = \"...\")]`"
                );
                errors.push(Error::new(span, message));
                errors.push(Error::new(
                    *first,
                    format!("the name `{name}` is first used here"),
                ));
            }
            _ => {
                spans.insert(kind.name.clone(), span);
            }
        }
        let older = stated.was.iter().map(|text| (text.value(), text.span()));
        olds.extend(older);
        kinds.push((variant.ident.clone(), kind));
    }
    for (old, span) in olds {
        if let Some(first) = spans.get(&old) {
            let message =
                format!("the name `{old}` is taken; an older name is one that is no kind's now");
            errors.push(Error::new(span, message));
            let message = format!("the name `{old}` is first used here");
            errors.push(Error::new(*first, message));
        }
        spans.insert(old, span);
    }
    kinds
}
