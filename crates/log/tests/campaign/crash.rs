//! Power losses after every operation (T1).

use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::SimFs;
use annals_log::{Durability, ErrorKind, Kind};

use crate::model::{self, Model, append};
use crate::workload::{Step, Workload, bytes};
use crate::{Counters, Violation, run, seeds};

/// How many steps a history has.
const STEPS: u64 = 30;
/// How many images of the disk are drawn after each operation.
const IMAGES: u64 = 2;

/// One history, with the power lost after each operation of it, and again after recovery and inside.
pub(crate) fn history(
    seed: u64,
    durability: Durability,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let rng = SeededRng::new(seed ^ 0x5eed);
    let mut workload = Workload::create(seed, durability);
    check_creation(&workload, &rng, counters)?;
    for _ in 0..STEPS {
        let step = workload.next_step();
        let (durable, disk) = (workload.model.durable, workload.disk.clone());
        let before = workload.model.clone();
        workload
            .step(step, counters)
            .map_err(|violation| format!("{step:?}: {violation}"))?;
        let mut model = workload.model.clone();
        if model.frames.len() < before.frames.len() {
            model.frames = before.frames;
        } else if step == Step::Rewrite {
            model.unreclaimed = Some(before.frames);
        }
        for boundary in disk.take_boundaries() {
            crash(
                &boundary.file_system,
                &model,
                durable,
                durability,
                &rng,
                counters,
            )
            .map_err(|violation| format!("{step:?}, call {}: {violation}", boundary.calls))?;
        }
        let model = workload.model.clone();
        crash(
            &workload.disk,
            &model,
            model.durable,
            durability,
            &rng,
            counters,
        )
        .map_err(|violation| format!("after {step:?}: {violation}"))?;
        workload.disk.take_boundaries();
    }
    counters.count("history");
    Ok(())
}

/// A creation that is interrupted leaves a log or none, and none can be created again.
fn check_creation(
    workload: &Workload,
    rng: &SeededRng,
    counters: &mut Counters,
) -> Result<(), Violation> {
    for boundary in workload.disk.take_boundaries() {
        let disk = boundary.file_system.crash(rng.bits());
        let opened = model::open(&disk, workload.durability).map(drop);
        match opened.map_err(|error| (error.kind(), error)) {
            Ok(()) => counters.count("crash in a creation: a log"),
            Err((ErrorKind::NotFound, _)) => {
                counters.count("crash in a creation: none");
                let parts = model::parts(&disk, 1);
                let settings = model::settings(workload.durability);
                annals_log::Log::create(&parts, model::DIRECTORY.as_ref(), settings, 0)
                    .map_err(|error| format!("no creation after a crash: {error:?}"))?;
            }
            Err((_, error)) => return Err(format!("crash in a creation: {error:?}")),
        }
    }
    Ok(())
}

/// Loses the power at this moment, in several ways.
fn crash(
    disk: &SimFs,
    model: &Model,
    durable: usize,
    durability: Durability,
    rng: &SeededRng,
    counters: &mut Counters,
) -> Result<(), Violation> {
    for _ in 0..IMAGES {
        let image = disk.crash(rng.bits());
        if rng.below(4) == 0 {
            crash_in_recovery(&image, model, durable, durability, rng, counters)?;
        }
        image_survives(&image, model, durable, durability, rng, counters)?;
    }
    if rng.below(8) == 0 {
        counters.count("killed");
        crash_in_recovery(&disk.restart(), model, durable, durability, rng, counters)?;
        image_survives(&disk.restart(), model, durable, durability, rng, counters)?;
    }
    Ok(())
}

/// The image opens, holds what it must, and keeps what it served through another loss of power; then
/// it takes a new frame, and keeps that.
pub(crate) fn image_survives(
    image: &SimFs,
    model: &Model,
    durable: usize,
    durability: Durability,
    rng: &SeededRng,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let (mut log, recovery, frames) = model::check(image, model, durable, durability)?;
    counters.count("crash");
    note(&recovery, frames, model, counters);
    let mut expected = model.clone();
    expected.frames.truncate(frames);
    if let Some(frames_before) = &mut expected.unreclaimed {
        frames_before.truncate(frames);
    }
    let again = image.crash(rng.bits());
    model::check(&again, &expected, frames, durability)
        .map_err(|violation| format!("after {recovery:?} and another crash: {violation}"))?;

    // The same lengths as the frame that was cut, so that what was left behind it would fit.
    let lengths: Vec<_> = match model.frames.get(frames) {
        Some(cut) => cut
            .records
            .iter()
            .map(|record| (record.number.is_some(), record.body.len() as u64))
            .collect(),
        None => vec![(true, 100)],
    };
    let bodies: Vec<_> = lengths
        .into_iter()
        .map(|(numbered, length)| {
            let kind = if numbered { Kind::Numbered } else { Kind::Note };
            (kind, bytes(rng, length))
        })
        .collect();
    let frame = append(&mut log, &bodies).map_err(|(error, _)| format!("{error:?}"))?;
    log.sync().map_err(|error| format!("{error:?}"))?;
    if let Some(frames_before) = &mut expected.unreclaimed {
        frames_before.push(frame.clone());
    }
    expected.frames.push(frame);
    let least = match durability {
        Durability::Sync => frames + 1,
        Durability::Process => frames,
    };
    drop(log);
    model::check(&image.crash(rng.bits()), &expected, least, durability)
        .map(drop)
        .map_err(|violation| format!("after {recovery:?}, a frame and a crash: {violation}"))
}

/// A crash inside the recovery changes nothing.
fn crash_in_recovery(
    image: &SimFs,
    model: &Model,
    durable: usize,
    durability: Durability,
    rng: &SeededRng,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let image = image.restart();
    image.record_boundaries();
    drop(model::open(&image, durability).map_err(|error| format!("no opening: {error:?}"))?);
    let boundaries = image.take_boundaries();
    if boundaries.is_empty() {
        return Ok(());
    }
    let at = usize::try_from(rng.below(boundaries.len() as u64)).unwrap_or(0);
    counters.count("crash in recovery");
    let image = boundaries[at].file_system.crash(rng.bits());
    image_survives(&image, model, durable, durability, rng, counters)
        .map_err(|violation| format!("inside recovery: {violation}"))
}

fn note(recovery: &annals_log::Recovery, frames: usize, model: &Model, counters: &mut Counters) {
    let states = [
        (recovery.was_closed, "opened after a close"),
        (recovery.cut.is_some(), "tail cut"),
        (recovery.rewritten_bytes > 0, "tail rewritten"),
        (recovery.sealing_undone, "sealing undone"),
        (frames < model.frames.len(), "frames gone"),
        (frames == model.frames.len(), "all frames kept"),
    ];
    for (_, state) in states.iter().filter(|(is_reached, _)| *is_reached) {
        counters.count(state);
    }
}

const REACHED: [&str; 17] = [
    "segment archived",
    "segment restored",
    "segment reclaimed",
    "segment compressed",
    "segment decompressed",
    "growth ahead",
    "closed and opened",
    "killed and opened",
    "power lost and opened",
    "rotation",
    "crash in recovery",
    "crash in a creation: a log",
    "crash in a creation: none",
    "tail cut",
    "tail rewritten",
    "sealing undone",
    "frames gone",
];

#[test]
fn nothing_synced_is_lost_and_nothing_invented_wherever_the_power_goes() {
    let counters = run("crash", seeds(1, 380), |seed, counters| {
        history(seed, Durability::Sync, counters)
    });
    counters.require(&REACHED);
}

#[test]
fn without_sync_a_power_loss_takes_only_the_newest() {
    let counters = run("crash, unsynced", seeds(10_000, 150), |seed, counters| {
        history(seed, Durability::Process, counters)
    });
    counters.require(&REACHED);
}

#[test]
fn a_seed_replays_exactly() {
    let trace = |seed| {
        let mut workload = Workload::create(seed, Durability::Sync);
        for _ in 0..STEPS {
            let step = workload.next_step();
            workload.step(step, &mut Counters::default()).unwrap();
        }
        workload.disk.trace()
    };
    for seed in seeds(1, 3) {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
