//! The policy of a stream as JSON, and the change that leads to it.

use std::time::Duration;

use annals_core::{PolicyAction, StreamId, StreamPolicy, StreamState, Version};
use serde::{Deserialize, Serialize};

use crate::commands::streams::state_name;

/// All of a stream's policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyJson {
    pub(crate) stream: String,
    #[serde(default)]
    max_age: Option<Age>,
    #[serde(default)]
    max_count: Option<u64>,
    #[serde(default)]
    truncate_before: u64,
    state: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Age {
    seconds: u64,
    nanoseconds: u32,
}

impl PolicyJson {
    pub(crate) fn of(stream: &StreamId, policy: &StreamPolicy) -> Self {
        Self {
            stream: stream.to_string(),
            max_age: policy.max_age.map(|age| Age {
                seconds: age.as_secs(),
                nanoseconds: age.subsec_nanos(),
            }),
            max_count: policy.max_count,
            truncate_before: policy.truncate_before.value(),
            state: state_name(policy.state).to_owned(),
        }
    }

    pub(crate) fn policy(&self) -> Result<(StreamId, StreamPolicy), String> {
        let stream = StreamId::parse(&self.stream).map_err(|error| error.to_string())?;
        let mut policy = StreamPolicy::default();
        policy.max_age = self
            .max_age
            .map(|age| Duration::new(age.seconds, age.nanoseconds % 1_000_000_000));
        policy.max_count = self.max_count;
        policy.truncate_before = Version::new(self.truncate_before);
        policy.state = match self.state.as_str() {
            "open" => StreamState::Open,
            "soft-deleted" => StreamState::SoftDeleted,
            "tombstoned" => StreamState::Tombstoned,
            other => return Err(format!("{other} is no state of a stream")),
        };
        Ok((stream, policy))
    }
}

/// The one change that makes `after` of `before`.
pub(crate) fn action(before: &StreamPolicy, after: &StreamPolicy) -> PolicyAction {
    if after.state != before.state {
        match after.state {
            StreamState::Tombstoned => return PolicyAction::Tombstone,
            StreamState::SoftDeleted => return PolicyAction::SoftDelete,
            _ => {}
        }
    }
    if (after.max_age, after.max_count) != (before.max_age, before.max_count) {
        return PolicyAction::Retain {
            max_age: after.max_age,
            max_count: after.max_count,
        };
    }
    PolicyAction::TruncateBefore(after.truncate_before)
}
