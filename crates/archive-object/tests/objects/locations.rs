//! Which locations are archives in object stores, and what is said of the others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use annals_archive_object::{ObjectArchives, Settings};
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
        "test://secret@cold/shop",
        "test://user%3Asecret@cold/shop",
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

#[test]
fn settings_by_which_nothing_could_be_done_are_refused() {
    for name in ["part_bytes", "attempts_max", "attempt_timeout"] {
        let mut settings = Settings::default();
        match name {
            "part_bytes" => settings.part_bytes = 0,
            "attempts_max" => settings.attempts_max = 0,
            _ => settings.attempt_timeout = Duration::ZERO,
        }
        let archives = ObjectArchives::default()
            .store("test://cold", memory())
            .settings(settings);
        assert!(archives.open_archive("/mnt/cold", "folder").is_none());
        let opened = archives.open_archive("test://cold", "folder").unwrap();
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// What is said where the archive is asked for its names.
#[cfg(feature = "aws")]
fn said(archives: ObjectArchives) -> String {
    let mut settings = Settings::default();
    settings.attempts_max = 1;
    settings.attempt_timeout = Duration::from_secs(2);
    let archives = archives.settings(settings);
    let opened = archives.open_archive("s3://bucket/cold", "folder").unwrap();
    opened.unwrap().names().unwrap_err().to_string()
}

/// Where somebody listens who never answers.
#[cfg(feature = "aws")]
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[cfg(feature = "aws")]
#[test]
fn who_gives_no_keys_is_told_so() {
    let (_listener, url) = silent();
    let archives = ObjectArchives::default()
        .option("aws_region", "eu-west-1")
        .option("aws_metadata_endpoint", url);
    let said = said(archives);
    assert!(said.starts_with("no keys were given"), "{said}");
    assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
}

#[cfg(feature = "aws")]
#[test]
fn a_server_that_does_not_answer_is_told_by_the_store_itself() {
    let (_listener, url) = silent();
    let archives = ObjectArchives::default()
        .option("aws_region", "eu-west-1")
        .option("aws_access_key_id", "id")
        .option("aws_secret_access_key", "key")
        .option("aws_allow_http", "true")
        .option("aws_endpoint", url.clone());
    let said = said(archives);
    assert!(said.contains("AWS_ENDPOINT"), "{said}");
    // And why, which who only waits does not know.
    assert!(said.contains(&url), "{said}");
}
