//! Lies about policies.

use annals_core::{
    Error, ErrorKind, EventStore, Expected, PolicyAction, PolicyChange, StreamHead, StreamState,
    Version,
};

use super::{Bug, Faulty};

impl Faulty {
    pub(super) async fn faulty_policy(
        &self,
        mut change: PolicyChange,
    ) -> Result<StreamHead, Error> {
        let before = self.store.stream_head(&change.stream).await?;
        let closed = before.policy.state == StreamState::Tombstoned;
        match (self.bug, &mut change.action) {
            (Some(Bug::MaxCountOneTooHigh), PolicyAction::Retain { max_count, .. }) => {
                *max_count = max_count.map(|count| count.saturating_add(1));
            }
            (Some(Bug::TruncationOneTooLow), PolicyAction::TruncateBefore(version)) => {
                *version = version.previous();
            }
            (Some(Bug::SoftDeleteOnlyHides), action @ PolicyAction::SoftDelete) => {
                *action = PolicyAction::TruncateBefore(Version::MAX);
            }
            (Some(Bug::TombstoneTakenAsSoftDelete), action @ PolicyAction::Tombstone) => {
                *action = PolicyAction::SoftDelete;
            }
            (Some(Bug::RetainKeepsTheOldRule), PolicyAction::Retain { max_age, max_count }) => {
                *max_age = max_age.or(before.policy.max_age);
                *max_count = max_count.or(before.policy.max_count);
            }
            (Some(Bug::PolicyExpectationIgnored), _) => change.expected = Expected::Any,
            _ => {}
        }
        let answer = self.store.change_stream_policy(change).await;
        match (self.bug, answer) {
            (Some(Bug::TombstoneLiftedInWords), Err(error))
                if closed && error.kind() == ErrorKind::Conflict =>
            {
                Ok(before)
            }
            (Some(Bug::PolicyChangeGivesTheOldHead), Ok(_)) => Ok(before),
            (_, answer) => answer,
        }
    }
}
