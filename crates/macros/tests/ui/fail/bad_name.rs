use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    #[event(name = "")]
    Opened,
    #[event(name = "account\tclosed")]
    Closed,
    __,
}

fn main() {}
