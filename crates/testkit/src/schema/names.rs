//! The names of a ledger's files.

use std::fmt::Write as _;

use annals_codec::Schema;
use annals_core::{ContentType, EventType, SchemaVersion};

use crate::report::Report;

/// The length up to which every file system takes a name, with room for what is added.
const NAME_BYTES_MAX: usize = 200;

/// Names that Windows gives to devices, in every directory; `com` and `lpt` with a digit are too.
const RESERVED: [&str; 4] = ["aux", "con", "nul", "prn"];

/// Content types with a name of their own; all others are spelled out.
const FORMS: [(&str, &str); 5] = [
    ("application/json", "json"),
    ("application/cbor", "cbor"),
    ("application/vnd.msgpack", "msgpack"),
    ("application/vnd.annals.bincode", "bincode"),
    ("application/vnd.annals.postcard", "postcard"),
];

/// The folder of a schema.
pub(super) fn folder(schema: &Schema) -> Result<String, Report> {
    let name = file_name(schema.event_type.as_str())?;
    Ok(format!("{name}/v{}", schema.schema_version))
}

/// The schema of a folder.
pub(super) fn schema_of(path: &str) -> Option<Schema> {
    let mut parts = path.split('/');
    let name = name_of(parts.next()?)?;
    let version = parts.next()?.strip_prefix('v')?.parse().ok()?;
    Some(Schema::new(
        EventType::parse(&name).ok()?,
        SchemaVersion::new(version).ok()?,
    ))
}

/// A name as one of a file: small letters, digits, `-` and `_` as they are.
pub(super) fn file_name(name: &str) -> Result<String, Report> {
    let file = escaped(name, b"-_");
    let first = name.as_bytes().first();
    let file = match (first, file.get(1..)) {
        (Some(first), Some(rest)) if is_reserved(&file) => format!("%{first:02x}{rest}"),
        _ => file,
    };
    fitting(name, file)
}

/// A short name of a form for the names of files, another one for each content type.
pub(super) fn form(content_type: &ContentType) -> Result<String, Report> {
    let text = content_type.as_str();
    let (base, wrapped) = text
        .split_once('+')
        .map_or((text, None), |(base, wrapped)| (base, Some(wrapped)));
    let known = FORMS.iter().find(|(content_type, _)| *content_type == base);
    let form = match (known, wrapped) {
        (Some((_, name)), None) => (*name).to_owned(),
        (Some((_, name)), Some(wrapped)) => format!("{name}+{}", escaped(wrapped, b"+")),
        (None, _) => format!("other-{}", escaped(text, b"+")),
    };
    fitting(text, form)
}

/// The number of a sample among those of its kind, from 1 on.
pub(super) fn number_of(path: &str) -> Option<usize> {
    let (_, name) = path.rsplit_once('/')?;
    let (number, _) = name.split_once('.')?;
    number.parse().ok()
}

fn escaped(name: &str, kept: &[u8]) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || kept.contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

fn is_reserved(file: &str) -> bool {
    let digit = file.strip_prefix("com").or(file.strip_prefix("lpt"));
    let is_numbered = digit.is_some_and(|digit| matches!(digit.as_bytes(), [b'0'..=b'9']));
    is_numbered || RESERVED.contains(&file)
}

fn fitting(name: &str, file: String) -> Result<String, Report> {
    if file.len() <= NAME_BYTES_MAX {
        return Ok(file);
    }
    Err(
        Report::new("a name is too long for the files of a schema ledger")
            .text("name", name)
            .text(
                "what to do",
                "choose a shorter name; the ledger takes 200 bytes",
            ),
    )
}

fn name_of(file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = file.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_every_file_system_and_read_back() {
        for (name, expected) in [
            ("deposited", "deposited"),
            ("Paid.In_full-1", "%50aid%2e%49n_full-1"),
            ("con", "%63on"),
            ("nul", "%6eul"),
            ("com1", "%63om1"),
            ("lpt9", "%6cpt9"),
            ("com", "com"),
            ("com10", "com10"),
            ("contract", "contract"),
        ] {
            let file = file_name(name).expect("it fits");
            assert_eq!(file, expected);
            assert_eq!(name_of(&file).as_deref(), Some(name));
        }
        assert!(file_name(&"a".repeat(201)).is_err());
    }

    #[test]
    fn each_content_type_has_a_name_of_its_own() {
        for (content_type, expected) in [
            ("application/json", "json"),
            ("application/json+zstd", "json+zstd"),
            ("application/vnd.annals.postcard", "postcard"),
            ("application/postcard", "other-application%2fpostcard"),
            ("text/json", "other-text%2fjson"),
            ("text/x.y", "other-text%2fx%2ey"),
            ("text/x-y", "other-text%2fx%2dy"),
        ] {
            let content_type = ContentType::parse(content_type).expect("a content type");
            assert_eq!(form(&content_type).expect("it fits"), expected);
        }
    }
}
