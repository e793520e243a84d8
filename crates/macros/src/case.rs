//! The spelling of a recorded name, made from a Rust identifier.

/// How a recorded name is spelt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Case {
    /// `money-deposited`
    #[default]
    Kebab,
    /// `MoneyDeposited`
    Pascal,
}

impl Case {
    /// Reads the value of `rename_all`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "kebab-case" => Some(Self::Kebab),
            "PascalCase" => Some(Self::Pascal),
            _ => None,
        }
    }

    /// Spells an identifier, given without `r#`.
    ///
    /// Kebab-case is the words in lower case, joined by `-`. Pascal-case is the words as written,
    /// each with a capital first letter: an acronym stays one (`HTTPRequest`).
    pub(crate) fn spell(self, ident: &str) -> String {
        let words = words(ident);
        match self {
            Self::Kebab => words
                .iter()
                .map(|word| word.to_lowercase())
                .collect::<Vec<_>>()
                .join("-"),
            Self::Pascal => words.iter().map(|word| capitalised(word)).collect(),
        }
    }
}

/// Cuts an identifier into words.
///
/// A word ends at `_`; before a capital that follows a small letter (`money|Deposited`); and before
/// the last capital of a row of capitals when a small letter follows it (`HTTP|Request`). A digit
/// belongs to the word that it stands in, and moves no boundary (`Sha256|Computed`,
/// `HTTP2|Started`, `B2B|Sale`).
fn words(ident: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut last_letter: Option<char> = None;
    let mut chars = ident.chars().peekable();
    while let Some(char) = chars.next() {
        let small_follows = chars.peek().is_some_and(|next| next.is_lowercase());
        let after_small = last_letter.is_some_and(|last| !last.is_uppercase());
        let begins = char.is_uppercase() && (after_small || small_follows);
        if (char == '_' || begins) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if char == '_' {
            last_letter = None;
            continue;
        }
        word.push(char);
        if !char.is_numeric() {
            last_letter = Some(char);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_spelt_in_both_cases() {
        for (ident, kebab, pascal) in [
            ("Opened", "opened", "Opened"),
            ("MoneyDeposited", "money-deposited", "MoneyDeposited"),
            ("HTTPRequest", "http-request", "HTTPRequest"),
            ("RequestHTTP", "request-http", "RequestHTTP"),
            ("HTTP", "http", "HTTP"),
            ("HTTP2Started", "http2-started", "HTTP2Started"),
            ("Sha256Computed", "sha256-computed", "Sha256Computed"),
            ("X509Certificate", "x509-certificate", "X509Certificate"),
            ("V2Opened", "v2-opened", "V2Opened"),
            ("B2BSale", "b2b-sale", "B2BSale"),
            ("OAuth2Linked", "o-auth2-linked", "OAuth2Linked"),
            ("Level2up", "level2up", "Level2up"),
            ("AShareSold", "a-share-sold", "AShareSold"),
            ("money_deposited", "money-deposited", "MoneyDeposited"),
            ("Money_Deposited", "money-deposited", "MoneyDeposited"),
            ("__Money__2A_", "money-2a", "Money2A"),
            ("_2Apples", "2-apples", "2Apples"),
            (
                "\u{c9}tatChang\u{e9}",
                "\u{e9}tat-chang\u{e9}",
                "\u{c9}tatChang\u{e9}",
            ),
            ("__", "", ""),
        ] {
            assert_eq!(Case::Kebab.spell(ident), kebab, "{ident}");
            assert_eq!(Case::Pascal.spell(ident), pascal, "{ident}");
        }
    }

    #[test]
    fn spelling_again_changes_nothing() {
        for ident in ["MoneyDeposited", "HTTP2Started", "B2BSale", "OAuth2Linked"] {
            let pascal = Case::Pascal.spell(ident);
            assert_eq!(Case::Pascal.spell(&pascal), pascal);
            assert_eq!(Case::Kebab.spell(&pascal), Case::Kebab.spell(ident));
        }
    }

    #[test]
    fn cases_are_read_as_they_are_written() {
        assert_eq!(Case::parse("kebab-case"), Some(Case::Kebab));
        assert_eq!(Case::parse("PascalCase"), Some(Case::Pascal));
        assert_eq!(Case::parse("camelCase"), None);
    }
}
