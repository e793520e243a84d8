//! What a crash does to the bytes and the length of a file.

use super::*;

/// A sector of one byte.
fn sector(byte: u8) -> Vec<u8> {
    vec![byte; 512]
}

#[test]
fn what_is_synced_stays_and_what_is_not_may_go() {
    let (fs, file) = with_a(b"old");
    write(&file, b"new", 0);
    assert_eq!(read(&file), b"new");
    let either = BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]);
    assert_eq!(every(&fs, A), either);
    assert!(crashes(&fs, A).is_superset(&either));
    file.sync_data().expect("honest");
    assert_eq!(crashes(&fs, A), BTreeSet::from([Some(b"new".to_vec())]));
    assert_eq!(every(&fs, A).len(), 1);
    assert!(fs.is_settled());
}

#[test]
fn each_sector_goes_its_own_way() {
    let (fs, file) = with_a(&[sector(1), sector(2), sector(3)].concat());
    write(&file, &[sector(7), sector(8), sector(9)].concat(), 0);
    let mut expected = BTreeSet::new();
    for choice in 0..8_u8 {
        let pick = |bit: u8| sector(bit + if choice & (1 << bit) == 0 { 1 } else { 7 });
        expected.insert(Some([pick(0), pick(1), pick(2)].concat()));
    }
    assert_eq!(every(&fs, A), expected);
    assert_eq!(fs.every_crash(8).expect("exactly").images_max(), 8);
    assert!(crashes(&fs, A).is_superset(&expected));
}

#[test]
fn a_sector_is_written_with_all_that_it_had() {
    let (fs, file) = with_a(b"....");
    write(&file, b"A", 0);
    write(&file, b"B", 1);
    let legal = [&b"...."[..], b"A...", b"AB.."].map(|bytes| Some(bytes.to_vec()));
    assert_eq!(every(&fs, A), BTreeSet::from(legal.clone()));
    let drawn: BTreeSet<_> = (0..500)
        .map(|seed| fs.crash_with(seed, Garbage::Never).disk().read(A).ok())
        .collect();
    assert_eq!(drawn, BTreeSet::from(legal));
}

#[test]
fn of_bytes_that_are_written_again_and_again_the_last_contents_are_kept() {
    let (fs, file) = with_a(&[100; 600]);
    for byte in 0..50 {
        // The sector's other bytes are written once each, and stay what they became.
        write(&file, &[byte], 100 + u64::from(byte));
        write(&file, &[byte], 0);
        write(&file, &[byte], 599);
    }
    let found: BTreeSet<(u8, u8)> = every(&fs, A)
        .into_iter()
        .map(|image| image.expect("there"))
        .map(|image| {
            let bytes = image.iter().skip(100).take(50);
            let written = bytes.take_while(|byte| **byte != 100).count();
            assert!(written <= 50 && usize::from(image[0]) <= 100);
            assert!(
                image[0] == 100 || usize::from(image[0]) <= written,
                "in order"
            );
            (image[0], image[599])
        })
        .collect();
    let last: BTreeSet<u8> = found.iter().map(|(_, last)| *last).collect();
    assert_eq!(last, (42..50).chain([100]).collect());
    file.sync_data().expect("honest");
    let after = fs.crash(1).disk().read(A).expect("there");
    assert_eq!(after, fs.disk().read(A).expect("there"));
    assert_eq!((after[0], after[149], after[599]), (49, 49, 49));
}

#[test]
fn more_images_than_asked_for_are_refused() {
    let (fs, file) = with_a(&[0; 4096]);
    write(&file, &[1; 4096], 0);
    let refused = fs.every_crash(255).expect_err("2^8 images");
    assert_eq!(refused, TooManyCrashes { images_max: 256 });
    assert_eq!(fs.every_crash(256).expect("enough").count(), 256);
}

#[test]
fn a_length_is_old_new_or_between() {
    let (fs, file) = with_a(&[1; 100]);
    file.set_length(5000).expect("room");
    let lengths = |images: BTreeSet<Option<Vec<u8>>>| -> BTreeSet<usize> {
        let images = images.into_iter().map(|image| image.expect("there"));
        images.map(|image| image.len()).collect()
    };
    assert_eq!(lengths(every(&fs, A)), BTreeSet::from([100, 2560, 5000]));
    let drawn = lengths(crashes(&fs, A));
    assert!(drawn.contains(&100) && drawn.contains(&5000));
    assert!(drawn.len() > 20, "{drawn:?}");
    assert!(drawn.iter().all(|length| (100..=5000).contains(length)));
    file.sync_data().expect("honest");
    assert_eq!(lengths(crashes(&fs, A)), BTreeSet::from([5000]));
}

#[test]
fn appended_bytes_and_their_length_part() {
    let (fs, file) = with_a(b"");
    write(&file, &[7; 1024], 0);
    let found = every(&fs, A);
    for expected in [
        vec![],
        vec![0; 1024],
        vec![7; 512],
        [sector(0), sector(7)].concat(),
    ] {
        assert!(found.contains(&Some(expected)));
    }
    // What was written beyond the length that the disk knows is not found later.
    for after in fs.every_crash(1 << 10).expect("few") {
        let length = after.disk().length(A).expect("there");
        after.disk().set_length(A, 2048).expect("there");
        let bytes = after.disk().read(A).expect("there");
        let beyond = bytes.iter().skip(usize::try_from(length).expect("small"));
        assert!(beyond.copied().all(|byte| byte == 0));
    }
}

#[test]
fn a_cut_is_pending_too() {
    let (fs, file) = with_a(&[1; 1024]);
    file.set_length(512).expect("room");
    assert!(crashes(&fs, A).contains(&Some(vec![1; 1024])));
    write(&file, &[2; 512], 512);
    let found = every(&fs, A);
    assert!(found.contains(&Some(vec![1; 1024])));
    assert!(found.contains(&Some([sector(1), sector(0)].concat())));
    assert!(found.contains(&Some([sector(1), sector(2)].concat())));
    file.sync_all().expect("honest");
    let durable = [sector(1), sector(2)].concat();
    assert_eq!(every(&fs, A), BTreeSet::from([Some(durable.clone())]));
    assert_eq!(fs.disk().read_durable(A).expect("there"), durable);
}

#[test]
fn bytes_behind_a_cut_are_not_found_without_it() {
    let (fs, file) = with_a(&[1; 1024]);
    file.set_length(0).expect("room");
    write(&file, &[2; 512], 0);
    let found = every(&fs, A);
    let legal = [
        vec![1; 1024],
        // On the way to a cut.
        vec![1; 512],
        vec![],
        vec![0; 512],
        vec![2; 512],
    ];
    assert_eq!(found, legal.into_iter().map(Some).collect());
}

#[test]
fn zeros_in_a_hole_are_no_choice() {
    let (fs, file) = with_a(b"");
    write(&file, &vec![0; 1 << 20], 0);
    assert_eq!(fs.every_crash(4).expect("old or new").count(), 3);
}

#[test]
fn garbage_harms_what_was_being_written_and_no_more() {
    let harmed = |garbage| {
        let (fs, file) = with_a(&[1; 1024]);
        write(&file, &[2; 100], 200);
        let (mut inside, mut around) = (false, false);
        for seed in 0..500 {
            let after = fs.crash_with(seed, garbage);
            let bytes = after.disk().read(A).expect("there");
            inside |= bytes[200..300].iter().any(|byte| ![1, 2].contains(byte));
            around |= bytes[..200]
                .iter()
                .chain(&bytes[300..512])
                .any(|byte| *byte != 1);
            assert_eq!(bytes[512..], [1; 512], "a sector that was not written");
        }
        (inside, around)
    };
    assert_eq!(harmed(Garbage::Never), (false, false));
    assert_eq!(harmed(Garbage::WrittenBytes), (true, false));
    assert_eq!(harmed(Garbage::WholeSectors), (true, true));
}

#[test]
fn a_seed_gives_the_same_image_and_another_seed_another() {
    let (fs, file) = with_a(&[1; 8192]);
    write(&file, &[2; 8192], 0);
    let image = |seed| fs.crash(seed).disk().read(A).expect("there");
    assert!((0..100).all(|seed| image(seed) == image(seed)));
    assert!(crashes(&fs, A).len() > 100);
}

#[test]
fn a_restarted_process_finds_what_was_written_and_a_crash_may_still_take_it() {
    let (fs, file) = with_a(b"old");
    write(&file, b"new", 0);
    let restarted = fs.restart();
    write(&file, b"NEW", 0);
    assert_eq!(restarted.disk().read(A).expect("there"), b"new");
    let either = BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]);
    assert_eq!(every(&restarted, A), either);
    open(&restarted, A, Access::Write)
        .sync_data()
        .expect("honest");
    assert_eq!(every(&restarted, A).len(), 1);
    assert_eq!(fs.disk().read_durable(A).expect("there"), b"old");
}
