use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
#[event(rename_all = "PascalCase", category = "bank")]
enum AccountEvent {
    #[event(version = 1, version = 2)]
    Opened,
}

fn main() {}
