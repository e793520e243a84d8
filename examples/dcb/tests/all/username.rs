//! Unique username.

use dcb::username::{RESERVED_DAYS, UserError, Users};
use futures_executor::block_on;

use crate::race::{CLIENTS, assert_one_winner, count, fresh, race, refused};

#[test]
fn the_rules() {
    block_on(async {
        let users = Users::new(fresh());
        users.register("ada", 1).await.unwrap();
        assert_eq!(refused(users.register("ada", 1).await), UserError::Taken);
        assert_eq!(refused(users.close("ben", 1).await), UserError::NoSuchUser);
        assert_eq!(
            refused(users.rename("ben", "cleo", 1).await),
            UserError::NoSuchUser
        );

        users.rename("ada", "countess", 2).await.unwrap();
        assert_eq!(
            refused(users.register("countess", 2).await),
            UserError::Taken
        );
        let last_day = 2 + RESERVED_DAYS;
        assert_eq!(
            refused(users.register("ada", last_day).await),
            UserError::Reserved
        );
        users.register("ada", last_day + 1).await.unwrap();
        assert_eq!(
            refused(users.rename("countess", "ada", 9).await),
            UserError::Taken
        );

        users.close("countess", 9).await.unwrap();
        assert_eq!(
            refused(users.register("countess", 9).await),
            UserError::Reserved
        );
        users
            .register("countess", 10 + RESERVED_DAYS)
            .await
            .unwrap();
    });
}

#[test]
fn a_name_has_one_taker() {
    race(
        |_| (),
        |decisions, _| block_on(Users::new(decisions.clone()).register("ada", 1)),
        |race| {
            assert_one_winner(&race.answers, &UserError::Taken);
            assert_eq!(count(&race.events, "registered"), 1);
        },
    );
}

/// Who registers a name and who changes to it are in each other's way too.
#[test]
fn a_name_has_one_taker_whichever_way_it_is_taken() {
    race(
        |decisions| {
            let users = Users::new(decisions.clone());
            for number in 0..CLIENTS {
                block_on(users.register(&format!("user {number}"), 1)).unwrap();
            }
        },
        |decisions, number| {
            let users = Users::new(decisions.clone());
            if number % 2 == 0 {
                block_on(users.register("ada", 1))
            } else {
                block_on(users.rename(&format!("user {number}"), "ada", 1))
            }
        },
        |race| assert_one_winner(&race.answers, &UserError::Taken),
    );
}
