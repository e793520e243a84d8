use annals_macros::Event;

#[derive(Event)]
#[event(category = "account")]
enum AccountEvent {}

fn main() {}
