//! Which locations are archives in object stores, and what is said of the others.

use std::sync::Arc;

use annals_archive_object::ObjectArchives;
use annals_log::{Archives, Error, ErrorKind, OpenArchive, Parts};

use crate::SEGMENT_BYTES;
use crate::support::{Written, check, limits, memory, parts};

/// Why the first record can't be read.
fn first_record(it: &Written) -> Error {
    let (view, mut scratch) = (it.log.view(), Vec::new());
    let read = view.record(it.records[0].0, &mut scratch);
    read.map(drop).unwrap_err()
}

#[test]
fn a_location_is_opened_by_who_knows_it() {
    let archives = ObjectArchives::default().store("test://cold", memory());
    for known in ["test://cold", "test://cold/", "test://cold/a/b"] {
        assert!(archives.open_archive(known, "folder").unwrap().is_ok());
    }
    for other in [
        "/mnt/cold",
        "cold",
        "test://colder",
        "file:///mnt/cold",
        "tape://1",
    ] {
        assert!(archives.open_archive(other, "folder").is_none(), "{other}");
    }
    let refused = |location: &str| {
        let opened = archives.open_archive(location, "folder").unwrap();
        opened.unwrap_err().to_string()
    };
    assert!(refused("memory:///cold").contains("gone with the process"));
    assert!(refused("s3://").contains("no URL of an object store"));
}

#[cfg(not(any(feature = "aws", feature = "gcp", feature = "azure", feature = "http")))]
#[test]
fn a_store_that_is_not_built_in_names_its_feature() {
    let archives = ObjectArchives::default();
    for (location, feature) in [
        ("s3://bucket/cold", "`aws`"),
        ("https://bucket.s3.eu-west-1.amazonaws.com/cold", "`aws`"),
        ("gs://bucket/cold", "`gcp`"),
        ("az://container/cold", "`azure`"),
        ("https://example.com/cold", "`http`"),
    ] {
        let opened = archives.open_archive(location, "folder").unwrap();
        let said = opened.unwrap_err().to_string();
        assert!(said.contains(feature), "{said}");
    }
}

#[cfg(all(feature = "aws", feature = "gcp", feature = "azure", feature = "http"))]
#[test]
fn every_kind_of_store_is_opened_by_its_url_without_asking_it() {
    let archives = ObjectArchives::default()
        .option("AWS_REGION", "eu-west-1")
        .option("AZURE_STORAGE_ACCOUNT_NAME", "shop")
        .option("azure_storage_account_key", "c2VjcmV0");
    for location in [
        "s3://bucket/cold",
        "https://bucket.s3.eu-west-1.amazonaws.com/cold",
        "az://container/cold",
        "https://example.com/cold",
    ] {
        let opened = archives.open_archive(location, "folder").unwrap();
        assert!(opened.is_ok(), "{location}: {opened:?}");
    }
    let said = format!("{archives:?}");
    assert!(!said.contains("c2VjcmV0"), "{said}");
}

#[test]
fn a_url_with_keys_in_it_is_refused_and_not_repeated() {
    let parts = parts(memory(), limits());
    let mut it = Written::new(&parts, SEGMENT_BYTES, 3);
    for location in [
        "test://user:secret@cold/shop",
        "test://cold/shop?token=secret",
        "test://cold/shop#secret",
        "test://user:sec/secret@cold/shop",
    ] {
        let error = it.archive_to(1, location).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let said = format!("{error} {error:?}");
        assert!(
            !said.contains("secret") && said.contains("give keys"),
            "{said}"
        );
    }
    // Nor is the place that an archive was moved to.
    it.archive(1).unwrap();
    let moved = Archives::default().moved(crate::support::COLD, "test://user:secret@cold/shop");
    let parts = Parts {
        archives: moved,
        ..Parts::os()
    };
    let it = it.reopened(&parts, SEGMENT_BYTES);
    let error = first_record(&it);
    let said = format!("{error} {error:?}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn another_place_is_out_of_reach_and_not_damage() {
    let store = memory();
    let opened = |store| {
        let archives = ObjectArchives::default()
            .store("test://cold", store)
            .store("test://elsewhere", memory())
            .settings(limits());
        Archives::default().opened_by(Arc::new(archives))
    };
    let parts = |archives| Parts {
        archives,
        ..Parts::os()
    };
    let at_home = parts(opened(Arc::clone(&store)));
    let mut it = Written::new(&at_home, SEGMENT_BYTES, 3);
    it.archive(1).unwrap();
    let moved = opened(Arc::clone(&store)).moved(crate::support::COLD, "test://elsewhere");
    let it = it.reopened(&parts(moved), SEGMENT_BYTES);
    let error = first_record(&it);
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let it = it.reopened(&at_home, SEGMENT_BYTES);
    check(&it.log.view(), &it.records);

    // It was moved indeed.
    let there = ObjectArchives::default().store("test://new", store);
    let archives = Archives::default().opened_by(Arc::new(there));
    let moved = archives.moved(crate::support::COLD, "test://new/shop");
    let it = it.reopened(&parts(moved), SEGMENT_BYTES);
    check(&it.log.view(), &it.records);
}
