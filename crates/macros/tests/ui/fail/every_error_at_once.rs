use annals_macros::Event;

#[derive(Event)]
#[event(rename_all = "PascalCase")]
enum AccountEvent<'a> {
    #[event(version = 0)]
    Opened(&'a str),
    #[event(name = "Opened")]
    Started {
        #[event(tg)]
        account_id: u64,
    },
}

fn main() {}
