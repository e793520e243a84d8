//! What came of a command, and what is expected of it.

use std::fmt::Debug;

use annals_aggregate::{Decided, Decider, IntoEvents};
use annals_core::{Aggregate, fold};

use crate::Scenario;
use crate::report::Report;

const CORRECT: &str = "correct the command, or the expectation where the rule has changed";

/// What came of a command: the events that it decided, or the error with which it was refused.
///
/// Had from [`Scenario::when`]. Expectations follow each other; further commands come to the aggregate
/// as this one left it.
#[derive(Debug)]
pub struct Then<A: Aggregate, X> {
    /// What happened before the command.
    history: Vec<A::Event>,
    /// The command, where it is known by its value.
    command: Option<String>,
    decided: Result<Vec<A::Event>, X>,
    /// The state after the command.
    state: A,
    refusal: Refusal,
}

/// Whether an expectation has spoken of the command's refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Unexpected,
    Expected,
}

#[expect(
    clippy::return_self_not_must_use,
    clippy::needless_pass_by_value,
    reason = "an expectation is a statement about a value, and often the last one"
)]
impl<A, X> Then<A, X>
where
    A: Aggregate<Event: Debug> + Debug,
    X: Debug,
{
    pub(crate) fn new(
        history: Vec<A::Event>,
        command: Option<String>,
        decided: Result<Vec<A::Event>, X>,
        state: A,
    ) -> Self {
        let refusal = Refusal::Unexpected;
        Self {
            history,
            command,
            decided,
            state,
            refusal,
        }
    }

    /// Expects these events, in this order.
    ///
    /// # Panics
    /// When the command decided others, or was refused.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Self
    where
        A::Event: PartialEq,
    {
        let expected: Vec<A::Event> = expected.into_iter().collect();
        let decided = match &self.decided {
            Ok(decided) if *decided == expected => return self,
            Ok(decided) => decided,
            Err(error) => self
                .report("the command was refused; these events were expected of it")
                .value("refused with", error)
                .events("expected", &expected)
                .text("what to do", CORRECT)
                .fail(),
        };
        self.report("the command decided other events than expected")
            .event_difference(&expected, decided)
            .text("what to do", CORRECT)
            .fail()
    }

    /// Expects events of which this is true, where not all of their content is known beforehand.
    ///
    /// # Panics
    /// When it is false, or the command was refused.
    #[track_caller]
    pub fn then_events_where(self, are_expected: impl FnOnce(&[A::Event]) -> bool) -> Self {
        let decided = self.accepted();
        if are_expected(decided) {
            return self;
        }
        self.report("the command decided other events than expected")
            .events("decided", decided)
            .text("what to do", CORRECT)
            .fail()
    }

    /// Expects that the command is accepted and decides no event: there is nothing to do.
    ///
    /// # Panics
    /// When it decided events, or was refused.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        let decided = self.accepted();
        if decided.is_empty() {
            return self;
        }
        self.report("the command decided events; none was expected of it")
            .events("decided", decided)
            .text("what to do", CORRECT)
            .fail()
    }

    /// Expects that the command is refused with this error.
    ///
    /// # Panics
    /// When it was refused with another, or accepted.
    #[track_caller]
    pub fn then_error(mut self, expected: X) -> Self
    where
        X: PartialEq,
    {
        let error = match &self.decided {
            Err(error) if *error == expected => {
                self.refusal = Refusal::Expected;
                return self;
            }
            Err(error) => error,
            Ok(decided) => self
                .report("the command was accepted; this error was expected of it")
                .value("expected", &expected)
                .events("decided", decided)
                .text("what to do", CORRECT)
                .fail(),
        };
        self.report("the command was refused with another error than expected")
            .difference(&expected, error)
            .text("what to do", CORRECT)
            .fail()
    }

    /// Expects that the command is refused with an error of which this is true.
    ///
    /// # Panics
    /// When it is false, or the command was accepted.
    #[track_caller]
    pub fn then_error_where(mut self, is_expected: impl FnOnce(&X) -> bool) -> Self {
        let error = match &self.decided {
            Err(error) if is_expected(error) => {
                self.refusal = Refusal::Expected;
                return self;
            }
            Err(error) => error,
            Ok(decided) => self
                .report("the command was accepted; an error was expected of it")
                .events("decided", decided)
                .text("what to do", CORRECT)
                .fail(),
        };
        self.report("the command was refused with another error than expected")
            .value("refused with", error)
            .text("what to do", CORRECT)
            .fail()
    }

    /// Lets this look at the state after the command, and assert.
    ///
    /// # Panics
    /// When the command was refused and no expectation before said so.
    #[track_caller]
    pub fn then_state(self, look: impl FnOnce(&A)) -> Self {
        self.settled();
        look(&self.state);
        self
    }

    /// Expects this state after the command.
    ///
    /// # Panics
    /// When the state is another, or the command was refused and no expectation before said so.
    #[track_caller]
    pub fn then_state_is(self, expected: A) -> Self
    where
        A: PartialEq,
    {
        self.settled();
        if self.state == expected {
            return self;
        }
        let decided = self.decided.as_deref().unwrap_or_default();
        self.report("the state after the command is another than expected")
            .events("decided", decided)
            .difference(&expected, &self.state)
            .text(
                "what to do",
                "correct the command or `apply`, or the expectation",
            )
            .fail()
    }

    /// Lets a further command come, to the aggregate as this one left it.
    ///
    /// # Panics
    /// When this command was refused and no expectation before said so; as [`Scenario::when`].
    #[must_use = "say with `then` or `then_error` what is to come of it"]
    #[track_caller]
    pub fn when<I, Y>(self, decide: impl FnOnce(&A) -> Result<I, Y>) -> Then<A, Y>
    where
        I: IntoEvents<A::Event>,
        Y: Debug,
    {
        self.into_scenario().when(decide)
    }

    #[track_caller]
    fn into_scenario(self) -> Scenario<A> {
        self.settled();
        let mut history = self.history;
        history.extend(self.decided.into_iter().flatten());
        Scenario::at(history, self.state)
    }

    /// The decided events of a command that was accepted.
    #[track_caller]
    fn accepted(&self) -> &[A::Event] {
        match &self.decided {
            Ok(decided) => decided,
            Err(error) => self
                .report("the command was refused; it was expected to be accepted")
                .value("refused with", error)
                .text("what to do", CORRECT)
                .fail(),
        }
    }

    /// Refuses to go on after a refusal that nobody expected.
    #[track_caller]
    fn settled(&self) {
        if let (Err(error), Refusal::Unexpected) = (&self.decided, self.refusal) {
            self.report("the command was refused, and no expectation before says so")
                .value("refused with", error)
                .text(
                    "what to do",
                    "correct the command, or expect its error with `then_error`",
                )
                .fail();
        }
    }

    fn report(&self, headline: &str) -> Report {
        Report::new(headline).before::<A>(&self.history, self.command.as_deref())
    }
}

impl<D, X> Then<Decided<D>, X>
where
    D: Decider<Command: Debug, Event: Debug, State: Debug, Error: Debug>,
    X: Debug,
{
    /// Lets a further command come, to the decider as this one left it.
    ///
    /// # Panics
    /// When this command was refused and no expectation before said so.
    #[must_use = "say with `then` or `then_error` what is to come of it"]
    #[track_caller]
    pub fn when_command(self, command: D::Command) -> Then<Decided<D>, D::Error> {
        self.into_scenario().when_command(command)
    }
}

impl Report {
    /// With what was there when the command came.
    pub(crate) fn before<A>(self, history: &[A::Event], command: Option<&str>) -> Self
    where
        A: Aggregate<Event: Debug> + Debug,
    {
        let report = self.events("given", history);
        let report = match fold::<A>(history) {
            Ok(state) => report.value("state before the command", &state),
            Err(_) => report,
        };
        match command {
            Some(command) => report.text("command", command),
            None => report,
        }
    }
}
