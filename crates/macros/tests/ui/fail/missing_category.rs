use annals_macros::Event;

#[derive(Event)]
enum AccountEvent {
    Opened,
}

#[derive(Event)]
#[event(name = "placed")]
struct OrderPlaced;

fn main() {}
