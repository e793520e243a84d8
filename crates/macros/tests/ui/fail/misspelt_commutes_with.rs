use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {
    #[event(commutes_with("deposited", "withdrawm"))]
    Deposited { cents: u64 },
    #[event(commutes_with = "Deposited")]
    Withdrawn { cents: u64 },
}

fn main() {}
