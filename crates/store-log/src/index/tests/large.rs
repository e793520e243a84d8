//! Sets so long that they stand in containers.

use std::sync::Arc;

use annals_core::{Criteria, Direction, EventType, Tag};
use annals_log::vfs::Vfs;
use annals_log::vfs::sim::SimFs;
use annals_log::{Place, RecordAt};

use super::super::{Entry, Memtable, Part, Result, Run, StreamEnd, Term, matches};
use super::model::LOG_ID;
use super::{KINDS, directory, path};

const EVENTS: u64 = 400_000;
const FIRST: u64 = 1;

fn stream_of(position: u64) -> &'static str {
    if position.is_multiple_of(97) {
        "sparse-1"
    } else {
        "dense-1"
    }
}

fn type_of(position: u64) -> &'static str {
    match position % 10 {
        0 => "tenth",
        _ if (100_000..170_000).contains(&position) => "middle",
        _ => "often",
    }
}

/// The strides of the tags, from dense to sparse.
const STRIDES: [u64; 7] = [1, 2, 13, 17, 300, 5_000, 150_000];

fn record(position: u64) -> RecordAt {
    let per_segment = 90_000;
    let bytes = if position < 50_000 { 5_000 } else { 300 };
    let segment = u32::try_from(position / per_segment + 1).unwrap();
    RecordAt::new(
        segment,
        u32::try_from(4096 + position % per_segment * bytes).unwrap(),
    )
}

fn runs(cuts: &[u64]) -> Vec<Arc<Run>> {
    let vfs: Arc<dyn Vfs> = Arc::new(SimFs::new());
    let directory = directory(&vfs, &path());
    let mut runs = Vec::new();
    let mut versions = [0; 2];
    let tags = STRIDES.map(|stride| format!("every:{stride}"));
    let mut first = FIRST;
    for end in cuts {
        let mut memtable = Memtable::new(LOG_ID, first);
        for position in first..*end {
            let stream = stream_of(position);
            let version = &mut versions[usize::from(stream == "dense-1")];
            *version += 1;
            let entry = Entry {
                stream,
                version: *version,
                event_type: type_of(position),
                event_id: u128::from(position),
                append_id: None,
                at: record(position),
            };
            let its_tags = STRIDES.iter().zip(&tags);
            let its_tags = its_tags.filter(|(stride, _)| position.is_multiple_of(**stride));
            memtable.insert(&entry, its_tags.map(|(_, tag)| tag.as_str()));
        }
        let upto = Place {
            at: record(*end),
            next_number: *end,
        };
        runs.push(directory.flush(&memtable, KINDS, upto).unwrap());
        first = *end;
    }
    if runs.len() > 1 {
        vec![directory.merge(&runs).unwrap()]
    } else {
        runs
    }
}

fn check_set(run: &Run, term: Term<'_>, has: impl Fn(u64) -> bool) {
    let set = run.ordinals(term).unwrap();
    let position = |ordinal: Result<u32>| run.first() + u64::from(ordinal.unwrap());
    for from in [0, 5, 65_535, 65_536, 70_000, 262_143, 399_000] {
        let start = FIRST + u64::from(from);
        let upwards: Vec<u64> = (start..=EVENTS).filter(|n| has(*n)).collect();
        assert_eq!(
            set.forward(from).map(position).collect::<Vec<_>>(),
            upwards,
            "{term:?}"
        );
        let downwards: Vec<u64> = (FIRST..=start).rev().filter(|n| has(*n)).collect();
        assert_eq!(
            set.backward(from).map(position).collect::<Vec<_>>(),
            downwards,
            "{term:?}"
        );
    }
    let newest = (FIRST..=EVENTS).rev().find(|n| has(*n));
    assert_eq!(run.newest(term).unwrap(), newest, "{term:?}");
}

fn check(cuts: &[u64]) {
    let runs = runs(cuts);
    let run = runs.first().unwrap();
    run.check().unwrap();
    for stride in STRIDES {
        let tag = format!("every:{stride}");
        check_set(run, Term::Tag(&tag), |n| n.is_multiple_of(stride));
    }
    for event_type in ["tenth", "middle", "often"] {
        check_set(run, Term::Type(event_type), |n| type_of(n) == event_type);
    }
    check_set(run, Term::Category("sparse"), |n| {
        stream_of(n) == "sparse-1"
    });
    for stream in ["sparse-1", "dense-1"] {
        check_stream(run, stream);
    }
    for position in (FIRST..=EVENTS).step_by(7).chain(89_950..90_050) {
        assert_eq!(run.record_at(position).unwrap(), Some(record(position)));
    }
    for position in (FIRST..=EVENTS).step_by(1_001) {
        let mut found = Vec::new();
        run.event_id(position.into(), &mut found).unwrap();
        assert!(
            found.contains(&position) && found.len() < 3,
            "{position}: {found:?}"
        );
    }
    check_criteria(run);
}

fn check_stream(run: &Run, stream: &str) {
    let all: Vec<u64> = (FIRST..=EVENTS)
        .filter(|n| stream_of(*n) == stream)
        .collect();
    let end = all.last().map(|position| StreamEnd {
        version: all.len() as u64,
        position: *position,
    });
    assert_eq!(run.stream_head(stream).unwrap(), end);
    for from in [1, 2, 1_000, 3_000, 70_000, 300_000, 399_999] {
        for limit in [1, 500, usize::MAX] {
            let start = all.len().min(from - 1);
            let mut found = Vec::new();
            let versions = from as u64..=u64::MAX;
            run.stream_positions(stream, versions, Direction::Forward, limit, &mut found)
                .unwrap();
            let end = all.len().min(start.saturating_add(limit));
            assert_eq!(found, all[start..end], "{stream} {from} {limit}");
            found.clear();
            let versions = 0..=from as u64;
            run.stream_positions(stream, versions, Direction::Backward, limit, &mut found)
                .unwrap();
            let end = all.len().min(from);
            let mut expected = all[end.saturating_sub(limit)..end].to_vec();
            expected.reverse();
            assert_eq!(found, expected, "{stream} {from} {limit} backward");
        }
    }
}

fn check_criteria(run: &Run) {
    let types = |names: &[&str]| {
        Criteria::of_types(names.iter().map(|name| EventType::parse(name).unwrap())).unwrap()
    };
    let tag = |stride: u64| Tag::from_parts("every", stride).unwrap();
    let chosen = types(&["tenth", "middle"])
        .tagged([tag(17), tag(2)])
        .unwrap();
    let chosen = chosen
        .or(&types(&["often"]).tagged([tag(5_000), tag(1)]).unwrap())
        .unwrap();
    for (from, to) in [(0, u64::MAX), (65_000, 135_000), (399_990, EVENTS)] {
        let found = matches(run, &chosen, from..=to).unwrap();
        let found: Vec<u64> = found
            .forward(0)
            .map(|ordinal| FIRST + u64::from(ordinal.unwrap()))
            .collect();
        let expected: Vec<u64> = (FIRST.max(from)..=EVENTS.min(to))
            .filter(|n| match type_of(*n) {
                "often" => n.is_multiple_of(5_000),
                _ => n.is_multiple_of(34),
            })
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn long_sets_are_read_from_anywhere() {
    check(&[EVENTS + 1]);
}

#[test]
fn long_sets_are_merged() {
    check(&[5, 60_000, 131_073, 300_000, EVENTS + 1]);
}
