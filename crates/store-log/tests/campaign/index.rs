//! Index files that are damaged, missing, foreign or ahead of the log (F6): built again, same answers.

use std::path::PathBuf;

use annals_core::Clock;
use annals_log::vfs::sim::SimFs;
use annals_store_log::{Durability, LogStore};

use crate::reference::Reads;
use crate::world::{Step, World, open};
use crate::{Counters, Violation, run, scale, seeds};

/// A store with several index files, closed.
fn closed(seed: u64, counters: &mut Counters) -> Result<World, Violation> {
    let mut world = World::create(seed, Durability::Sync);
    for _ in 0..3 {
        for step in [
            Step::Append,
            Step::Batch,
            Step::Policy,
            Step::Batch,
            Step::Append,
            Step::Close,
        ] {
            world.step(step, counters)?;
        }
    }
    world.store = None;
    Ok(world)
}

fn runs(disk: &SimFs) -> Vec<PathBuf> {
    let is_run = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "run");
    disk.disk().paths().into_iter().filter(is_run).collect()
}

/// The store answers as ever, also after it took more and was opened again.
fn answers(world: &World, image: &SimFs, counters: &mut Counters) -> Result<(), Violation> {
    counters.count("faults");
    let store = open(image, &world.clock, Durability::Sync)
        .map_err(|error| format!("no opening: {error:?}"))?;
    let check = |store: &LogStore| {
        world
            .reference
            .check(store, world.clock.now(), &world.draw, 12, Reads::Succeed)
    };
    check(&store)?;
    check(&store).map_err(|violation| format!("asked again: {violation}"))?;
    store
        .close()
        .map_err(|error| format!("no closing: {error:?}"))?;
    let store = open(image, &world.clock, Durability::Sync)
        .map_err(|error| format!("no second opening: {error:?}"))?;
    check(&store).map_err(|violation| format!("opened again: {violation}"))
}

/// Flips a bit of each so many bytes of each index file.
pub(crate) fn flipped_bytes(
    seed: u64,
    stride: u64,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let world = closed(seed, counters)?;
    let disk = world.disk.restart();
    for path in runs(&disk) {
        let bytes = disk.disk().length(&path).unwrap();
        for byte in (seed % stride..bytes).step_by(usize::try_from(stride).unwrap()) {
            let image = disk.restart();
            image.disk().flip_bit(&path, byte * 8 + byte % 8).unwrap();
            answers(&world, &image, counters)
                .map_err(|violation| format!("byte {byte} of {}: {violation}", path.display()))?;
        }
    }
    Ok(())
}

#[test]
fn any_flipped_byte_of_an_index_file_changes_no_answer() {
    // Prime, so that every part of every structure is met in the long run.
    let stride = 31_u64.div_ceil(scale());
    let counters = run("F6 flips", seeds(80_000, 2), |seed, counters| {
        flipped_bytes(seed, stride, counters)
    });
    counters.require(&["faults"]);
}

#[test]
fn index_files_that_are_cut_missing_or_of_another_place_change_no_answer() {
    let counters = run("F6 files", seeds(81_000, 3), |seed, counters| {
        let world = closed(seed, counters)?;
        let disk = world.disk.restart();
        let paths = runs(&disk);
        let garbage: Vec<u8> = (0..5000_u64)
            .map(|at| (at * seed).to_le_bytes()[1])
            .collect();
        let mut images = vec![("all are missing", disk.restart())];
        for path in &paths {
            images[0].1.disk().remove(path).unwrap();
            let length = disk.disk().length(path).unwrap();
            let mut damage = |what, damage: &dyn Fn(&SimFs)| {
                let image = disk.restart();
                damage(&image);
                images.push((what, image));
            };
            damage("one is missing", &|image| {
                image.disk().remove(path).unwrap();
            });
            damage("one is empty", &|image| {
                image.disk().set_length(path, 0).unwrap();
            });
            for part in 1..8 {
                let cut = length * part / 8;
                damage("one is cut", &|image| {
                    image.disk().set_length(path, cut).unwrap();
                });
            }
            damage("one is longer", &|image| {
                image.disk().set_length(path, length + 512).unwrap();
            });
            damage("one is garbage", &|image| {
                image.disk().write(path, &garbage).unwrap();
            });
            for other in &paths {
                let bytes = disk.disk().read(other).unwrap();
                damage("one is another", &|image| {
                    image.disk().write(path, &bytes).unwrap();
                });
            }
            damage("one was not finished", &|image| {
                let unfinished = path.with_extension("unfinished");
                image.disk().rename(path, unfinished).unwrap();
            });
        }
        for (what, image) in images {
            answers(&world, &image, counters)
                .map_err(|violation| format!("{what}: {violation}"))?;
        }
        Ok(())
    });
    counters.require(&["faults"]);
}

/// The index is synced and the newest of the log is not: the index is ahead of it after a loss of power.
pub(crate) fn index_ahead(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let mut world = World::create(seed, Durability::Process);
    for _ in 0..60 {
        let before = runs(&world.disk).len();
        world.step(Step::Batch, counters)?;
        if runs(&world.disk).len() > before {
            world.step(Step::PowerLoss, counters)?;
            counters.count("power lost after an index file");
        }
    }
    Ok(())
}

#[test]
fn index_files_ahead_of_the_log_change_no_answer() {
    let counters = run("F6 ahead", seeds(82_000, 30), index_ahead);
    counters.require(&["power lost after an index file", "newest gone"]);
}
