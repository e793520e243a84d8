//! Unique username: one account has a name at a time; a name that was given up is free after a while.

use annals::prelude::*;
use annals::{Error, JsonCodec};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Made;

/// For how many days a name that was given up stays reserved.
pub const RESERVED_DAYS: u32 = 3;

/// What happens to names. A change carries two tags of one key: it is about both names.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "user")]
#[expect(missing_docs, reason = "the names say it")]
pub enum UserEvent {
    Registered {
        #[event(tag)]
        username: String,
    },
    Renamed {
        #[event(tag = "username")]
        from: String,
        #[event(tag = "username")]
        to: String,
        day: u32,
    },
    Closed {
        #[event(tag)]
        username: String,
        day: u32,
    },
}

// ANCHOR: model
/// Who has a name.
#[derive(Clone, Debug, PartialEq)]
struct Name<'a> {
    username: &'a str,
    holding: Holding,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Holding {
    Nobody,
    Somebody,
    /// Nobody any more.
    GivenUp {
        day: u32,
    },
}

impl DecisionModel for Name<'_> {
    type Event = UserEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        Criteria::of_event::<UserEvent>()?.tagged([Tag::from_parts("username", self.username)?])
    }

    fn apply(&mut self, event: &UserEvent) -> Result<(), Refusal> {
        self.holding = match event {
            UserEvent::Registered { .. } => Holding::Somebody,
            UserEvent::Renamed { to, .. } if to == self.username => Holding::Somebody,
            UserEvent::Renamed { day, .. } | UserEvent::Closed { day, .. } => {
                Holding::GivenUp { day: *day }
            }
        };
        Ok(())
    }
}
// ANCHOR_END: model

/// Why a command about names is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum UserError {
    #[error("the name is taken")]
    Taken,
    #[error("the name was given up {RESERVED_DAYS} days ago or less")]
    Reserved,
    #[error("there is no account of this name")]
    NoSuchUser,
}

impl Name<'_> {
    fn check_free(&self, today: u32) -> Result<(), UserError> {
        match self.holding {
            Holding::Somebody => Err(UserError::Taken),
            Holding::GivenUp { day } if today <= day.saturating_add(RESERVED_DAYS) => {
                Err(UserError::Reserved)
            }
            Holding::Nobody | Holding::GivenUp { .. } => Ok(()),
        }
    }

    fn check_held(&self) -> Result<(), UserError> {
        let is_held = self.holding == Holding::Somebody;
        is_held.then_some(()).ok_or(UserError::NoSuchUser)
    }
}

/// The commands. Days are counted from any day.
#[derive(Clone, Debug)]
pub struct Users(Decisions<JsonCodec>);

impl Users {
    /// Users whose decisions are made here.
    pub fn new(decisions: Decisions<JsonCodec>) -> Self {
        Self(decisions)
    }

    /// Opens an account of this name.
    pub async fn register(&self, username: &str, today: u32) -> Made<UserEvent, UserError> {
        let register = |name: &Name<'_>| {
            name.check_free(today)?;
            let username = username.to_owned();
            Ok(UserEvent::Registered { username })
        };
        self.0.decide(named(username), register).await
    }

    /// Gives an account another name.
    pub async fn rename(&self, from: &str, to: &str, today: u32) -> Made<UserEvent, UserError> {
        let rename = |(old, new): &(Name<'_>, Name<'_>)| {
            old.check_held()?;
            new.check_free(today)?;
            Ok(UserEvent::Renamed {
                from: from.to_owned(),
                to: to.to_owned(),
                day: today,
            })
        };
        self.0.decide((named(from), named(to)), rename).await
    }

    /// Closes an account.
    pub async fn close(&self, username: &str, today: u32) -> Made<UserEvent, UserError> {
        let close = |name: &Name<'_>| {
            name.check_held()?;
            Ok(UserEvent::Closed {
                username: username.to_owned(),
                day: today,
            })
        };
        self.0.decide(named(username), close).await
    }
}

fn named(username: &str) -> Name<'_> {
    let holding = Holding::Nobody;
    Name { username, holding }
}
