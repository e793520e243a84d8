//! What is made of the errors of object stores.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use object_store::Error;

/// Whether asking again may help: it is none of the answers that a store gives again.
pub(crate) fn is_passing(error: &Error) -> bool {
    !matches!(
        error,
        Error::NotFound { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

/// Whether the store has no such operation.
pub(crate) fn is_unsupported(error: &Error) -> bool {
    matches!(
        error,
        Error::NotSupported { .. } | Error::NotImplemented { .. }
    )
}

/// The error as those of files are.
pub(crate) fn told(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => io::ErrorKind::Unsupported,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            let message = format!("the store refuses these keys, or has none: {error}");
            return io::Error::new(io::ErrorKind::PermissionDenied, message);
        }
        _ => {
            return match advice(&whole(&error)) {
                Some(advice) => io::Error::other(format!("{advice}: {error}")),
                None => io::Error::other(error),
            };
        }
    };
    io::Error::new(kind, error)
}

/// What to look at where no answer came.
pub(crate) const NO_ANSWER: &str =
    "look at the network, at the endpoint (AWS_ENDPOINT) and at the region (AWS_REGION)";

/// Where stores ask the machine that they run on for keys, when they were given none, and what gives them some.
const KEYS: [(&str, &str); 4] = [
    (
        "/computeMetadata/v1/",
        "no keys were given, and this machine has none: set GOOGLE_SERVICE_ACCOUNT to the file of them",
    ),
    (
        "/metadata/identity/oauth2/",
        "no keys were given, and this machine has none: set AZURE_STORAGE_ACCOUNT_KEY",
    ),
    (
        "/latest/api/token",
        "no keys were given, and this machine has none: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        "169.254.",
        "no keys were given, and this machine has none: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
        AZURE_STORAGE_ACCOUNT_KEY or GOOGLE_SERVICE_ACCOUNT",
    ),
];

/// What to do about an error of which this is known, where something can be said.
fn advice(whole: &str) -> Option<String> {
    let keys = KEYS.iter().find(|(address, _)| whole.contains(address));
    if let Some((_, advice)) = keys {
        return Some((*advice).to_owned());
    }
    let lower = whole.to_ascii_lowercase();
    let is_unanswered = ["timed out", "error trying to connect", "tcp connect error"];
    let found = is_unanswered.iter().any(|it| lower.contains(it));
    found.then(|| format!("no answer came: {NO_ANSWER}"))
}

/// An error with all its causes.
fn whole(error: &Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        let _ = write!(told, ": {it}");
        cause = it.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_keys_is_told_what_gives_some() {
        for (address, variable) in [
            (
                "http://169.254.169.254/latest/api/token",
                "AWS_ACCESS_KEY_ID",
            ),
            (
                "http://169.254.169.254/metadata/identity/oauth2/token",
                "AZURE_STORAGE_ACCOUNT_KEY",
            ),
            (
                "http://169.254.169.254/computeMetadata/v1/token",
                "GOOGLE_SERVICE_ACCOUNT",
            ),
            (
                "http://169.254.170.2/v2/credentials",
                "AWS_SECRET_ACCESS_KEY",
            ),
        ] {
            let cause = io::Error::other(format!("GET {address}: connection timed out"));
            let error = told(Error::Generic {
                store: "S3",
                source: Box::new(cause),
            });
            let said = error.to_string();
            assert!(said.starts_with("no keys were given"), "{said}");
            assert!(said.contains(variable) && said.contains(address), "{said}");
            assert_eq!(error.kind(), io::ErrorKind::Other);
        }
    }

    #[test]
    fn who_got_no_answer_is_told_where_to_look_and_others_are_not() {
        let said = |cause: &'static str| {
            let error = told(Error::Generic {
                store: "S3",
                source: cause.into(),
            });
            error.to_string()
        };
        let timed_out = said("HTTP error: operation timed out");
        assert!(timed_out.contains("AWS_ENDPOINT"), "{timed_out}");
        assert!(!said("500 Internal Server Error").contains("AWS_ENDPOINT"));
    }
}
