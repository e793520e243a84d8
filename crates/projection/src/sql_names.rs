//! Names of tables in the SQL of read models, apart for each version of a projection.

use annals_core::{Error, ErrorKind};

use crate::contract::model_id::ModelId;

/// How a database writes SQL, as far as names in braces go: what a sink on a database expands its handlers' SQL by.
///
/// A handler writes `{orders}` for the table of its model, and each version of the projection has its own. What is
/// quoted or commented out stays as it is.
///
/// ```
/// use annals_projection::SqlDialect;
///
/// let dialect = SqlDialect { name_bytes_max: 64, reserved: &["annals_"], quotes: &[('\'', "'"), ('"', "\"")] };
/// let expanded = dialect.expand("SELECT '{a}' FROM {orders}", |name| format!("\"{name}_v2\""))?;
/// assert_eq!(expanded.text, "SELECT '{a}' FROM \"orders_v2\"");
/// assert_eq!(expanded.names, ["orders"]);
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlDialect {
    /// The longest name of a table, an index or a column that may stand in braces, in bytes.
    pub name_bytes_max: usize,
    /// What no name may begin with, in small letters.
    pub reserved: &'static [&'static str],
    /// What begins something quoted, and what ends it.
    pub quotes: &'static [(char, &'static str)],
}

/// SQL with the names of one model in place of those in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpandedSql {
    /// The SQL.
    pub text: String,
    /// The names in braces, each once, as they stand there.
    pub names: Vec<String>,
}

impl ModelId {
    /// What follows every name of a model's tables: `_v2`, or `_v2_p1of4` for a part of it.
    pub fn table_suffix(&self) -> String {
        let partition = self.partition;
        if partition.is_whole() {
            return format!("_v{}", self.version);
        }
        let (index, count) = (partition.index(), partition.count());
        format!("_v{}_p{index}of{count}", self.version)
    }

    /// Holds the schema that a model is opened with against the one that made its tables.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) where they differ: a changed schema is another version of the projection.
    pub fn check_schema(&self, made_by: &str, schema: &str) -> Result<(), Error> {
        if made_by == schema {
            return Ok(());
        }
        let message = "schema is another than the one that made the tables of this version; raise the version of the \
                       projection, or reset it";
        Err(Error::new(ErrorKind::Invalid, message).with("model", self))
    }
}

impl SqlDialect {
    /// Puts what `named` makes of a name in place of the name in braces.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what stands in braces and is no name.
    pub fn expand(&self, sql: &str, named: impl Fn(&str) -> String) -> Result<ExpandedSql, Error> {
        let mut expanded = ExpandedSql {
            text: String::with_capacity(sql.len() + 16),
            names: Vec::new(),
        };
        let mut rest = sql;
        while let Some(first) = rest.chars().next() {
            let (taken, after) = rest.split_at(self.piece(rest, first));
            if first == '{' {
                let name = taken
                    .strip_prefix('{')
                    .and_then(|text| text.strip_suffix('}'));
                let name = self.check(name.unwrap_or_default())?;
                expanded.text.push_str(&named(name));
                if !expanded.names.iter().any(|known| known == name) {
                    expanded.names.push(name.to_owned());
                }
            } else {
                expanded.text.push_str(taken);
            }
            rest = after;
        }
        Ok(expanded)
    }

    /// Refuses what is no plain name: ASCII letters, digits and `_`, not beginning with a digit, not too long, and
    /// not one of the database or of the sink.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with the name.
    pub fn check<'a>(&self, name: &'a str) -> Result<&'a str, Error> {
        let mut bytes = name.bytes();
        let is_plain = bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let complaint = if !is_plain {
            "name is not made of ASCII letters, digits and _; choose another".to_owned()
        } else if name.len() > self.name_bytes_max {
            let most = self.name_bytes_max;
            format!("name is over {most} bytes; choose a shorter one")
        } else if let Some(taken) = self.taken(name) {
            format!("names that begin with {taken} are taken; choose another")
        } else {
            return Ok(name);
        };
        Err(Error::new(ErrorKind::Invalid, complaint).with("name", name))
    }

    fn taken(&self, name: &str) -> Option<&'static str> {
        let mut reserved = self.reserved.iter();
        let begins = |prefix: &&&'static str| {
            name.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        reserved.find(begins).copied()
    }

    /// The length of what the text begins with: a quoted part, a comment, a name in braces, or what is up to the next
    /// such.
    fn piece(&self, text: &str, first: char) -> usize {
        let ending_with = |opening: usize, end: &str| {
            let inner = text.get(opening..).unwrap_or_default();
            inner
                .find(end)
                .map_or(text.len(), |at| opening + at + end.len())
        };
        // A doubled quote ends one quoted part and begins the next.
        if let Some((_, end)) = self.quotes.iter().find(|(quote, _)| *quote == first) {
            return ending_with(first.len_utf8(), end);
        }
        match first {
            '{' => ending_with(1, "}"),
            '-' if text.starts_with("--") => ending_with(2, "\n"),
            '/' if text.starts_with("/*") => ending_with(2, "*/"),
            _ => {
                let rest = text.get(first.len_utf8()..).unwrap_or_default();
                let begins = |character: char| {
                    matches!(character, '{' | '-' | '/')
                        || self.quotes.iter().any(|(quote, _)| *quote == character)
                };
                let next = rest.find(begins);
                next.map_or(text.len(), |at| first.len_utf8() + at)
            }
        }
    }
}
