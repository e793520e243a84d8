//! Any store is the model: generated operations give the same answers, errors and conflicts included.
//! The case of each store of the workspace stands here; its backend crate runs the whole suite.

use std::sync::Arc;

use annals_conformance::{Stores, check_model};
use annals_store_memory::MemoryStore;

const CASES: u32 = 250;

#[test]
fn the_memory_store_is_the_model() {
    check_model(
        |clock| {
            let store = MemoryStore::builder().clock(Arc::new(clock)).build();
            Stores::complete(store).on_the_clock()
        },
        CASES,
    )
    .assert_passed();
}
