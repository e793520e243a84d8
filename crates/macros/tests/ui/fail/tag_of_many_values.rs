use annals_macros::Event;

#[derive(Event)]
#[event(category = "course")]
struct Enrolled {
    #[event(tag = "student")]
    students: Vec<u64>,
    #[event(tag)]
    teachers: Option<[u64; 2]>,
}

fn main() {}
