use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    Opened,
    #[event(name = "opened")]
    Started,
    money_deposited,
    MoneyDeposited,
}

fn main() {}
