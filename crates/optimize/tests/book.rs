//! The code of the chapter "Making it smaller".

#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{
    Append, Category, ContentType, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent,
    Optimizable, ReadRequest, StreamId, UuidIds,
};
use annals_optimize::{
    ApplySettings, ArchiveRule, Control, OptimizePolicy, Optimizer, ReclaimRule, RetentionRule,
};
use annals_store_log::{LogStore, Settings};
use futures_executor::block_on;

/// A store of some sealed segments of sessions.
fn store(directory: &tempfile::TempDir) -> Arc<LogStore> {
    let mut settings = Settings::default();
    settings.segment_bytes = 64 * 1024;
    let store = LogStore::builder(directory.path().join("store")).settings(settings);
    let store = store.create().unwrap();
    for session in 0..60 {
        let event = |click: usize| {
            let kind = EventType::from_static("clicked");
            NewEvent::new(kind, ContentType::JSON, format!("{{\"click\":{click}}}")).unwrap()
        };
        let stream = StreamId::parse(&format!("session-{session}")).unwrap();
        let append = Append::builder(UuidIds::default().append_id());
        let append = append.write(stream, Expected::NoStream, (0..50).map(event));
        block_on(store.append(append.build().unwrap())).unwrap();
    }
    Arc::new(store)
}

#[test]
fn a_store_is_made_smaller_and_larger_again() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = store(&directory);
    let before = block_on(store.collect(ReadRequest::all()))?;

    // ANCHOR: plan
    let optimizer = Optimizer::of(Arc::clone(&store));
    let plan = optimizer.plan(&OptimizePolicy::default())?;
    println!("{plan}");
    // ANCHOR_END: plan
    assert!(plan.totals().bytes_saved > 0);

    // ANCHOR: apply
    let settings = ApplySettings::default();
    let applied = optimizer.apply(&plan, &settings, &Control::new(), &mut |progress| {
        println!("{} of {} bytes", progress.bytes_moved, progress.bytes_total);
    })?;
    println!("{} -> {} bytes", applied.bytes_before, applied.bytes_after);
    // ANCHOR_END: apply
    assert!(applied.bytes_after < applied.bytes_before);

    // ANCHOR: undo
    let undo = optimizer.plan_undo()?;
    optimizer.apply(&undo, &settings, &Control::new(), &mut |_| {})?;
    // ANCHOR_END: undo
    assert_eq!(optimizer.plan_undo()?.steps, []);
    let after = block_on(store.collect(ReadRequest::category(Category::from_static("session"))))?;
    assert!(after == before);
    Ok(())
}

#[test]
fn old_segments_are_moved_to_an_archive() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = store(&directory);
    let before = block_on(store.collect(ReadRequest::all()))?;
    let cold = directory.path().join("cold");
    let cold = cold.to_str().ok_or("no UTF-8")?;
    let optimizer = Optimizer::of(Arc::clone(&store));

    // ANCHOR: archive
    let mut policy = OptimizePolicy::default();
    policy.archive = Some(ArchiveRule::new(cold).newest_kept_local(2));
    let plan = optimizer.plan(&policy)?;
    println!("{plan}");
    optimizer.apply(
        &plan,
        &ApplySettings::default(),
        &Control::new(),
        &mut |_| {},
    )?;
    // ANCHOR_END: archive
    let segments = store.segments()?;
    let archived = segments.iter().filter(|it| it.archived_bytes.is_some());
    assert_eq!(archived.count(), segments.len() - 3);
    let after = block_on(store.collect(ReadRequest::category(Category::from_static("session"))))?;
    assert!(after == before);
    Ok(())
}

#[test]
fn a_run_goes_on_in_the_background() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = store(&directory);
    let optimizer = Optimizer::of(Arc::clone(&store));
    let plan = optimizer.plan(&OptimizePolicy::default())?;
    let steps = plan.steps.len();

    // ANCHOR: background
    let mut settings = ApplySettings::default();
    settings.bytes_per_second_max = Some(8 * 1024 * 1024);
    let run = Arc::new(optimizer).begin(plan, settings)?;
    run.control().pause();
    println!("{:?}", run.progress());
    run.control().resume();
    let applied = run.join()?;
    // ANCHOR_END: background
    assert_eq!(applied.steps_done, steps);
    Ok(())
}

#[test]
fn old_sessions_expire_unless_they_are_held() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = store(&directory);
    let optimizer = Optimizer::of(Arc::clone(&store));

    // ANCHOR: retention
    let sessions = RetentionRule::new(Category::from_static("session"))
        .max_age(Duration::from_hours(30 * 24))
        .max_count(20);
    let mut policy = OptimizePolicy::default();
    policy.retention.push(sessions);
    policy
        .legal_hold
        .streams
        .insert(StreamId::from_static("session-7"));
    let plan = optimizer.plan(&policy)?;
    optimizer.apply(
        &plan,
        &ApplySettings::default(),
        &Control::new(),
        &mut |_| {},
    )?;
    // ANCHOR_END: retention
    let hidden = plan.totals().events_hidden;

    // ANCHOR: reclaim
    policy.reclaim = Some(ReclaimRule::default());
    let plan = optimizer.plan(&policy)?;
    println!("{} events are gone then", plan.totals().events_reclaimed);
    optimizer.apply(
        &plan,
        &ApplySettings::default(),
        &Control::new(),
        &mut |_| {},
    )?;
    // ANCHOR_END: reclaim
    // Those of the last segment, which is being written, come later.
    let reclaimed = plan.totals().events_reclaimed;
    assert!(hidden / 2 < reclaimed && reclaimed < hidden);

    let shown =
        |stream| block_on(store.collect(ReadRequest::stream(StreamId::from_static(stream))));
    assert_eq!(
        (shown("session-6")?.len(), shown("session-7")?.len()),
        (20, 50)
    );
    Ok(())
}
