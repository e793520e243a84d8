//! Names of tables, apart for each version of a projection.

use annals_core::Error;
use annals_projection::{ExpandedSql, ModelId, SqlDialect};

/// The longest name of a table, an index or a column, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// SQL as SQLite takes it.
const DIALECT: SqlDialect = SqlDialect {
    name_bytes_max: NAME_BYTES_MAX,
    reserved: &["sqlite_", "annals_"],
    quotes: &[('\'', "'"), ('"', "\""), ('`', "`"), ('[', "]")],
};

/// What follows every name of a model, as `_v2`.
pub(crate) fn suffix(model: &ModelId) -> String {
    model.table_suffix()
}

/// Puts the names of a model in place of those in braces: `{orders}` becomes `"orders_v2"`. What is quoted or
/// commented out stays as it is.
pub(crate) fn expand(sql: &str, suffix: &str) -> Result<ExpandedSql, Error> {
    DIALECT.expand(sql, |name| format!("\"{name}{suffix}\""))
}

/// Refuses what is no plain name: 1 to 64 ASCII letters, digits and `_`, not beginning with a digit, and not one of
/// SQLite's or of the sink.
pub(crate) fn check(name: &str) -> Result<&str, Error> {
    DIALECT.check(name)
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
