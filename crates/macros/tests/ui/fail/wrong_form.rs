use annals_macros::Event;

#[derive(Event)]
#[event]
struct Bare;

#[derive(Event)]
#[event = "account"]
struct Value;

#[derive(Event)]
#[event(category = account)]
struct Unquoted;

#[derive(Event)]
#[event(category("account"))]
struct Parenthesised;

#[derive(Event)]
#[event(category = "account", crate = "annals core")]
struct NoPath;

#[derive(Event)]
#[event(category = "account" name = "opened")]
struct NoComma;

fn main() {}
