//! The statements, with the names of one log's objects in them.

/// A name as SQL takes it, whatever characters it has.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An array of texts as a literal, which a cast to `text[]` reads.
pub(crate) fn array<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut literal = String::from("{");
    for text in texts {
        literal.push_str(if literal.len() == 1 { "\"" } else { ",\"" });
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}

/// The statements of one log that never change.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) schema: String,
    pub(crate) channel: String,
    pub(crate) append: String,
    pub(crate) head: String,
    /// The head, and whether the server is a replica.
    pub(crate) replayed: String,
    pub(crate) head_without: String,
    pub(crate) receipt: String,
    pub(crate) content: String,
    pub(crate) stream: String,
    pub(crate) lock: String,
    pub(crate) save_policy: String,
    pub(crate) given: String,
    pub(crate) auxiliary: Auxiliary,
}

/// Those of snapshots and checkpoints.
#[derive(Debug)]
pub(crate) struct Auxiliary {
    pub(crate) save_snapshot: String,
    pub(crate) load_snapshot: String,
    pub(crate) remove_older: String,
    pub(crate) remove_purged: String,
    pub(crate) owns_snapshots: String,
    pub(crate) vacuum_snapshots: String,
    pub(crate) load_checkpoint: String,
    pub(crate) first_checkpoint: String,
    pub(crate) next_checkpoint: String,
    pub(crate) remove_checkpoint: String,
}

/// How many parameters `append` takes.
const APPEND_PARAMETERS: usize = 32;

/// The types of these parameters, which the server could work out but need not.
pub(crate) const APPEND_CASTS: [&str; APPEND_PARAMETERS] = [
    "text[]", "bytea[]", "int[]", "int[]", "text[]", "bigint[]", "int[]", "bigint[]", "text[]",
    "text[]", "int[]", "uuid[]", "int[]", "int[]", "uuid[]", "text[]", "bigint[]", "text[]",
    "text[]", "text[]", "text[]", "text[]", "bigint[]", "int[]", "bytea[]", "text[]", "text[]",
    "text[]", "int[]", "int[]", "bigint", "text",
];

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        let s = quoted(schema);
        let parameters: Vec<String> = (1..)
            .zip(APPEND_CASTS)
            .map(|(number, cast)| format!("${number}::{cast}"))
            .collect();
        Self {
            channel: format!("annals_{schema}"),
            append: format!(
                "SELECT head, appended, answers, versions FROM {s}.append({})",
                parameters.join(", ")
            ),
            head: format!("SELECT position FROM {s}.log WHERE id = 1"),
            replayed: format!("SELECT position, pg_is_in_recovery() FROM {s}.log WHERE id = 1"),
            head_without: format!(
                "SELECT position, EXISTS (SELECT FROM {s}.events WHERE append_id = $1) FROM {s}.log WHERE id = 1"
            ),
            receipt: format!(
                "SELECT e.stream, min(e.version), max(e.version), min(e.position), max(e.position), min(e.appended_at) \
                 FROM {s}.events f JOIN {s}.events e ON e.position BETWEEN f.position AND f.position + f.append_events - 1 \
                 WHERE f.append_id = $1 GROUP BY e.stream ORDER BY min(e.position)"
            ),
            content: format!("SELECT position FROM {s}.events WHERE append_id = $1"),
            stream: format!(
                "SELECT coalesce((SELECT version FROM {s}.events WHERE stream = $1 ORDER BY version DESC LIMIT 1), 0), \
                 p.state, p.truncate_before, p.max_age::text, p.max_count::text \
                 FROM (SELECT) one LEFT JOIN {s}.stream_policies p ON p.stream = $1"
            ),
            lock: format!("SELECT position FROM {s}.log WHERE id = 1 FOR UPDATE"),
            save_policy: format!(
                "INSERT INTO {s}.stream_policies (stream, state, truncate_before, max_age, max_count) \
                 VALUES ($1, $2, $3, $4::text::numeric, $5::text::numeric) \
                 ON CONFLICT (stream) DO UPDATE SET state = excluded.state, \
                 truncate_before = excluded.truncate_before, max_age = excluded.max_age, max_count = excluded.max_count"
            ),
            given: format!("SELECT id, position FROM {s}.events WHERE id = ANY($1)"),
            auxiliary: Auxiliary::new(&s),
            schema: s,
        }
    }
}

impl Auxiliary {
    /// `s` is the schema, quoted.
    fn new(s: &str) -> Self {
        Self {
            save_snapshot: format!(
                "INSERT INTO {s}.snapshots (stream, fold, version, taken_at, content_type, payload) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (stream, fold, version) DO UPDATE \
                 SET taken_at = excluded.taken_at, content_type = excluded.content_type, payload = excluded.payload"
            ),
            load_snapshot: format!(
                "SELECT version, taken_at, content_type, payload FROM {s}.snapshots \
                 WHERE stream = $1 AND fold = $2 AND version <= $3 ORDER BY version DESC LIMIT 1"
            ),
            remove_older: format!(
                "DELETE FROM {s}.snapshots WHERE stream = $1 AND fold = $2 AND version < \
                 (SELECT coalesce(min(version), 9223372036854775807) FROM (SELECT version FROM {s}.snapshots \
                 WHERE stream = $1 AND fold = $2 ORDER BY version DESC LIMIT $3) newest)"
            ),
            remove_purged: format!("DELETE FROM {s}.snapshots WHERE stream = ANY($1)"),
            owns_snapshots: format!(
                "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = '{}.snapshots'::regclass",
                s.replace('\'', "''")
            ),
            vacuum_snapshots: format!("VACUUM (FULL) {s}.snapshots"),
            load_checkpoint: format!(
                "SELECT cursor, revision FROM {s}.checkpoints WHERE name = $1 AND cursor IS NOT NULL"
            ),
            first_checkpoint: format!(
                "INSERT INTO {s}.checkpoints AS c (name, revision, cursor) VALUES ($1, 1, $2) \
                 ON CONFLICT (name) DO UPDATE SET revision = c.revision + 1, cursor = excluded.cursor \
                 WHERE c.cursor IS NULL RETURNING revision"
            ),
            next_checkpoint: format!(
                "UPDATE {s}.checkpoints SET revision = revision + 1, cursor = $2 \
                 WHERE name = $1 AND cursor IS NOT NULL AND revision = $3 RETURNING revision"
            ),
            remove_checkpoint: format!(
                "UPDATE {s}.checkpoints SET cursor = NULL WHERE name = $1 AND cursor IS NOT NULL AND revision = $2"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arrays_are_quoted() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(array([]), "{}");
        assert_eq!(
            array(["a,b", "NULL", "c\"\\d", "{}"]),
            r#"{"a,b","NULL","c\"\\d","{}"}"#
        );
    }
}
