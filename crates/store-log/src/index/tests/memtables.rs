//! Memtables against the model.

use proptest::prelude::*;

use super::model::{History, compare, steps};

proptest! {
    #[test]
    fn a_memtable_answers_as_the_model(
        steps in steps(300),
        cuts in prop::collection::vec(any::<usize>(), 0..3),
    ) {
        for (memtable, model) in History::new(&steps).pieces(&cuts) {
            prop_assert_eq!(compare(&memtable, &model), Ok(()));
        }
    }
}
