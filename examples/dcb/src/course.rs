//! Course subscriptions: a course has so many seats, a student takes so many courses. The rule crosses two
//! kinds of things, and no aggregate holds both.

use annals::prelude::*;
use annals::{Error, JsonCodec};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Made;

/// How many courses a student takes at most.
pub const COURSES_MAX: usize = 5;

// ANCHOR: events
/// What happens to courses and students.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "course")]
#[expect(missing_docs, reason = "the names say it")]
pub enum CourseEvent {
    CourseDefined {
        #[event(tag)]
        course: String,
        seats: usize,
    },
    SeatsChanged {
        #[event(tag)]
        course: String,
        seats: usize,
    },
    StudentSubscribed {
        #[event(tag)]
        student: String,
        #[event(tag)]
        course: String,
    },
}
// ANCHOR_END: events

// ANCHOR: seats
/// How many seats a course has; none before it is defined.
struct Seats<'a> {
    course: &'a str,
    seats: Option<usize>,
}

impl DecisionModel for Seats<'_> {
    type Event = CourseEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        let course = Tag::from_parts("course", self.course)?;
        Criteria::of_kinds::<CourseEvent>(["course-defined", "seats-changed"])?.tagged([course])
    }

    fn apply(&mut self, event: &CourseEvent) -> Result<(), Refusal> {
        if let CourseEvent::CourseDefined { seats, .. } | CourseEvent::SeatsChanged { seats, .. } =
            event
        {
            self.seats = Some(*seats);
        }
        Ok(())
    }
}
// ANCHOR_END: seats

// ANCHOR: subscriptions
/// How many subscriptions carry these tags: of a course, of a student, of a student to a course.
struct Subscriptions {
    tags: Vec<Tag>,
    count: usize,
}

impl DecisionModel for Subscriptions {
    type Event = CourseEvent;

    fn criteria(&self) -> Result<Criteria, Error> {
        Criteria::of_kinds::<CourseEvent>(["student-subscribed"])?.tagged(self.tags.clone())
    }

    fn apply(&mut self, _: &CourseEvent) -> Result<(), Refusal> {
        self.count += 1;
        Ok(())
    }
}
// ANCHOR_END: subscriptions

// ANCHOR: composed
/// What a subscription is decided on: the course, and the subscriptions of the course, of the student, and of
/// the student to the course.
type Subscribing<'a> = (Seats<'a>, Subscriptions, Subscriptions, Subscriptions);
// ANCHOR_END: composed

/// Why a command about courses is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CourseError {
    #[error("the course is there already")]
    AlreadyDefined,
    #[error("there is no such course")]
    NoSuchCourse,
    #[error("it has so many seats already")]
    NothingToChange,
    #[error("the course is full")]
    CourseFull,
    #[error("the student has the course already")]
    AlreadySubscribed,
    #[error("the student has {COURSES_MAX} courses, which is the most")]
    TooManyCourses,
}

/// The commands.
#[derive(Clone, Debug)]
pub struct Courses(Decisions<JsonCodec>);

impl Courses {
    /// Courses whose decisions are made here.
    pub fn new(decisions: Decisions<JsonCodec>) -> Self {
        Self(decisions)
    }

    /// Defines a course, once.
    pub async fn define(&self, course: &str, seats: usize) -> Made<CourseEvent, CourseError> {
        let define = |known: &Seats<'_>| match known.seats {
            Some(_) => Err(CourseError::AlreadyDefined),
            None => Ok(CourseEvent::CourseDefined {
                course: course.to_owned(),
                seats,
            }),
        };
        self.0.decide(of_course(course), define).await
    }

    /// Changes the number of seats; who has one keeps it.
    pub async fn change_seats(&self, course: &str, seats: usize) -> Made<CourseEvent, CourseError> {
        let change = |known: &Seats<'_>| match known.seats {
            None => Err(CourseError::NoSuchCourse),
            Some(known) if known == seats => Err(CourseError::NothingToChange),
            Some(_) => Ok(CourseEvent::SeatsChanged {
                course: course.to_owned(),
                seats,
            }),
        };
        self.0.decide(of_course(course), change).await
    }

    // ANCHOR: subscribe
    /// Subscribes a student to a course that has a seat left.
    pub async fn subscribe(&self, student: &str, course: &str) -> Made<CourseEvent, CourseError> {
        let student_tag = Tag::from_parts("student", student)?;
        let course_tag = Tag::from_parts("course", course)?;
        let boundary = (
            of_course(course),
            subscriptions([course_tag.clone()]),
            subscriptions([student_tag.clone()]),
            subscriptions([student_tag, course_tag]),
        );
        let subscribe = |(course_is, taken, courses, same): &Subscribing<'_>| {
            let seats = course_is.seats.ok_or(CourseError::NoSuchCourse)?;
            if same.count > 0 {
                return Err(CourseError::AlreadySubscribed);
            }
            if taken.count >= seats {
                return Err(CourseError::CourseFull);
            }
            if courses.count >= COURSES_MAX {
                return Err(CourseError::TooManyCourses);
            }
            Ok(CourseEvent::StudentSubscribed {
                student: student.to_owned(),
                course: course.to_owned(),
            })
        };
        self.0.decide(boundary, subscribe).await
    }
    // ANCHOR_END: subscribe
}

fn of_course(course: &str) -> Seats<'_> {
    let seats = None;
    Seats { course, seats }
}

fn subscriptions<const N: usize>(tags: [Tag; N]) -> Subscriptions {
    let tags = tags.into();
    Subscriptions { tags, count: 0 }
}
