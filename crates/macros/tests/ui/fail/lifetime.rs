use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
struct Opened<'a> {
    owner: &'a str,
}

fn main() {}
