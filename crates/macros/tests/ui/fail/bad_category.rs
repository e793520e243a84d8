use annals_macros::Event;

#[derive(Event)]
#[event(category = "bank-account")]
struct Dashed;

#[derive(Event)]
#[event(category = "")]
struct Empty;

#[derive(Event)]
#[event(category = "bank\naccount")]
struct Control;

fn main() {}
