use annals_macros::Event;

#[derive(Event)]
union AccountEvent {
    opened: u64,
    closed: u64,
}

fn main() {}
