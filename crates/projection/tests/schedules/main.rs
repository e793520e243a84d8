//! Schedules of processors, rebuilds and groups (T13): the crate's own source over shuttle's locks and tasks, which take turns as a seeded
//! scheduler decides. A wake-up that is lost is a deadlock, which shuttle reports with its schedule.
//!
//! `ANNALS_CAMPAIGN_SCALE` multiplies the number of schedules.

#![expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the library exports what the schedules do not use"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

#[path = "../../src/contract/mod.rs"]
mod contract;
#[path = "../../src/decoder.rs"]
mod decoder;
#[path = "../../src/errors.rs"]
mod errors;
#[path = "../../src/group/mod.rs"]
mod group;
#[path = "../../src/key_rule.rs"]
mod key_rule;
#[path = "../../src/memory/mod.rs"]
mod memory;
#[path = "../../src/panics.rs"]
mod panics;
#[path = "../../src/processor/mod.rs"]
mod processor;
#[path = "../../src/projection/mod.rs"]
mod projection;
#[path = "../../src/reaction/mod.rs"]
mod reaction;
#[path = "../../src/rebuild/mod.rs"]
mod rebuild;
mod scenarios;
mod sharing;
mod taking_over;

mod sync {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}

use std::env;

use contract::batch::Batch;
use contract::choice::EventChoice;
use contract::consumer::{Consumer, Handled, Prepare};
use contract::failure_policy::FailurePolicy;
use contract::parked::ParkedEvents;
use contract::partition::Partition;
use contract::progress::Progress;
use memory::sink::MemorySink;
use processor::builder::{Processor, ProcessorBuilder};
use processor::handle::ProcessorHandle;
use processor::settings::ProcessorSettings;
use projection::definition::Projection;
use reaction::definition::Reaction;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Schedules of one scenario under one scheduler, at scale one.
const SCHEDULES: usize = 500;

/// The same of one that takes many more steps.
const LONG_SCHEDULES: usize = 50;

fn check(scenario: fn(), schedules: usize) {
    let scale = env::var("ANNALS_CAMPAIGN_SCALE").ok();
    let scale: usize = scale.and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let mut config = Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(200_000);
    config.stack_size = 1024 * 1024;
    let schedules = schedules * scale;
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(scenario);
    Runner::new(PctScheduler::new(3, schedules), config).run(scenario);
}

#[test]
fn everyone_sees_each_event_once_in_every_schedule() {
    check(scenarios::joining_while_events_come, SCHEDULES);
}

#[test]
fn no_order_is_lost_in_any_schedule() {
    check(scenarios::steering_while_events_come, SCHEDULES);
}

#[test]
fn a_version_takes_over_with_all_events_in_every_schedule() {
    check(taking_over::cutting_over_while_events_come, LONG_SCHEDULES);
}

#[test]
fn members_that_come_and_go_handle_each_event_once_in_every_schedule() {
    check(sharing::members_come_and_go, LONG_SCHEDULES);
}
