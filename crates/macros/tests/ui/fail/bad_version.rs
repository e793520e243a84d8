use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    #[event(version = 0)]
    Zero,
    #[event(version = 4294967296)]
    TooLarge,
    #[event(version = -1)]
    Negative,
    #[event(version = "2")]
    Text,
    #[event(version)]
    Absent,
}

fn main() {}
