//! What is asked of JetStream, in its own words.

use std::collections::HashMap;
use std::time::Duration;

use annals_core::{BoxError, Error, ErrorKind};
use async_nats::{Client, HeaderMap, Request};
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::error::{Failure, Refusal};
use crate::record::{Message, Raw};

const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";
const EXPECTED_LAST: &str = "Nats-Expected-Last-Sequence";
const EXPECTED_LAST_OF_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence";
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// How long it may take to hand over what rings.
const RING_TIMEOUT: Duration = Duration::from_millis(50);

/// A connection, and how long it waits for an answer.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) client: Client,
    pub(crate) timeout: Duration,
}

/// The state of a stream.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: Value,
    pub(crate) state: StreamState,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) last_seq: u64,
    #[serde(default)]
    pub(crate) subjects: HashMap<String, u64>,
}

/// What a message is to meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    /// This is the last sequence of the stream.
    Last(u64),
    /// This is the last sequence of the first message's subject.
    LastOfSubject(u64),
    /// Nothing.
    Open,
}

#[derive(Debug, Deserialize)]
struct Refused {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

#[derive(Debug, Deserialize)]
struct Acknowledged {
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct Got {
    message: GotMessage,
}

#[derive(Debug, Deserialize)]
struct GotMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

/// A stream as a whole.
impl Wire {
    /// The state of a stream, by its leader; of the subjects that this filter selects, where there is one.
    pub(crate) async fn info(
        &self,
        stream: &str,
        filter: Option<&str>,
    ) -> Result<StreamInfo, Failure> {
        let question = filter.map(|filter| json!({ "subjects_filter": filter }));
        let question = question.unwrap_or_else(|| json!({}));
        self.ask(&format!("STREAM.INFO.{stream}"), &question).await
    }

    /// The same; `None` for a stream that is not there.
    pub(crate) async fn find(&self, stream: &str) -> Result<Option<StreamInfo>, Failure> {
        match self.info(stream, None).await {
            Err(Failure::Refused(refusal)) if refusal.number == 10059 => Ok(None),
            found => found.map(Some),
        }
    }

    pub(crate) async fn create(&self, config: &Value) -> Result<StreamInfo, Failure> {
        let name = config
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.ask(&format!("STREAM.CREATE.{name}"), config).await
    }

    /// Removes the messages of a subject, which may be a pattern.
    pub(crate) async fn purge(&self, stream: &str, subject: &str) -> Result<(), Failure> {
        let question = json!({ "filter": subject });
        let _: Value = self
            .ask(&format!("STREAM.PURGE.{stream}"), &question)
            .await?;
        Ok(())
    }

    /// Removes a message and overwrites its bytes.
    pub(crate) async fn erase(&self, stream: &str, sequence: u64) -> Result<(), Failure> {
        let question = json!({ "seq": sequence });
        let answer: Result<Value, Failure> = self
            .ask(&format!("STREAM.MSG.DELETE.{stream}"), &question)
            .await;
        match answer {
            // It is gone already.
            Err(Failure::Refused(refusal)) if matches!(refusal.number, 10057 | 10037 | 10043) => {
                Ok(())
            }
            answered => answered.map(drop),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str, question: &Value) -> Result<T, Failure> {
        let payload = Bytes::from(question.to_string());
        let request = Request::new().payload(payload).timeout(Some(self.timeout));
        let answer = self
            .client
            .send_request(format!("$JS.API.{what}"), request)
            .await
            .map_err(Failure::of_request)?;
        answer_of(&answer.payload)
    }
}

/// Messages out of a stream.
impl Wire {
    /// The message of a sequence, by the stream's leader; `None` when it has none.
    pub(crate) async fn by_leader(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<Raw>, Failure> {
        self.leader_get(stream, &json!({ "seq": sequence })).await
    }

    /// The last message of a subject, by the stream's leader.
    pub(crate) async fn last_of(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Raw>, Failure> {
        self.leader_get(stream, &json!({ "last_by_subj": subject }))
            .await
    }

    async fn leader_get(&self, stream: &str, question: &Value) -> Result<Option<Raw>, Failure> {
        let what = format!("STREAM.MSG.GET.{stream}");
        match self.ask::<Got>(&what, question).await {
            Ok(got) => raw_of(got.message).map(Some),
            Err(Failure::Refused(refusal)) if refusal.number == 10037 => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The message of a sequence, by any replica; `None` when that one has none.
    pub(crate) async fn by_any(&self, stream: &str, sequence: u64) -> Result<Option<Raw>, Failure> {
        let payload = Bytes::from(json!({ "seq": sequence }).to_string());
        let request = Request::new().payload(payload).timeout(Some(self.timeout));
        let answer = self
            .client
            .send_request(format!("$JS.API.DIRECT.GET.{stream}"), request)
            .await
            .map_err(Failure::of_request)?;
        if answer.status.is_some() {
            return Ok(None);
        }
        Ok(raw_of_direct(answer))
    }

    /// Messages of a subject, which may be a pattern, from a sequence on, by any replica: some of these, perhaps none,
    /// in the order of their sequences.
    pub(crate) async fn some(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
        count: usize,
        bytes_max: usize,
    ) -> Result<Vec<Raw>, Failure> {
        let lost = |error: BoxError| Failure::Lost(error);
        let inbox = self.client.new_inbox();
        let mut answers = self
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| lost(error.into()))?;
        let question = json!({
            "seq": from,
            "next_by_subj": subject,
            "batch": count,
            "max_bytes": bytes_max,
        });
        self.client
            .publish_with_reply(
                format!("$JS.API.DIRECT.GET.{stream}"),
                inbox,
                question.to_string().into(),
            )
            .await
            .map_err(|error| lost(error.into()))?;
        let mut messages = Vec::new();
        loop {
            let next = timeout(self.timeout, answers.next());
            let Some(answer) = next.await.map_err(|error| lost(error.into()))? else {
                return Err(lost("the connection was closed".into()));
            };
            match answer.status.map(|status| status.as_u16()) {
                None => messages.extend(raw_of_direct(answer)),
                Some(503) => return Err(Failure::NobodyAnswers),
                // The end of the batch, or nothing there.
                Some(_) => return Ok(messages),
            }
        }
    }
}

/// Messages into a stream.
impl Wire {
    /// Publishes messages, all of them or none, and gives the sequence of the last.
    pub(crate) async fn publish(
        &self,
        stream: &str,
        batch: &str,
        messages: Vec<Message>,
        guard: Guard,
    ) -> Result<u64, Failure> {
        let sending = self.send(stream, batch, messages, guard);
        // While there is no connection, what is to be sent waits for one.
        let last = timeout(self.timeout, sending).await;
        let last = last.map_err(|error| Failure::Lost(error.into()))??;
        let request = Request::new()
            .headers(last.headers)
            .payload(last.payload)
            .timeout(Some(self.timeout));
        let answer = self
            .client
            .send_request(last.subject, request)
            .await
            .map_err(Failure::of_request)?;
        let acknowledged: Acknowledged = answer_of(&answer.payload)?;
        Ok(acknowledged.seq)
    }

    /// Says something to whoever listens, if there is a connection.
    pub(crate) async fn ring(&self, subject: String, what: String) {
        let rung = timeout(RING_TIMEOUT, self.client.publish(subject, what.into()));
        if !matches!(rung.await, Ok(Ok(()))) {
            tracing::debug!("other processes could not be told of the append");
        }
    }

    /// Sends all messages but the last, and gives that, which commits them.
    async fn send(
        &self,
        stream: &str,
        batch: &str,
        messages: Vec<Message>,
        guard: Guard,
    ) -> Result<Message, Failure> {
        let count = messages.len();
        for (number, mut message) in (1_usize..).zip(messages) {
            if number == 1 {
                guarded(&mut message.headers, stream, guard);
            }
            if count > 1 {
                message.headers.insert(BATCH_ID, batch);
                message.headers.insert(BATCH_SEQUENCE, number.to_string());
            }
            if number == count {
                if count > 1 {
                    message.headers.insert(BATCH_COMMIT, "1");
                }
                return Ok(message);
            }
            self.client
                .publish_with_headers(message.subject, message.headers, message.payload)
                .await
                .map_err(|error| Failure::Lost(error.into()))?;
        }
        Err(Failure::Lost("nothing to publish".into()))
    }
}

fn guarded(headers: &mut HeaderMap, stream: &str, guard: Guard) {
    headers.insert(EXPECTED_STREAM, stream);
    let (name, sequence) = match guard {
        Guard::Last(sequence) => (EXPECTED_LAST, sequence),
        Guard::LastOfSubject(sequence) => (EXPECTED_LAST_OF_SUBJECT, sequence),
        Guard::Open => return,
    };
    headers.insert(name, sequence.to_string());
}

fn answer_of<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Failure> {
    let answer: Value =
        serde_json::from_slice(payload).map_err(|error| Failure::Lost(error.into()))?;
    if let Some(refused) = answer.get("error") {
        let refused = Refused::deserialize(refused).map_err(|error| Failure::Lost(error.into()))?;
        return Err(Failure::Refused(Refusal {
            code: refused.code,
            number: refused.err_code,
            description: refused.description,
        }));
    }
    T::deserialize(answer).map_err(|error| Failure::Lost(error.into()))
}

fn raw_of(message: GotMessage) -> Result<Raw, Failure> {
    let decoded = |text: &str| {
        Base64::decode_vec(text).map_err(|error| Failure::Lost(error.to_string().into()))
    };
    let lines =
        String::from_utf8(decoded(&message.hdrs)?).map_err(|error| Failure::Lost(error.into()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.split("\r\n").filter_map(|line| line.split_once(':')) {
        headers.append(name, value.trim());
    }
    Ok(Raw {
        sequence: message.seq,
        subject: message.subject,
        headers,
        payload: decoded(&message.data)?.into(),
    })
}

/// A message as a replica gives it by itself; `None` for what is none.
fn raw_of_direct(answer: async_nats::Message) -> Option<Raw> {
    let headers = answer.headers?;
    let sequence = headers.get("Nats-Sequence")?.as_str().parse().ok()?;
    let subject = headers.get("Nats-Subject")?.as_str().to_owned();
    Some(Raw {
        sequence,
        subject,
        headers,
        payload: answer.payload,
    })
}

/// What a server is asked whose version is too old, or unknown.
pub(crate) fn check_version(version: &str) -> Result<(), Error> {
    let mut numbers = version
        .split(['.', '-'])
        .map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().flatten(), numbers.next().flatten());
    if let (Some(major), Some(minor)) = found
        && (major, minor) >= VERSION_MIN
    {
        return Ok(());
    }
    let message = "NATS server is too old: it has no atomic batches; upgrade it to 2.12 or later";
    Err(Error::new(ErrorKind::Unavailable, message).with("version", version))
}

/// The oldest version with atomic batches.
const VERSION_MIN: (u32, u32) = (2, 12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused() {
        for version in ["2.12.0", "2.15.1", "3.0.0-beta.1", "2.12.0-RC.1"] {
            assert!(check_version(version).is_ok(), "{version}");
        }
        for version in ["2.11.9", "1.4.0", "", "x"] {
            let refused = check_version(version).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unavailable, "{version}");
        }
    }
}
