//! Calls that fail: a sync, the space, each call once and for good (T4, F7, F8, F11, F12).

use annals_log::vfs::SeededRng;
use annals_log::vfs::sim::{Fault, IoFault, Operation, Reached, SimFs};
use annals_log::{Durability, ErrorKind, Kind, Log};

use crate::model::{self, DIRECTORY, Model, append, contents, parts, whole_frames};
use crate::workload::body;
use crate::{Counters, Violation, run, seeds};

/// What may fail at one call, or at every call from one on.
const FAULTS: [Fault; 12] = [
    Fault::Io(IoFault::Device),
    Fault::Io(IoFault::NoSpace),
    Fault::Io(IoFault::Quota),
    Fault::Io(IoFault::ReadOnly),
    Fault::Io(IoFault::Denied),
    Fault::LateIo(IoFault::Device),
    Fault::LateIo(IoFault::NoSpace),
    Fault::ShortWrite,
    Fault::FailedSync(Reached::Nothing),
    Fault::FailedSync(Reached::Some { seed: 1 }),
    Fault::FailedSync(Reached::Some { seed: 2 }),
    Fault::FailedSync(Reached::Everything),
];

/// How often a fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    ForGood,
}

/// What a history under faults came to.
struct Outcome {
    model: Model,
    /// Frames that may be there or not: written, and never said to be durable.
    open: Vec<model::Frame>,
}

/// A short history on this disk, through whatever fails; every answer is held against the rules.
fn work(disk: &SimFs, seed: u64, counters: &mut Counters) -> Result<Outcome, Violation> {
    let rng = SeededRng::new(seed);
    let (mut model, mut open) = (Model::default(), Vec::new());
    let settings = model::settings(Durability::Sync);
    let created = Log::create(&parts(disk, seed), DIRECTORY.as_ref(), settings, 7);
    let Ok(mut log) = created else {
        counters.count("creation failed");
        return Ok(Outcome { model, open });
    };
    for round in 0..12 {
        let bodies: Vec<_> = (0..=rng.below(3)).map(|_| body(&rng)).collect();
        match append(&mut log, &bodies) {
            Ok(frame) => open.push(frame),
            Err((error, frame)) => {
                judge(&log, error.kind(), counters)?;
                if error.kind() == ErrorKind::Unknown {
                    open.push(frame);
                }
            }
        }
        if rng.below(3) == 0 && !log.is_poisoned() {
            continue;
        }
        let result = if round % 5 == 4 {
            log.idle()
        } else {
            log.sync().map(drop)
        };
        match result {
            Ok(()) if log.is_poisoned() => return Err("a stopped log says it synced".to_owned()),
            Ok(()) => model.frames.append(&mut open),
            Err(error) => judge(&log, error.kind(), counters)?,
        }
        // What is served was acknowledged, and stays readable, poisoned or not.
        let view = log.view();
        if let Ok(records) = contents(&view) {
            let mut known = model.clone();
            known.frames.extend(open.iter().cloned());
            let frames = whole_frames(&records, &known)?;
            if frames < model.frames.len() {
                return Err(format!(
                    "{frames} frames of {} are served",
                    model.frames.len()
                ));
            }
        }
    }
    if log.close().is_ok() {
        model.frames.append(&mut open);
        counters.count("closed");
    }
    Ok(Outcome { model, open })
}

/// An error is of a kind that says what happened: rejected and usable, or stopped.
fn judge(log: &Log, kind: ErrorKind, counters: &mut Counters) -> Result<(), Violation> {
    match (kind, log.is_poisoned()) {
        (ErrorKind::NoSpace, false) => counters.count("rejected for want of space"),
        (ErrorKind::Io, false) => counters.count("rejected"),
        (ErrorKind::Unknown, true) => counters.count("unknown"),
        (ErrorKind::Poisoned, true) => counters.count("refused after a failure"),
        (kind, poisoned) => return Err(format!("{kind:?}, poisoned: {poisoned}")),
    }
    Ok(())
}

/// After the faults the log opens, after a kill and after a power loss, and holds what it must and
/// nothing that was rejected; what it serves then stays.
fn aftermath(
    disk: &SimFs,
    outcome: &Outcome,
    rng: &SeededRng,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let mut known = outcome.model.clone();
    let durable = known.frames.len();
    known.frames.extend(outcome.open.iter().cloned());
    let crashed = disk.crash(rng.bits());
    let killed = disk.restart();
    let starved = disk.restart();
    starved.drop_caches();
    for (name, image) in [
        ("killed", killed),
        ("starved", starved),
        ("crashed", crashed),
    ] {
        match model::open(&image, Durability::Sync) {
            Err(error) if error.kind() == ErrorKind::NotFound && durable == 0 => continue,
            _ => {}
        }
        let (log, _, frames) = model::check(&image, &known, durable, Durability::Sync)
            .map_err(|violation| format!("{name}: {violation}"))?;
        counters.count("opened afterwards");
        drop(log);
        let mut served = known.clone();
        served.frames.truncate(frames);
        model::check(&image.crash(rng.bits()), &served, frames, Durability::Sync)
            .map_err(|violation| format!("{name}, served, then crashed: {violation}"))?;
    }
    Ok(())
}

/// Every call of a history fails in turn.
pub(crate) fn every_call(
    seed: u64,
    faults: &[Fault],
    times: Times,
    counters: &mut Counters,
) -> Result<(), Violation> {
    let quiet = SimFs::new();
    work(&quiet, seed, &mut Counters::default())?;
    let calls = quiet.trace();
    let rng = SeededRng::new(seed);
    for (call, done) in calls.iter().enumerate() {
        for fault in faults {
            if !fits(*fault, &done.operation) {
                continue;
            }
            let disk = SimFs::new();
            match times {
                Times::Once => disk.fail_at(call as u64, *fault),
                Times::ForGood => disk.fail_from(call as u64, *fault),
            }
            let context =
                |violation| format!("{fault:?} {times:?} at {call} {done:?}: {violation}");
            let outcome = work(&disk, seed, counters).map_err(context)?;
            disk.clear_faults();
            aftermath(&disk, &outcome, &rng, counters).map_err(context)?;
            counters.count("fault");
        }
    }
    Ok(())
}

/// Faults that do nothing at a call are left out there.
fn fits(fault: Fault, operation: &Operation) -> bool {
    let is_sync = matches!(operation, Operation::SyncData | Operation::SyncAll);
    match fault {
        Fault::ShortWrite => matches!(operation, Operation::Write { .. }),
        Fault::FailedSync(_) => is_sync,
        Fault::LateIo(_) => operation.changes(),
        Fault::Io(IoFault::Device) => true,
        _ => operation.changes() || is_sync,
    }
}

/// A disk that fills up at every place: what is refused is not there, and appends go on by themselves
/// when there is room again.
pub(crate) fn full_disk(seed: u64, counters: &mut Counters) -> Result<(), Violation> {
    let disk = SimFs::new();
    let rng = SeededRng::new(seed);
    let settings = model::settings(Durability::Sync);
    let mut log = Log::create(&parts(&disk, seed), DIRECTORY.as_ref(), settings, 7).unwrap();
    let mut model = Model::default();
    let used = || -> u64 {
        let files = disk.disk();
        files
            .paths()
            .iter()
            .map(|path| files.length(path).unwrap())
            .sum()
    };
    for _ in 0..30 {
        disk.set_capacity(match rng.below(3) {
            0 => None,
            _ => Some(used() + rng.below(20_000)),
        });
        if rng.below(4) == 0 {
            let space = [IoFault::NoSpace, IoFault::Quota];
            let fault = match rng.below(3) {
                0 => Fault::ShortWrite,
                1 => Fault::LateIo(IoFault::NoSpace),
                _ => Fault::Io(space[usize::from(rng.below(2) == 1)]),
            };
            disk.fail_at(disk.calls() + rng.below(6), fault);
        }
        let bodies: Vec<_> = (0..=rng.below(3)).map(|_| body(&rng)).collect();
        match append(&mut log, &bodies) {
            Ok(frame) => model.frames.push(frame),
            Err((error, _)) if error.kind() == ErrorKind::NoSpace => {
                counters.count("no space");
                disk.set_capacity(None);
                disk.clear_faults();
                let crashed = disk.crash(rng.bits());
                model::check(&crashed, &model, 0, Durability::Sync)?;
                let frame = append(&mut log, &bodies)
                    .map_err(|(error, _)| format!("no append with room again: {error:?}"))?;
                model.frames.push(frame);
                counters.count("went on");
            }
            Err((error, _)) if log.is_poisoned() => {
                // Room that is missing at a sync, or at what comes after a commit point.
                let _ = error;
                counters.count("stopped");
                break;
            }
            Err((error, _)) => return Err(format!("{error:?}")),
        }
        disk.clear_faults();
        if !log.is_poisoned() {
            log.sync().map_err(|error| format!("{error:?}"))?;
            model.durable = model.frames.len();
        }
    }
    drop(log);
    disk.set_capacity(None);
    model::check(
        &disk.crash(rng.bits()),
        &model,
        model.durable,
        Durability::Sync,
    )?;
    let (mut log, ..) = model::check(&disk, &model, model.durable, Durability::Sync)?;
    append(&mut log, &[(Kind::Numbered, vec![1])]).map_err(|e| format!("{:?}", e.0))?;
    log.sync().map(drop).map_err(|error| format!("{error:?}"))
}

#[test]
fn every_call_may_fail_once() {
    let counters = run("faults, once", seeds(1, 2), |seed, counters| {
        every_call(seed, &FAULTS, Times::Once, counters)
    });
    counters.require(&[
        "creation failed",
        "rejected for want of space",
        "unknown",
        "refused after a failure",
        "closed",
        "opened afterwards",
    ]);
}

#[test]
fn every_call_may_fail_from_then_on() {
    let counters = run("faults, for good", seeds(50, 2), |seed, counters| {
        every_call(seed, &FAULTS, Times::ForGood, counters)
    });
    counters.require(&["unknown", "refused after a failure", "opened afterwards"]);
}

#[test]
fn a_full_disk_rejects_and_is_forgotten() {
    let counters = run("full disk", seeds(1, 150), full_disk);
    counters.require(&["no space", "went on"]);
}
