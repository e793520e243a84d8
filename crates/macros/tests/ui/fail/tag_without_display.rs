use annals_macros::Event;

struct StudentId(u64);

#[derive(Event)]
#[event(category = "course")]
struct Enrolled {
    #[event(tag)]
    student_id: StudentId,
}

fn main() {}
