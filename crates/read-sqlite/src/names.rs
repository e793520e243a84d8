//! Names of tables, apart for each version of a projection.

use annals_core::{Error, ErrorKind};
use annals_projection::ModelId;

/// The longest name of a table, an index or a column, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// SQL with the names of one model in place of those in braces.
#[derive(Debug)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// The names in braces, each once, as they stand there.
    pub(crate) names: Vec<String>,
}

/// What follows every name of a model, as `_v2`.
pub(crate) fn suffix(model: &ModelId) -> String {
    let partition = model.partition;
    if partition.is_whole() {
        return format!("_v{}", model.version);
    }
    let (index, count) = (partition.index(), partition.count());
    format!("_v{}_p{index}of{count}", model.version)
}

/// Puts the names of a model in place of those in braces: `{orders}` becomes `"orders_v2"`. What is quoted or
/// commented out stays as it is.
pub(crate) fn expand(sql: &str, suffix: &str) -> Result<Expanded, Error> {
    let mut expanded = Expanded {
        text: String::with_capacity(sql.len() + 16),
        names: Vec::new(),
    };
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (taken, after) = rest.split_at(piece(rest, first));
        match first {
            '{' => expanded.name(taken, suffix)?,
            _ => expanded.text.push_str(taken),
        }
        rest = after;
    }
    Ok(expanded)
}

impl Expanded {
    fn name(&mut self, braced: &str, suffix: &str) -> Result<(), Error> {
        let name = braced
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let name = check(name.unwrap_or_default())?;
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str(suffix);
        self.text.push('"');
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        Ok(())
    }
}

/// The length of what the text begins with: a quoted part, a comment, a name in braces, or what is up to the next
/// such.
fn piece(text: &str, first: char) -> usize {
    let ending_with = |opening: usize, end: &str| {
        let inner = text.get(opening..).unwrap_or_default();
        inner
            .find(end)
            .map_or(text.len(), |at| opening + at + end.len())
    };
    match first {
        // A doubled quote ends one quoted part and begins the next.
        '\'' => ending_with(1, "'"),
        '"' => ending_with(1, "\""),
        '`' => ending_with(1, "`"),
        '[' => ending_with(1, "]"),
        '{' => ending_with(1, "}"),
        '-' if text.starts_with("--") => ending_with(2, "\n"),
        '/' if text.starts_with("/*") => ending_with(2, "*/"),
        _ => {
            let rest = text.get(first.len_utf8()..).unwrap_or_default();
            let next = rest.find(['\'', '"', '`', '[', '{', '-', '/']);
            next.map_or(text.len(), |at| first.len_utf8() + at)
        }
    }
}

/// Refuses what is no plain name: 1 to 64 ASCII letters, digits and `_`, not beginning with a digit, and not one of
/// SQLite's or of the sink.
pub(crate) fn check(name: &str) -> Result<&str, Error> {
    let mut bytes = name.bytes();
    let is_plain = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let complaint = if !is_plain {
        "name is not made of ASCII letters, digits and _; choose another"
    } else if name.len() > NAME_BYTES_MAX {
        "name is over 64 bytes; choose a shorter one"
    } else if is_reserved(name) {
        "names that begin with sqlite_ or annals_ are taken; choose another"
    } else {
        return Ok(name);
    };
    Err(Error::new(ErrorKind::Invalid, complaint).with("name", name))
}

fn is_reserved(name: &str) -> bool {
    let is_of = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    is_of("sqlite_") || is_of("annals_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_get_their_version() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            (
                "INSERT INTO {orders} SELECT * FROM {old}",
                "INSERT INTO \"orders_v2\" SELECT * FROM \"old_v2\"",
            ),
            (
                "SELECT '{a}', \"{b}\" FROM {c}",
                "SELECT '{a}', \"{b}\" FROM \"c_v2\"",
            ),
            ("SELECT 'it''s {a}'", "SELECT 'it''s {a}'"),
            ("-- {a}\n{b}", "-- {a}\n\"b_v2\""),
            (
                "/* {a} */{b}/{c}-{d}",
                "/* {a} */\"b_v2\"/\"c_v2\"-\"d_v2\"",
            ),
            ("[{a}] `{b}`", "[{a}] `{b}`"),
            ("SELECT '\u{e9}' || {a}.x", "SELECT '\u{e9}' || \"a_v2\".x"),
            ("'{a}", "'{a}"),
        ] {
            assert_eq!(expand(sql, "_v2").unwrap().text, expected);
        }
        let names = expand("{b} {a} {b}", "_v1").unwrap().names;
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in [
            "", "1a", "a b", "a\"b", "a;b", "\u{e9}", "SQLite_x", "annals_x", &long,
        ] {
            assert!(check(name).is_err(), "{name:?}");
            assert!(expand(&format!("{{{name}}}"), "_v1").is_err(), "{name:?}");
        }
        assert!(expand("{a", "_v1").is_err());
        assert_eq!(check("_orders2").unwrap(), "_orders2");
    }
}
