use annals_macros::Event;

#[derive(Event)]
#[event(category = "account", rename_all = "camelCase")]
enum AccountEvent {
    Opened,
}

fn main() {}
