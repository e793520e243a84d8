//! The bytes of a stream's policy.

use std::time::Duration;

use annals_core::{StreamPolicy, StreamState, Version};

use super::varint::{put, take};

const MAX_AGE: u8 = 1;
const MAX_COUNT: u8 = 2;

/// Appends the policy.
pub(crate) fn encode(policy: &StreamPolicy, out: &mut Vec<u8>) {
    let state = match policy.state {
        StreamState::SoftDeleted => 1,
        StreamState::Tombstoned => 2,
        _ => 0,
    };
    let age = if policy.max_age.is_some() { MAX_AGE } else { 0 };
    let count = if policy.max_count.is_some() {
        MAX_COUNT
    } else {
        0
    };
    out.push(state << 2 | age | count);
    put(out, policy.truncate_before.value());
    if let Some(age) = policy.max_age {
        put(out, age.as_secs());
        put(out, age.subsec_nanos().into());
    }
    if let Some(count) = policy.max_count {
        put(out, count);
    }
}

/// The policy that these bytes are; `None` when they are none.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<StreamPolicy> {
    let (&flags, rest) = bytes.split_first()?;
    bytes = rest;
    let mut policy = StreamPolicy::default();
    policy.state = match flags >> 2 {
        0 => StreamState::Open,
        1 => StreamState::SoftDeleted,
        2 => StreamState::Tombstoned,
        _ => return None,
    };
    policy.truncate_before = Version::new(take(&mut bytes)?);
    if flags & MAX_AGE != 0 {
        let seconds = take(&mut bytes)?;
        let nanos = take(&mut bytes)?.try_into().ok()?;
        policy.max_age = (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos));
        policy.max_age?;
    }
    if flags & MAX_COUNT != 0 {
        policy.max_count = Some(take(&mut bytes)?);
    }
    bytes.is_empty().then_some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back() {
        for state in [
            StreamState::Open,
            StreamState::SoftDeleted,
            StreamState::Tombstoned,
        ] {
            for max_age in [None, Some(Duration::MAX), Some(Duration::from_micros(5))] {
                for max_count in [None, Some(0), Some(u64::MAX)] {
                    let mut policy = StreamPolicy::default();
                    policy.state = state;
                    policy.max_age = max_age;
                    policy.max_count = max_count;
                    policy.truncate_before = Version::new(77);
                    let mut bytes = Vec::new();
                    encode(&policy, &mut bytes);
                    assert_eq!(decode(&bytes), Some(policy));
                    for cut in 0..bytes.len() {
                        assert_eq!(decode(&bytes[..cut]), None);
                    }
                }
            }
        }
    }
}
