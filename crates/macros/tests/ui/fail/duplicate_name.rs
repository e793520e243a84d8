use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    Opened,
    #[event(name = "opened")]
    Started,
    #[allow(non_camel_case_types)]
    money_deposited,
    MoneyDeposited,
}

fn main() {}
