//! Where a store is, as a text that a person can type.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Error, ErrorKind, NatsAddress};

/// Where a store is: what stands in a command line or in a setting.
///
/// | text | store |
/// |---|---|
/// | `memory:` | in memory, empty, gone with its last handle |
/// | `log:<directory>`, or the directory alone | the embedded store in a directory |
/// | `postgres://user@host/database`, also `postgresql://` | on PostgreSQL, in the schema `annals` |
/// | the same with `?schema=<name>` | in a schema of that name |
/// | `nats://host:4222/<log>` | on NATS JetStream, in the log of that name, or `annals` |
///
/// Other parameters of a PostgreSQL address are those of libpq. An address of NATS may name a user and a password, or
/// a token (`nats://app:password@host/shop`, a `/` in the password as `%2F`), and several servers
/// (`nats://a:4222,b:4222/shop`); it has to say how it is known that the servers sync to their disks what they
/// acknowledge:
///
/// | parameter | means |
/// |---|---|
/// | `monitoring=http://host:8222` | the servers are asked, at a monitoring port each, with commas between |
/// | `sync=always` | every server has `sync_interval: always`, which is taken on trust unless `monitoring` is there to ask |
/// | `sync=lazy` | they may sync later: a loss of power may take the newest appends; refused together with `monitoring` |
/// | `replicas=3` | where the log is made, so many servers keep it |
/// | `credentials=<file>` | who one is |
/// | `tls=require` | the connection has to be encrypted |
///
/// A directory whose name begins like another kind, as
/// `archive:2024`, is written with `log:` before it.
///
/// ```
/// use annals::StoreAddress;
///
/// # fn main() -> Result<(), annals::Error> {
/// let address: StoreAddress = "log:/var/lib/shop".parse()?;
/// assert_eq!(address, "/var/lib/shop".parse()?);
/// assert!("mysql://host/shop".parse::<StoreAddress>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreAddress {
    /// In memory: a new store each time.
    Memory,
    /// The embedded store in this directory.
    Log(PathBuf),
    /// On PostgreSQL.
    Postgres {
        /// The address of the database, as the store on PostgreSQL takes it. It may hold a password.
        url: String,
        /// The schema that holds the log; `None` for the one that the store has by default.
        schema: Option<String>,
    },
    /// On NATS JetStream.
    Nats(NatsAddress),
}

/// What an address may be, for whoever wrote another.
const KINDS: &str = "give memory:, log:<directory>, a directory, postgres://user@host/database, or nats://host:4222/<log>";

impl FromStr for StoreAddress {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty text, and for a kind of store that is none of these. The error holds the
    /// kind and never the address, in which there may be a password.
    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((kind, rest)) = text.split_once(':').filter(|(kind, _)| is_kind(kind)) else {
            if text.contains("://") || text.contains("password=") {
                return Err(invalid(
                    "neither a directory nor an address of a store; write log: before a directory of that name",
                ));
            }
            return log(text);
        };
        match kind {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(invalid(
                "a store in memory has no place; give memory: alone",
            )),
            "log" => log(rest),
            "postgres" | "postgresql" if rest.starts_with("//") => Ok(postgres(text)),
            "nats" if rest.starts_with("//") => {
                NatsAddress::parse(rest.get(2..).unwrap_or_default()).map(Self::Nats)
            }
            _ => {
                let message = format!("no such kind of store; {KINDS}");
                Err(Error::new(ErrorKind::Invalid, message).with("kind", kind))
            }
        }
    }
}

/// Whether a text before a colon is meant as a kind of store, and not as the beginning of a path.
fn is_kind(text: &str) -> bool {
    // One letter is a drive.
    text.len() > 1
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
}

fn log(directory: &str) -> Result<StoreAddress, Error> {
    if directory.is_empty() {
        let message = format!("the address of a store is empty; {KINDS}");
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(StoreAddress::Log(directory.into()))
}

/// Takes the name of the schema out of the parameters, of which libpq knows none like it.
fn postgres(text: &str) -> StoreAddress {
    let (base, parameters) = split_parameters(text);
    let mut schema = None;
    let others = parameters.split('&').filter(|parameter| {
        let name = parameter.strip_prefix("schema=");
        if let Some(name) = name {
            schema = Some(name.to_owned());
        }
        name.is_none() && !parameter.is_empty()
    });
    let others: Vec<&str> = others.collect();
    let url = if others.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", others.join("&"))
    };
    StoreAddress::Postgres { url, schema }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

impl fmt::Display for StoreAddress {
    /// As it can be typed, but without a password or parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Log(directory) => write!(f, "log:{}", directory.display()),
            Self::Postgres { url, schema } => {
                f.write_str(&without_secrets(url))?;
                match schema {
                    Some(schema) => write!(f, "?schema={schema}"),
                    None => Ok(()),
                }
            }
            Self::Nats(address) => fmt::Display::fmt(address, f),
        }
    }
}

/// A URL without its password and its parameters, of which one may be a password.
fn without_secrets(url: &str) -> String {
    let (base, parameters) = split_parameters(url);
    let (kind, rest) = base.split_once("://").unwrap_or(("postgres", base));
    // It can't be told where a password ends: what stands before it is shown.
    if parameters.contains('@') {
        let first = rest.split([':', '/', '?', '@']).next().unwrap_or_default();
        return format!("{kind}://{first}");
    }
    // A password may hold anything but what ends it.
    if let Some((who, place)) = rest.rsplit_once('@') {
        let user = who.split([':', '/', '?']).next().unwrap_or_default();
        return format!("{kind}://{user}@{place}");
    }
    // What stands behind a colon is a port, or may be a password whose end is missing.
    let (host, port) = rest.split_once(':').unwrap_or((rest, ""));
    let port = port.split('/').next().unwrap_or_default();
    if port.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{kind}://{rest}")
    } else {
        format!("{kind}://{host}")
    }
}

/// A URL before its parameters, and these. A password may hold a question mark, and a parameter what ends a password:
/// what has a path before it or a value behind it is a parameter.
pub(crate) fn split_parameters(url: &str) -> (&str, &str) {
    let kind = url.split_once("://").map(|(kind, _)| kind);
    let kind = kind.filter(|kind| kind.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let mut from = kind.map_or(0, |kind| kind.len() + "://".len());
    if let Some((before, after)) = url.get(from..).and_then(|rest| rest.split_once('?'))
        && !before.contains(['@', '/'])
        && let Some((within, _)) = after.split_once('@')
        && !within.contains('=')
    {
        from += before.len() + "?".len() + within.len();
    }
    match url.get(from..).and_then(|rest| rest.find('?')) {
        Some(at) => {
            let (base, parameters) = url.split_at(from + at);
            (base, parameters.trim_start_matches('?'))
        }
        None => (url, ""),
    }
}

impl fmt::Debug for StoreAddress {
    /// As it is displayed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_it_is() {
        fn check(text: &str, shown: &str) {
            let address: StoreAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
        check("memory:", "memory:");
        check("data", "log:data");
        check("./a:b", "log:./a:b");
        check("C:\\data", "log:C:\\data");
        check("log:a:b", "log:a:b");
        check("postgres://h/d", "postgres://h/d");
        check(
            "postgres://u:p@ss:x@h:1/d?password=q&schema=s",
            "postgres://u@h:1/d?schema=s",
        );
        check(
            "postgres://u:se?cret@h/d?schema=s",
            "postgres://u@h/d?schema=s",
        );
        check("postgres://h:5432/d", "postgres://h:5432/d");
        check("postgres://u:secret", "postgres://u");
        check("postgres://u@h/d?password=p@secret", "postgres://u");
        check("postgres://h/d?password=p@secret", "postgres://h");
        check("postgres://u:p@s?secret@h/d", "postgres://u");
        check("postgres://u:1/p?secret@h/d", "postgres://u");
        check("postgres://u:p?x=secret@h/d", "postgres://u");
        check(
            "nats://h/l?credentials=/home/a@b/x.creds&sync=lazy",
            "nats://h/l",
        );
        check("nats://h:1?credentials=a@b", "nats://h:1");
        check("nats://u:se?cret@h/l", "nats://u@h/l");
    }

    #[test]
    fn the_schema_is_none_of_the_parameters_of_libpq() {
        fn check(text: &str, url: &str, schema: Option<&str>) {
            let schema = schema.map(str::to_owned);
            let expected = StoreAddress::Postgres {
                url: url.to_owned(),
                schema,
            };
            assert!(text.parse::<StoreAddress>().unwrap() == expected, "{text}");
        }
        check("postgresql://h/d", "postgresql://h/d", None);
        check("postgres://h/d?schema=s", "postgres://h/d", Some("s"));
        check(
            "postgres://h/d?sslmode=require&schema=s&port=1",
            "postgres://h/d?sslmode=require&port=1",
            Some("s"),
        );
    }

    #[test]
    fn another_kind_is_refused_without_its_password() {
        fn check(text: &str, expected: &str) {
            let refused = text.parse::<StoreAddress>().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = format!("{refused} {refused:?}");
            assert!(refused.contains(expected), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        check("", "is empty");
        check("log:", "is empty");
        check("memory:x", "memory: alone");
        check("mysql://a:secret@h/d", "no such kind");
        check("postgres:h", "no such kind");
        check("nats:a:secret@h", "no such kind");
        check("my-sql://a:secret@h/d", "neither a directory");
        check("host=h password=secret", "neither a directory");
    }
}
