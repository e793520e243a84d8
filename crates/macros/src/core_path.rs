//! Where the core crate and the codec crate are, seen from the crate that derives.

use proc_macro_crate::{FoundCrate, crate_name};
use syn::Path;

/// The path to the core crate: `annals-core` when the manifest names it, else inside the facade
/// `annals`.
pub(crate) fn find() -> Option<Path> {
    resolve(("annals-core", "::core"), |package| {
        crate_name(package).ok()
    })
}

/// The path to the codec crate, alike.
pub(crate) fn find_codec() -> Option<Path> {
    resolve(("annals-codec", "::codec"), |package| {
        crate_name(package).ok()
    })
}

/// The path to a crate, or to its module in the facade.
fn resolve(
    (package, module): (&str, &str),
    look_up: impl Fn(&str) -> Option<FoundCrate>,
) -> Option<Path> {
    let located = |package: &str, inside| {
        let name = match look_up(package)? {
            // Each of the two crates states `extern crate self`, so that its own name leads to it.
            FoundCrate::Itself => package.replace('-', "_"),
            FoundCrate::Name(name) => name,
        };
        syn::parse_str(&format!("::{name}{inside}")).ok()
    };
    located(package, "").or_else(|| located("annals", module))
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
            let path = resolve(("annals-core", "::core"), |package| match package {
                "annals-core" => core.clone(),
                "annals" => facade.clone(),
                _ => None,
            });
            let path = path.map(|path| path.to_token_stream().to_string());
            assert_eq!(path.as_deref(), expected);
        }
    }
}
