//! Disks that are full (F8): appends are refused, reads go on, and appends resume by themselves.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annals_log::vfs::sim::{Fault, IoFault};
use annals_store_log::Durability;

use crate::hooked::{Asked, Hooked};
use crate::reference::Reads;
use crate::world::{Step, World, builder};
use crate::{Counters, Violation, run, seeds};

/// How many appends are tried on the full disk: more than memory holds of an index that can't be written.
const APPENDS: usize = 150;

/// Fills the disk but for so many bytes, and goes on until appends are refused and longer.
fn fill(seed: u64, bytes_left: u64, counters: &mut Counters) -> Result<(), Violation> {
    let mut world = World::create(seed, Durability::Sync);
    for _ in 0..30 {
        world.step(Step::Append, counters)?;
    }
    let disk = world.disk.clone();
    let paths = disk.disk().paths();
    let used: u64 = paths
        .iter()
        .map(|path| disk.disk().length(path).unwrap())
        .sum();
    world.is_faulty = true;
    disk.set_capacity(Some(used + bytes_left));
    for _ in 0..APPENDS {
        world.step(Step::Append, counters)?;
    }
    world
        .check(4, Reads::Succeed)
        .map_err(|violation| format!("on the full disk: {violation}"))?;
    if world.has_pending() {
        return Err("the fate of an append is unknown for want of space".to_owned());
    }
    disk.set_capacity(None);
    world.is_faulty = false;
    for step in [Step::Append, Step::Policy, Step::Batch, Step::Append] {
        world
            .step(step, counters)
            .map_err(|violation| format!("when there is space again: {violation}"))?;
    }
    let last = if seed.is_multiple_of(2) {
        Step::Close
    } else {
        Step::PowerLoss
    };
    world
        .step(last, counters)
        .map_err(|violation| format!("{last:?}: {violation}"))
}

/// A disk that is full after some more bytes.
fn full_disk(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let bytes_left = (seed * 977) % 60_000;
    fill(seed, bytes_left, counters)
        .map_err(|violation| format!("{bytes_left} bytes left: {violation}"))
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_space() {
    let counters = run("F8", seeds(60_000, 40), full_disk);
    counters.require(&["no space", "appends recorded"]);
}

/// Writes that find no room are taken back, and what they held is as if it had never been sent.
pub(crate) fn refused_writes(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let mut world = World::create(seed, Durability::Sync);
    world.is_faulty = true;
    let faults = [
        Fault::ShortWrite,
        Fault::Io(IoFault::NoSpace),
        Fault::Io(IoFault::Quota),
    ];
    for _ in 0..40 {
        let call = world.disk.calls() + world.draw.rng.below(4);
        world
            .disk
            .fail_at(call, faults[world.draw.below(faults.len())]);
        world.step(Step::Append, counters)?;
        world.disk.clear_faults();
        if world.has_pending() {
            world.step(Step::Kill, counters)?;
        }
        world.step(Step::Append, counters)?;
    }
    world.is_faulty = false;
    world.step(Step::PowerLoss, counters)?;
    world.step(Step::Append, counters)
}

#[test]
fn a_write_that_finds_no_room_is_taken_back() {
    let counters = run("F8 writes", seeds(62_000, 40), refused_writes);
    counters.require(&["no space", "appends recorded"]);
}

/// No index file can be written: memory stays bounded, and nothing is lost.
#[test]
fn appends_resume_when_index_files_can_be_written_again() {
    let counters = run("F8 index", seeds(61_000, 4), |seed, counters| {
        let mut world = World::create(seed, Durability::Sync);
        let is_full = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&is_full);
        let hook = move |asked, path: &Path| {
            let is_refused = asked == Asked::Create && path.starts_with("/store/index");
            if is_refused && told.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        };
        world.store = None;
        let vfs = Hooked::new(world.disk.clone(), hook);
        world.store = Some(builder(Arc::new(vfs), seed, &world.clock).open().unwrap());
        world.is_faulty = true;
        for _ in 0..400 {
            world.step(Step::Batch, counters)?;
        }
        world.check(4, Reads::Succeed)?;
        is_full.store(false, Ordering::Relaxed);
        world.is_faulty = false;
        for _ in 0..20 {
            world
                .step(Step::Batch, counters)
                .map_err(|violation| format!("when there is space again: {violation}"))?;
        }
        world.step(Step::PowerLoss, counters)
    });
    counters.require(&["appends recorded", "no space"]);
}
