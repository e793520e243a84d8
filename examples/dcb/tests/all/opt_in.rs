//! Opt-in token.

use dcb::opt_in::{SignUpError, SignUps, TOKEN_MINUTES};
use futures_executor::block_on;

use crate::race::{assert_one_winner, count, fresh, race, refused};

const ADA: &str = "ada@example.org";

#[test]
fn the_rules() {
    block_on(async {
        let sign_ups = SignUps::new(fresh());
        sign_ups.request(ADA, "1234", 0).await.unwrap();
        for (email, token) in [(ADA, "4321"), ("ben@example.org", "1234")] {
            let confirmed = sign_ups.confirm(email, token, 1).await;
            assert_eq!(refused(confirmed), SignUpError::NoSuchToken);
        }
        let late = sign_ups.confirm(ADA, "1234", TOKEN_MINUTES + 1).await;
        assert_eq!(refused(late), SignUpError::Expired);
        sign_ups.confirm(ADA, "1234", TOKEN_MINUTES).await.unwrap();
        let again = sign_ups.confirm(ADA, "1234", TOKEN_MINUTES).await;
        assert_eq!(refused(again), SignUpError::Used);
    });
}

#[test]
fn a_token_is_used_once() {
    race(
        |decisions| {
            let sign_ups = SignUps::new(decisions.clone());
            drop(block_on(sign_ups.request(ADA, "1234", 0)).unwrap());
        },
        |decisions, _| block_on(SignUps::new(decisions.clone()).confirm(ADA, "1234", 5)),
        |race| {
            assert_one_winner(&race.answers, &SignUpError::Used);
            assert_eq!(count(&race.events, "sign-up-confirmed"), 1);
        },
    );
}
