//! Event-sourced aggregate: the classic pattern as the special case whose boundary is one thing, with all
//! of its events. Nothing is lost by deciding: each course has its own stream, which a repository reads.

use annals::prelude::*;
use annals::{Error, JsonCodec, Selected};

use crate::Made;
use crate::course::{CourseError, CourseEvent};

// ANCHOR: aggregate
/// A course with its seats and subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    seats: Option<usize>,
    students: Vec<String>,
}

impl Aggregate for Course {
    type Event = CourseEvent;

    fn apply(&mut self, event: &CourseEvent) -> Result<(), Refusal> {
        match event {
            CourseEvent::CourseDefined { seats, .. } | CourseEvent::SeatsChanged { seats, .. } => {
                self.seats = Some(*seats);
            }
            CourseEvent::StudentSubscribed { student, .. } => self.students.push(student.clone()),
        }
        Ok(())
    }
}
// ANCHOR_END: aggregate

impl Course {
    /// The students, in the order in which they came.
    pub fn students(&self) -> &[String] {
        &self.students
    }

    /// Defines the course, once.
    pub fn define(&self, course: &str, seats: usize) -> Result<CourseEvent, CourseError> {
        match self.seats {
            Some(_) => Err(CourseError::AlreadyDefined),
            None => Ok(CourseEvent::CourseDefined {
                course: course.to_owned(),
                seats,
            }),
        }
    }

    /// Subscribes a student, if there is a seat left.
    pub fn subscribe(&self, course: &str, student: &str) -> Result<CourseEvent, CourseError> {
        let seats = self.seats.ok_or(CourseError::NoSuchCourse)?;
        if self.students.iter().any(|present| present == student) {
            return Err(CourseError::AlreadySubscribed);
        }
        if self.students.len() >= seats {
            return Err(CourseError::CourseFull);
        }
        Ok(CourseEvent::StudentSubscribed {
            student: student.to_owned(),
            course: course.to_owned(),
        })
    }
}

/// Courses as aggregates, by decisions.
#[derive(Clone, Debug)]
pub struct CourseAggregates(Decisions<JsonCodec>);

impl CourseAggregates {
    /// Courses whose decisions are made here.
    pub fn new(decisions: Decisions<JsonCodec>) -> Self {
        Self(decisions)
    }

    // ANCHOR: execute
    /// Executes a command on a course: reads all of its events, and keeps the new ones in its own stream.
    pub async fn execute(
        &self,
        course: &str,
        command: impl FnMut(&Selected<Course>) -> Result<CourseEvent, CourseError>,
    ) -> Made<CourseEvent, CourseError> {
        let stream = StreamId::new(&CourseEvent::CATEGORY, course)?;
        let decisions = self.0.clone().with_stream(stream);
        decisions.decide(all_of(course)?, command).await
    }
    // ANCHOR_END: execute

    /// A course as it is.
    pub async fn course(&self, course: &str) -> Result<Course, Error> {
        let informed = self.0.read(all_of(course)?).await?;
        Ok(informed.decision.state().clone())
    }
}

// ANCHOR: all_of
fn all_of(course: &str) -> Result<Selected<Course>, Error> {
    let course = Tag::from_parts("course", course)?;
    let all = Criteria::of_event::<CourseEvent>()?.tagged([course])?;
    Ok(Selected::new(all))
}
// ANCHOR_END: all_of
