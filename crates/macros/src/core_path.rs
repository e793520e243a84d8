//! Where the core crate is, seen from the crate that derives.

use proc_macro_crate::{FoundCrate, crate_name};
use syn::Path;

/// The path to the core crate: `annals-core` when the manifest names it, else inside the facade
/// `annals`.
pub(crate) fn find() -> Option<Path> {
    resolve(|package| crate_name(package).ok())
}

fn resolve(look_up: impl Fn(&str) -> Option<FoundCrate>) -> Option<Path> {
    let located = |package, inside| {
        let name = match look_up(package)? {
            // Each of the two crates states `extern crate self`, so that its own name leads to it.
            FoundCrate::Itself => package.replace('-', "_"),
            FoundCrate::Name(name) => name,
        };
        syn::parse_str(&format!("::{name}{inside}")).ok()
    };
    located("annals-core", "").or_else(|| located("annals", "::core"))
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;

    use super::*;

    #[test]
    fn core_is_found_by_itself_or_in_the_facade() {
        let named = |name: &str| Some(FoundCrate::Name(name.to_owned()));
        for (core, facade, expected) in [
            (named("annals_core"), None, Some(":: annals_core")),
            (
                named("annals_core"),
                named("annals"),
                Some(":: annals_core"),
            ),
            (named("renamed"), None, Some(":: renamed")),
            (None, named("annals"), Some(":: annals :: core")),
            (None, named("history"), Some(":: history :: core")),
            (Some(FoundCrate::Itself), None, Some(":: annals_core")),
            (None, Some(FoundCrate::Itself), Some(":: annals :: core")),
            (None, None, None),
        ] {
            let path = resolve(|package| match package {
                "annals-core" => core.clone(),
                "annals" => facade.clone(),
                _ => None,
            });
            let path = path.map(|path| path.to_token_stream().to_string());
            assert_eq!(path.as_deref(), expected);
        }
    }
}
