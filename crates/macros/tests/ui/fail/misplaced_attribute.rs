use annals_macros::Event;

#[derive(Event)]
#[event(category = "account", version = 2)]
enum AccountEvent {
    #[event(category = "account")]
    Opened {
        #[event(name = "account")]
        account_id: u64,
    },
}

#[derive(Event)]
#[event(category = "account", tag)]
struct Closed;

fn main() {}
