//! What a recorded name may be: the rules of the core crate, told at the place where the name is
//! written.

use syn::ext::IdentExt;
use syn::{Error, Ident, LitStr, Result};

use crate::case::Case;

/// The longest name, in bytes of UTF-8. It is `annals_core::limits::NAME_BYTES_MAX`, stated again
/// here because a derive that depended on core would be built after it, and every application after
/// both.
const NAME_BYTES_MAX: usize = 1024;

/// The category of `category = "..."`.
pub(crate) fn category(text: &LitStr) -> Result<String> {
    let category = checked(text, "category")?;
    if category.contains('-') {
        let instead = category.replace('-', "_");
        let message = format!(
            "a category has no `-`, which begins the key of a stream id; write \
             `category = {instead:?}`"
        );
        return Err(Error::new(text.span(), message));
    }
    Ok(category)
}

/// The name of `name = "..."`.
pub(crate) fn event_type(text: &LitStr) -> Result<String> {
    checked(text, "name")
}

/// The key of `tag = "..."`.
pub(crate) fn tag_key(text: &LitStr) -> Result<String> {
    let key = checked(text, "tag")?;
    if key.contains(':') {
        let message =
            "the key of a tag has no `:`, which begins its value; write another separator";
        return Err(Error::new(text.span(), message));
    }
    Ok(key)
}

/// The name that an identifier gives, spelt in `case`.
pub(crate) fn derived(ident: &Ident, case: Case) -> Result<String> {
    let bare = ident.unraw().to_string();
    let name = case.spell(&bare);
    match flaw(&name) {
        None => Ok(name),
        Some(flaw) => {
            let message = format!(
                "the name made from `{bare}` {flaw}; state one: `#[event(name = \"...\")]`"
            );
            Err(Error::new(ident.span(), message))
        }
    }
}

fn checked(text: &LitStr, attribute: &str) -> Result<String> {
    let value = text.value();
    match flaw(&value) {
        None => Ok(value),
        Some(flaw) => {
            let message = format!(
                "`{attribute}` {flaw}; write 1 to {NAME_BYTES_MAX} bytes without control characters"
            );
            Err(Error::new(text.span(), message))
        }
    }
}

/// Why a text is no name.
fn flaw(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".to_owned());
    }
    if text.len() > NAME_BYTES_MAX {
        return Some(format!(
            "has {} bytes, over the limit of {NAME_BYTES_MAX}",
            text.len()
        ));
    }
    let control = text.chars().find(|char| char.is_control())?;
    Some(format!(
        "has the control character U+{:04X}",
        u32::from(control)
    ))
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    #[test]
    fn names_follow_the_rules_of_core() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        let too_long = "a".repeat(NAME_BYTES_MAX + 1);
        for (text, expected) in [
            ("account", None),
            ("bank account", None),
            ("\u{e9}", None),
            (longest.as_str(), None),
            (
                too_long.as_str(),
                Some("has 1025 bytes, over the limit of 1024"),
            ),
            ("", Some("is empty")),
            ("a\tb", Some("has the control character U+0009")),
            ("a\u{9f}", Some("has the control character U+009F")),
        ] {
            assert_eq!(flaw(text).as_deref(), expected, "{text:?}");
            let core = annals_core::EventType::parse(text);
            assert_eq!(
                core.is_ok(),
                expected.is_none(),
                "core agrees about {text:?}"
            );
        }
    }

    #[test]
    fn separators_are_refused_where_they_would_split() {
        let literal = |text| LitStr::new(text, Span::call_site());
        assert!(category(&literal("bank-account")).is_err());
        assert!(event_type(&literal("bank-opened")).is_ok());
        assert!(tag_key(&literal("bank-account")).is_ok());
        assert!(tag_key(&literal("bank:account")).is_err());
        assert!(event_type(&literal("bank:opened")).is_ok());
    }
}
