//! Schedules of the group commit (T13): the shell's own source over shuttle's mutexes and threads,
//! which take turns as a seeded scheduler decides.
//!
//! `ANNALS_SEED` repeats a run; `ANNALS_CAMPAIGN_SCALE` multiplies the number of schedules: 100 makes
//! the eleven million of the long campaign. A failure prints its schedule, for `shuttle::replay`.
//!
//! The planted bugs replace methods of the queue beneath the same shell and must each be caught.

#![expect(
    clippy::duplicate_mod,
    reason = "each planted bug sits beneath a shell of its own"
)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and print as tests do"
)]

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

/// Schedules of one scenario, at scale one.
const SCHEDULES: usize = 6_250;

/// Schedules of one scenario to catch a planted bug with.
const PLANTED_SCHEDULES: usize = 1_500;

/// The shell over shuttle, with methods of its queue replaced.
macro_rules! shell {
    ($name:ident { $($replaced:item)* }) => {
        #[path = "../src/commit"]
        #[expect(unreachable_pub, reason = "the library exports them")]
        mod $name {
            mod error;
            mod gathering;
            mod group;
            mod settings;
            mod slots;
            #[path = "queue.rs"]
            mod sound;
            mod submit;
            #[path = "../../tests/commit_shuttle/scenarios.rs"]
            pub(crate) mod scenarios;

            mod sync {
                pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
                pub(super) use shuttle::thread;
                use std::sync::atomic::{AtomicU64, Ordering};
                use std::time::Duration;

                use shuttle::rand::{Rng, thread_rng};

                /// Few, so that schedules are short.
                pub(super) const IDLE_LOOKS_MAX: u32 = 3;

                /// Up to three milliseconds pass from one look at the clock to the next, so that some
                /// commits are worth a wait, some waits are long and some are none.
                pub(super) fn clock() -> Duration {
                    shuttle::lazy_static! {
                        static ref NOW: AtomicU64 = AtomicU64::new(0);
                    }
                    let passed = thread_rng().gen_range(0..4);
                    Duration::from_millis(NOW.fetch_add(passed, Ordering::Relaxed))
                }
            }

            mod queue {
                use std::ops::{Deref, DerefMut};

                pub(super) use super::sound::{Abandoned, Batch, Next, Settled};
                use super::{Commit, GroupSettings};

                pub(super) struct Queue<C: Commit>(super::sound::Queue<C>);

                impl<C: Commit> Queue<C> {
                    pub(super) fn new(core: C, settings: GroupSettings) -> Self {
                        Self(super::sound::Queue::new(core, settings))
                    }

                    $($replaced)*
                }

                impl<C: Commit> Deref for Queue<C> {
                    type Target = super::sound::Queue<C>;

                    fn deref(&self) -> &Self::Target {
                        &self.0
                    }
                }

                impl<C: Commit> DerefMut for Queue<C> {
                    fn deref_mut(&mut self) -> &mut Self::Target {
                        &mut self.0
                    }
                }
            }

            use annals_log::commit::Commit;
            use error::SubmitError;
            use group::GroupCommit;
            use settings::{Backlog, GroupSettings, Leader};
            use submit::Submit;
        }
    };
}

shell!(shell {});

shell!(lost_wake {
    pub(super) fn settle(
        &mut self,
        keys: Vec<super::slots::Key>,
        answers: Vec<C::Answer>,
        timed: Option<(std::time::Duration, std::time::Duration)>,
    ) -> Settled<C> {
        let mut settled = self.0.settle(keys, answers, timed);
        settled.wakers.pop();
        settled
    }
});

shell!(lost_hand_over {
    pub(super) fn abandon(&mut self, key: super::slots::Key) -> Abandoned<C> {
        Abandoned { next: Next::Nobody, ..self.0.abandon(key) }
    }
});

shell!(crossed_answers {
    pub(super) fn settle(
        &mut self,
        keys: Vec<super::slots::Key>,
        mut answers: Vec<C::Answer>,
        timed: Option<(std::time::Duration, std::time::Duration)>,
    ) -> Settled<C> {
        answers.reverse();
        self.0.settle(keys, answers, timed)
    }
});

shell!(forgotten_cancellation {
    pub(super) fn abandon(&mut self, key: super::slots::Key) -> Abandoned<C> {
        if self.0.backlog().requests == 0 {
            return self.0.abandon(key);
        }
        Abandoned { request: None, answer: None, waker: None, next: Next::Nobody }
    }
});

shell!(lost_turn {
    pub(super) fn give_back(&mut self, core: Box<C>) -> Next {
        match self.0.give_back(core) {
            Next::Turn => Next::Nobody,
            next => next,
        }
    }
});

shell!(parked_behind_nobody {
    pub(super) fn approach(
        &mut self,
        key: super::slots::Key,
        came: &mut super::gathering::Came,
    ) -> super::gathering::Approach {
        use super::gathering::{Approach, Came};

        let before = *came;
        match self.0.approach(key, came) {
            Approach::StepBack if before != Came::Never => Approach::Park,
            approach => approach,
        }
    }
});

#[test]
fn every_schedule_answers_everybody_when_callers_lead() {
    check(shell::scenarios::CALLER);
}

#[test]
fn every_schedule_answers_everybody_when_a_thread_leads() {
    check(shell::scenarios::THREAD);
}

#[test]
fn planted_bugs_are_caught() {
    let seed = seed();
    println!("ANNALS_SEED={seed}");
    for (bug, scenarios) in [
        (
            "lost wake",
            [lost_wake::scenarios::CALLER, lost_wake::scenarios::THREAD],
        ),
        (
            "lost hand-over",
            [
                lost_hand_over::scenarios::CALLER,
                lost_hand_over::scenarios::THREAD,
            ],
        ),
        (
            "lost turn",
            [lost_turn::scenarios::CALLER, lost_turn::scenarios::THREAD],
        ),
        (
            "crossed answers",
            [
                crossed_answers::scenarios::CALLER,
                crossed_answers::scenarios::THREAD,
            ],
        ),
        (
            "forgotten cancellation",
            [
                forgotten_cancellation::scenarios::CALLER,
                forgotten_cancellation::scenarios::THREAD,
            ],
        ),
        (
            "parked behind nobody",
            [
                parked_behind_nobody::scenarios::CALLER,
                parked_behind_nobody::scenarios::THREAD,
            ],
        ),
    ] {
        let caught = scenarios.concat().iter().any(|(_, scenario)| {
            panic::catch_unwind(|| {
                explore(*scenario, seed, PLANTED_SCHEDULES, FailurePersistence::None);
            })
            .is_err()
        });
        assert!(caught, "{bug} is not caught");
    }
}

fn check(scenarios: &[(&str, fn())]) {
    let scale = env::var("ANNALS_CAMPAIGN_SCALE").map_or(1, |scale| {
        scale
            .parse()
            .expect("ANNALS_CAMPAIGN_SCALE is a whole number")
    });
    let seed = seed();
    println!("ANNALS_SEED={seed}");
    for (name, scenario) in scenarios {
        println!("{name}");
        explore(
            *scenario,
            seed,
            SCHEDULES * scale,
            FailurePersistence::Print,
        );
    }
}

/// Runs the scenario under half as many random schedules and as many of few preemptions.
fn explore(scenario: fn(), seed: u64, schedules: usize, failure_persistence: FailurePersistence) {
    let mut config = Config::new();
    config.failure_persistence = failure_persistence;
    let random = RandomScheduler::new_from_seed(seed, schedules.div_ceil(2));
    Runner::new(random, config.clone()).run(scenario);
    let preempting = PctScheduler::new_from_seed(seed, 3, schedules / 2);
    Runner::new(preempting, config).run(scenario);
}

fn seed() -> u64 {
    match env::var("ANNALS_SEED") {
        Ok(seed) => seed.parse().expect("ANNALS_SEED is a whole number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}
