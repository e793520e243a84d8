use annals_macros::Event;

#[derive(Event)]
#[event(catgory = "account")]
enum AccountEvent {
    #[event(rename = "account-opened")]
    Opened {
        #[event(tags)]
        account_id: u64,
    },
}

fn main() {}
