//! A server that speaks the protocol of Amazon S3: that of `ANNALS_TEST_S3_URL`, as `s3://bucket/prefix`, with what the
//! variables `AWS_` say. Without it nothing is tested here, as is said.

use std::sync::Arc;

use annals_archive_object::{ObjectArchives, Settings, object_store};
use annals_log::{Archives, ErrorKind, Parts, verify};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::support::{Written, check, names_under, on_a_runtime};

#[test]
fn a_server_that_speaks_s3_keeps_segments_whole_and_parts_apart() {
    let Ok(url) = std::env::var("ANNALS_TEST_S3_URL") else {
        eprintln!("skipped: name a bucket in ANNALS_TEST_S3_URL, as s3://bucket/prefix");
        return;
    };
    let mut limits = Settings::default();
    // The least that a part may have.
    limits.part_bytes = 5 * 1024 * 1024;
    let objects = ObjectArchives::from_env().settings(limits);
    let parts = Parts {
        archives: Archives::default().opened_by(Arc::new(objects)),
        ..Parts::os()
    };
    for segment_bytes in [64 * 1024, 16 * 1024 * 1024] {
        let mut it = Written::new(&parts, segment_bytes, 2);
        it.compress(1);
        it.archive_to(1, &url).unwrap();
        check(&it.log.view(), &it.records);

        // Somebody else's object under the name of the next one.
        let store = AmazonS3Builder::from_env().with_url(&url).build().unwrap();
        let store = Arc::new(store) as Arc<dyn ObjectStore>;
        let log = it.log.view().log_id().to_string();
        let first = names_under(&store, &log).pop().unwrap();
        let (folder, _) = first.as_ref().rsplit_once('/').unwrap();
        let second = Path::parse(folder)
            .unwrap()
            .join("00000000000000000002.segment");
        let (theirs, put) = (second.clone(), Arc::clone(&store));
        on_a_runtime(async move { put.put(&theirs, "theirs".into()).await.unwrap() });
        let error = it.archive_to(2, &url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let (theirs, removed) = (second, Arc::clone(&store));
        on_a_runtime(async move { removed.delete(&theirs).await.unwrap() });

        it.archive_to(2, &url).unwrap();
        check(&it.log.view(), &it.records);
        assert!(verify(&parts, &it.path, &mut |_| {}).unwrap().is_whole());
        let mut it = it.reopened(&parts, segment_bytes);
        check(&it.log.view(), &it.records);
        it.restore(2).unwrap();
        it.restore(1).unwrap();
        check(&it.log.view(), &it.records);
        assert!(names_under(&store, &log).is_empty());
    }
}

#[test]
fn a_bucket_that_is_not_there_is_out_of_reach() {
    let Ok(url) = std::env::var("ANNALS_TEST_S3_URL") else {
        eprintln!("skipped: name a bucket in ANNALS_TEST_S3_URL, as s3://bucket/prefix");
        return;
    };
    let objects = || Archives::default().opened_by(Arc::new(ObjectArchives::from_env()));
    let parts = |archives| Parts {
        archives,
        ..Parts::os()
    };
    let home = parts(objects());
    let mut it = Written::new(&home, 64 * 1024, 2);
    let nowhere = "s3://annals-no-such-bucket/cold";
    let error = it.archive_to(1, nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    it.archive_to(1, &url).unwrap();
    let moved = parts(objects().moved(url, nowhere));
    let it = it.reopened(&moved, 64 * 1024);
    let (view, mut scratch) = (it.log.view(), Vec::new());
    let read = view.record(it.records[0].0, &mut scratch);
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Io);
    let mut it = it.reopened(&home, 64 * 1024);
    it.restore(1).unwrap();
    check(&it.log.view(), &it.records);
}
