//! The streams of a log: how they are made, and whether those that are there will do.

use annals_core::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::error::Failure;
use crate::settings::{AUXILIARY, Settings};
use crate::subject::Subjects;
use crate::wire::Wire;

/// The version of what stands in messages and subjects.
const FORMAT: &str = "1";

/// How often a server is asked for a stream while it does not answer.
const ATTEMPTS_MAX: usize = 6;

/// Whether a log that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Refuse,
    Create,
}

/// The name of the stream that holds snapshots and checkpoints.
pub(crate) fn auxiliary(log: &str) -> String {
    format!("{log}{AUXILIARY}")
}

/// Sees that the log's streams are there and as they have to be, and gives how many servers keep the log.
pub(crate) async fn prepare(
    wire: &Wire,
    settings: &Settings,
    missing: Missing,
) -> Result<usize, Error> {
    let log = log_config(settings);
    let found = present(wire, &log, missing).await?;
    check(&log, &found)?;
    let auxiliary = auxiliary_config(settings);
    check(&auxiliary, &present(wire, &auxiliary, missing).await?)?;
    let replicas = found
        .get("num_replicas")
        .and_then(Value::as_u64)
        .unwrap_or(1);
    Ok(usize::try_from(replicas).unwrap_or(1))
}

/// The settings of a stream, made first where it is missing and may be.
async fn present(wire: &Wire, config: &Value, missing: Missing) -> Result<Value, Error> {
    let mut attempts = 1;
    loop {
        match present_now(wire, config, missing).await {
            // A cluster that is busy with itself may have made it all the same.
            Err(Failure::Lost(_)) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(failure) => return Err(of_jetstream(failure)),
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {
                let message = "log is not there; create it by `open_or_create`, or name another";
                let name = name_of(config);
                return Err(Error::new(ErrorKind::Invalid, message).with("stream", name));
            }
        }
    }
}

async fn present_now(
    wire: &Wire,
    config: &Value,
    missing: Missing,
) -> Result<Option<Value>, Failure> {
    let name = name_of(config);
    let found = match (wire.find(name).await?, missing) {
        (None, Missing::Create) => Some(wire.create(config).await?),
        (found, _) => found,
    };
    Ok(found.map(|info| info.config))
}

fn name_of(config: &Value) -> &str {
    config
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn of_jetstream(failure: Failure) -> Error {
    match failure {
        Failure::NobodyAnswers => Error::new(
            ErrorKind::Unavailable,
            "NATS server has no JetStream, or its cluster no leader; turn it on, or retry later",
        ),
        other => other.into_error(),
    }
}

fn log_config(settings: &Settings) -> Value {
    json!({
        "name": settings.log,
        "subjects": Subjects::new(&settings.log).captured(),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": settings.replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "deny_delete": true,
        "deny_purge": true,
        "allow_direct": true,
        "allow_atomic": true,
        "metadata": { "annals.format": FORMAT },
    })
}

fn auxiliary_config(settings: &Settings) -> Value {
    let name = auxiliary(&settings.log);
    json!({
        "subjects": [format!("{name}.>")],
        "name": name,
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "num_replicas": settings.replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": 1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "allow_atomic": true,
        "metadata": { "annals.format": FORMAT },
    })
}

/// Refuses a stream on which the promises of the store would not hold.
fn check(wanted: &Value, found: &Value) -> Result<(), Error> {
    let stream = name_of(wanted);
    let refused =
        |message: &'static str| Error::new(ErrorKind::Invalid, message).with("stream", stream);
    match found
        .pointer("/metadata/annals.format")
        .and_then(Value::as_str)
    {
        Some(FORMAT) => {}
        Some(other) => {
            let message = "log is of another version of annals; open it with that one";
            return Err(refused(message).with("format", other));
        }
        None => {
            let message = "stream was not made by annals; name another log";
            return Err(refused(message));
        }
    }
    let settled = wanted.as_object().into_iter().flatten();
    for (name, value) in
        settled.filter(|(name, _)| !matches!(&***name, "metadata" | "num_replicas"))
    {
        let default = match value {
            Value::Bool(_) => Value::Bool(false),
            Value::Number(_) => json!(0),
            _ => Value::Null,
        };
        let actual = found.get(name).unwrap_or(&default);
        if actual != value {
            let message =
                "stream has a setting on which the log's promises don't hold; set it back";
            return Err(refused(message)
                .with("setting", name)
                .with("wanted", value)
                .with("found", actual));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_with_other_settings_is_refused() {
        let wanted = log_config(&Settings::default());
        check(&wanted, &wanted).unwrap();
        for (name, value, expected) in [
            ("allow_atomic", Value::Null, "allow_atomic"),
            ("deny_delete", json!(false), "deny_delete"),
            ("max_age", json!(1_000_000_000), "max_age"),
            ("storage", json!("memory"), "storage"),
            ("subjects", json!(["annals.>"]), "subjects"),
            ("metadata", json!({}), "not made by annals"),
            (
                "metadata",
                json!({ "annals.format": "2" }),
                "another version",
            ),
        ] {
            let mut found = wanted.clone();
            if value.is_null() {
                found.as_object_mut().unwrap().remove(name);
            } else {
                found[name] = value;
            }
            let refused = check(&wanted, &found).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
