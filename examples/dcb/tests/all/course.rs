//! Course subscriptions.

use dcb::course::{COURSES_MAX, CourseError, Courses};
use futures_executor::block_on;

use crate::race::{CLIENTS, assert_one_winner, count, fresh, race, refused};

#[test]
fn the_rules() {
    block_on(async {
        let courses = Courses::new(fresh());
        let subscribed = courses.subscribe("ada", "rust").await;
        assert_eq!(refused(subscribed), CourseError::NoSuchCourse);
        courses.define("rust", 1).await.unwrap();
        let defined = courses.define("rust", 9).await;
        assert_eq!(refused(defined), CourseError::AlreadyDefined);

        courses.subscribe("ada", "rust").await.unwrap();
        let again = courses.subscribe("ada", "rust").await;
        assert_eq!(refused(again), CourseError::AlreadySubscribed);
        let full = courses.subscribe("ben", "rust").await;
        assert_eq!(refused(full), CourseError::CourseFull);
        let same = courses.change_seats("rust", 1).await;
        assert_eq!(refused(same), CourseError::NothingToChange);
        courses.change_seats("rust", 2).await.unwrap();
        courses.subscribe("ben", "rust").await.unwrap();

        for number in 1..=COURSES_MAX {
            let course = format!("course {number}");
            courses.define(&course, 9).await.unwrap();
            let subscribed = courses.subscribe("ada", &course).await;
            if number < COURSES_MAX {
                subscribed.unwrap();
            } else {
                assert_eq!(refused(subscribed), CourseError::TooManyCourses);
            }
        }
    });
}

#[test]
fn the_last_seat_has_one_taker() {
    race(
        |decisions| drop(block_on(Courses::new(decisions.clone()).define("rust", 1)).unwrap()),
        |decisions, number| {
            let courses = Courses::new(decisions.clone());
            block_on(courses.subscribe(&format!("student {number}"), "rust"))
        },
        |race| {
            assert_one_winner(&race.answers, &CourseError::CourseFull);
            assert_eq!(count(&race.events, "student-subscribed"), 1);
        },
    );
}

#[test]
fn seats_are_never_exceeded_and_none_is_left_over() {
    const SEATS: usize = 5;
    race(
        |decisions| drop(block_on(Courses::new(decisions.clone()).define("rust", SEATS)).unwrap()),
        |decisions, number| {
            let courses = Courses::new(decisions.clone());
            block_on(courses.subscribe(&format!("student {number}"), "rust")).is_ok()
        },
        |race| {
            let subscribed = race.answers.iter().filter(|is_ok| **is_ok).count();
            assert_eq!(subscribed, SEATS);
            assert_eq!(count(&race.events, "student-subscribed"), SEATS);
        },
    );
}

/// The other half of the rule: one student, many courses.
#[test]
fn a_student_never_has_too_many_courses() {
    race(
        |decisions| {
            let courses = Courses::new(decisions.clone());
            for number in 0..CLIENTS {
                block_on(courses.define(&format!("course {number}"), 9)).unwrap();
            }
        },
        |decisions, number| {
            let courses = Courses::new(decisions.clone());
            block_on(courses.subscribe("ada", &format!("course {number}"))).is_ok()
        },
        |race| {
            let subscribed = race.answers.iter().filter(|is_ok| **is_ok).count();
            assert_eq!(subscribed, COURSES_MAX);
            assert_eq!(count(&race.events, "student-subscribed"), COURSES_MAX);
        },
    );
}

/// Others' courses and others' students are not in the way: nobody has to decide twice.
#[test]
fn who_shares_nothing_does_not_meet() {
    race(
        |decisions| {
            let courses = Courses::new(decisions.clone());
            for number in 0..CLIENTS {
                block_on(courses.define(&format!("course {number}"), 1)).unwrap();
            }
        },
        |decisions, number| {
            let courses = Courses::new(decisions.clone());
            let (student, course) = (format!("student {number}"), format!("course {number}"));
            block_on(courses.subscribe(&student, &course))
                .unwrap()
                .attempts
        },
        |race| assert_eq!(race.answers, [1; CLIENTS]),
    );
}
