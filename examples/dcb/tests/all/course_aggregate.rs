//! Event-sourced aggregate.

use annals::{JsonCodec, Repository};
use dcb::course::CourseError;
use dcb::course_aggregate::{Course, CourseAggregates};
use futures_executor::block_on;

use crate::race::{assert_one_winner, fresh, race, refused};

/// A repository reads what decisions recorded, and the other way round.
#[test]
fn decisions_and_a_repository_share_a_course() {
    block_on(async {
        let decisions = fresh();
        let repository = Repository::<Course>::new(decisions.store().clone(), JsonCodec);
        let courses = CourseAggregates::new(decisions);
        let defined = courses.execute("rust", |course| course.define("rust", 2));
        defined.await.unwrap();
        let subscribed = repository.execute("rust", |course| course.subscribe("rust", "ada"));
        subscribed.await.unwrap();
        let subscribed = courses.execute("rust", |course| course.subscribe("rust", "ben"));
        subscribed.await.unwrap();

        let full = courses.execute("rust", |course| course.subscribe("rust", "cleo"));
        assert_eq!(refused(full.await), CourseError::CourseFull);
        let course = courses.course("rust").await.unwrap();
        assert_eq!(course.students(), ["ada", "ben"]);
        assert_eq!(repository.load("rust").await.unwrap().state(), &course);
    });
}

#[test]
fn the_last_seat_has_one_taker_by_either_way() {
    race(
        |decisions| {
            let courses = CourseAggregates::new(decisions.clone());
            let defined = courses.execute("rust", |course| course.define("rust", 1));
            drop(block_on(defined).unwrap());
        },
        |decisions, number| {
            let student = format!("student {number}");
            if number % 2 == 0 {
                let courses = CourseAggregates::new(decisions.clone());
                let taken = courses.execute("rust", |course| course.subscribe("rust", &student));
                return block_on(taken).map(drop);
            }
            let courses = Repository::<Course>::new(decisions.store().clone(), JsonCodec);
            let taken = courses.execute("rust", |course| course.subscribe("rust", &student));
            block_on(taken).map(drop)
        },
        |race| {
            assert_one_winner(&race.answers, &CourseError::CourseFull);
            let courses = CourseAggregates::new(race.decisions.clone());
            assert_eq!(
                block_on(courses.course("rust")).unwrap().students().len(),
                1
            );
        },
    );
}
