//! Opt-in token: who signs up gets a token by mail, and the token counts once and for an hour. No table
//! of tokens: the events are the table.

use annals::prelude::*;
use annals::{Error, JsonCodec};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Made;

/// For how many minutes a token counts.
pub const TOKEN_MINUTES: u64 = 60;

/// What happens to sign-ups.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "signup")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SignUpEvent {
    SignUpRequested {
        #[event(tag)]
        email: String,
        #[event(tag)]
        token: String,
        minute: u64,
    },
    SignUpConfirmed {
        #[event(tag)]
        email: String,
        #[event(tag)]
        token: String,
    },
}

// ANCHOR: model
/// The sign-up that a token stands for. Both tags: a token counts for one address.
struct SignUp<'a> {
    email: &'a str,
    token: &'a str,
    requested: Option<u64>,
    is_confirmed: bool,
}

impl DecisionModel for SignUp<'_> {
    type Event = SignUpEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        let email = Tag::from_parts("email", self.email)?;
        let token = Tag::from_parts("token", self.token)?;
        Criteria::of_event::<SignUpEvent>()?.tagged([email, token])
    }

    fn apply(&mut self, event: &SignUpEvent) -> Result<(), Refusal> {
        match event {
            SignUpEvent::SignUpRequested { minute, .. } => self.requested = Some(*minute),
            SignUpEvent::SignUpConfirmed { .. } => self.is_confirmed = true,
        }
        Ok(())
    }
}
// ANCHOR_END: model

/// Why a command about sign-ups is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SignUpError {
    #[error("no sign-up waits for this token")]
    NoSuchToken,
    #[error("the token was used")]
    Used,
    #[error("the token is older than {TOKEN_MINUTES} minutes")]
    Expired,
}

/// The commands. Minutes are counted from any moment.
#[derive(Clone, Debug)]
pub struct SignUps(Decisions<JsonCodec>);

impl SignUps {
    /// Sign-ups whose decisions are made here.
    pub fn new(decisions: Decisions<JsonCodec>) -> Self {
        Self(decisions)
    }

    /// Notes that a token was sent. There is nothing to decide, so nothing is read, and the append has no
    /// condition.
    pub async fn request(
        &self,
        email: &str,
        token: &str,
        minute: u64,
    ) -> Made<SignUpEvent, SignUpError> {
        let request = |(): &()| {
            Ok(SignUpEvent::SignUpRequested {
                email: email.to_owned(),
                token: token.to_owned(),
                minute,
            })
        };
        self.0.decide((), request).await
    }

    /// Confirms the address, with the token that was sent to it.
    pub async fn confirm(
        &self,
        email: &str,
        token: &str,
        minute: u64,
    ) -> Made<SignUpEvent, SignUpError> {
        let sign_up = SignUp {
            email,
            token,
            requested: None,
            is_confirmed: false,
        };
        let confirm = |sign_up: &SignUp<'_>| {
            let requested = sign_up.requested.ok_or(SignUpError::NoSuchToken)?;
            if sign_up.is_confirmed {
                return Err(SignUpError::Used);
            }
            if minute > requested.saturating_add(TOKEN_MINUTES) {
                return Err(SignUpError::Expired);
            }
            Ok(SignUpEvent::SignUpConfirmed {
                email: email.to_owned(),
                token: token.to_owned(),
            })
        };
        self.0.decide(sign_up, confirm).await
    }
}
