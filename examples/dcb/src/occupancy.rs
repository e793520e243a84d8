//! A read model beside the decisions: how full the courses are, and what each student takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use annals::{
    Error, EventStore, JsonCodec, MemorySink, MemoryView, Processor, ProcessorHandle, Projection,
    ReadModel, Receipt,
};

use crate::course::CourseEvent;

/// Under which the projection goes.
const NAME: &str = "occupancy";

/// How full the courses are, and what each student takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// By the names of the courses.
    pub courses: BTreeMap<String, Places>,
    /// The courses of each student.
    pub students: BTreeMap<String, BTreeSet<String>>,
}

/// The seats of a course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Places {
    pub seats: usize,
    pub taken: usize,
}

/// Keeps the read model current.
#[derive(Debug)]
pub struct OccupancyBoard {
    view: MemoryView<Occupancy>,
    processor: ProcessorHandle,
}

// ANCHOR: projection
/// The projection: every event of the courses, whichever rule it was decided by.
///
/// # Errors
/// None.
pub fn occupancy() -> Result<Projection<Occupancy>, Error> {
    Projection::<Occupancy>::builder(NAME, 1)?
        .on(JsonCodec, |occupancy, event: &CourseEvent, _| {
            occupancy.take(event);
            Ok(())
        })
        .build()
}
// ANCHOR_END: projection

impl Occupancy {
    fn take(&mut self, event: &CourseEvent) {
        match event {
            CourseEvent::CourseDefined { course, seats }
            | CourseEvent::SeatsChanged { course, seats } => {
                self.courses.entry(course.clone()).or_default().seats = *seats;
            }
            CourseEvent::StudentSubscribed { student, course } => {
                self.courses.entry(course.clone()).or_default().taken += 1;
                let courses = self.students.entry(student.clone()).or_default();
                courses.insert(course.clone());
            }
        }
    }
}

impl OccupancyBoard {
    // ANCHOR: start
    /// Begins to show what is in this store, and what comes.
    ///
    /// # Errors
    /// None.
    pub fn start(store: Arc<dyn EventStore>) -> Result<Self, Error> {
        let sink = MemorySink::new(Occupancy::default());
        let view = sink.view();
        let processor = Processor::builder(store)
            .project(occupancy()?, sink)
            .build()?;
        let processor = processor.start();
        Ok(Self { view, processor })
    }
    // ANCHOR_END: start

    /// What is shown now; it may be behind the store by a moment.
    pub fn look(&self) -> ReadModel<Occupancy> {
        self.view.read()
    }

    /// What is shown once this append is in it: for who wants to see what they just did.
    ///
    /// # Errors
    /// When the board stops before.
    pub async fn look_after(&self, receipt: &Receipt) -> Result<ReadModel<Occupancy>, Error> {
        self.processor.wait_for(NAME, receipt).await?;
        Ok(self.look())
    }

    /// Stops to follow the store.
    pub async fn stop(self) {
        self.processor.stop().await;
    }
}
