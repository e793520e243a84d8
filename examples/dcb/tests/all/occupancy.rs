//! What the read model of the courses shows.

use std::collections::BTreeSet;
use std::sync::Arc;

use annals::{Decisions, JsonCodec, MemoryStore};
use dcb::course::{COURSES_MAX, Courses};
use dcb::occupancy::{OccupancyBoard, Places};
use futures_executor::block_on;

#[test]
fn it_shows_what_was_decided() {
    let store = Arc::new(MemoryStore::new());
    let courses = Courses::new(Decisions::new(store.clone(), JsonCodec));
    block_on(async {
        courses.define("rust", 2).await.unwrap();
        courses.subscribe("ada", "rust").await.unwrap();
        let board = OccupancyBoard::start(store).unwrap();
        courses.subscribe("ben", "rust").await.unwrap();
        courses.subscribe("cleo", "rust").await.unwrap_err();
        let more = courses.change_seats("rust", 3).await.unwrap();
        let shown = board.look_after(&more.receipt.unwrap()).await.unwrap();
        assert_eq!(shown.courses["rust"], Places { seats: 3, taken: 2 });
        assert!(shown.students["ben"].contains("rust") && !shown.students.contains_key("cleo"));
        board.stop().await;
    });
}

#[test]
fn under_load_it_never_shows_more_than_the_rules_allow() {
    let store = Arc::new(MemoryStore::new());
    let courses = Courses::new(Decisions::new(store.clone(), JsonCodec));
    let board = OccupancyBoard::start(store).unwrap();
    for course in 0..8 {
        block_on(courses.define(&course.to_string(), 3)).unwrap();
    }
    std::thread::scope(|scope| {
        for student in 0..6 {
            let courses = &courses;
            scope.spawn(move || {
                for course in 0..8 {
                    let (student, course) = (student.to_string(), course.to_string());
                    // Refused where the course is full, or the student has enough.
                    let _ = block_on(courses.subscribe(&student, &course));
                }
            });
        }
        for _ in 0..200 {
            let shown = board.look();
            assert!(
                shown
                    .courses
                    .values()
                    .all(|course| course.taken <= course.seats)
            );
            assert!(
                shown
                    .students
                    .values()
                    .all(|courses| courses.len() <= COURSES_MAX)
            );
        }
    });
    let last = block_on(courses.define("last", 1)).unwrap();
    let shown = block_on(board.look_after(&last.receipt.unwrap())).unwrap();
    let taken: usize = shown.courses.values().map(|course| course.taken).sum();
    let courses: usize = shown.students.values().map(BTreeSet::len).sum();
    assert!(
        taken > 0 && taken == courses,
        "{taken} seats of {courses} courses"
    );
    block_on(board.stop());
}
