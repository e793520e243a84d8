use annals_macros::Event;

#[derive(Event)]
#[event(category = "course")]
enum CourseEvent {
    Enrolled(#[event(tag)] u64),
    Renamed {
        #[event(tag = "course:id")]
        course_id: u64,
    },
    Moved {
        #[event(tag = "")]
        course_id: u64,
    },
    Closed {
        #[event(tag("course"))]
        course_id: u64,
    },
}

fn main() {}
