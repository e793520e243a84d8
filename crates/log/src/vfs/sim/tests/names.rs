//! What a crash does to names.

use super::*;

/// Each file's content by name after every crash.
fn every_name(fs: &SimFs) -> BTreeSet<Vec<(String, String)>> {
    let images = fs.every_crash(1 << 16).expect("few");
    images.map(|after| listed(&after)).collect()
}

fn listed(fs: &SimFs) -> Vec<(String, String)> {
    let paths = fs.disk().paths().into_iter();
    paths
        .map(|path| {
            let bytes = fs.disk().read(&path).expect("listed");
            let path = path.to_string_lossy().into_owned();
            (path, String::from_utf8(bytes).expect("text"))
        })
        .collect()
}

/// Checks which lists of `name=content` may be found.
#[track_caller]
fn check(fs: &SimFs, expected: &[&[&str]]) {
    let pair = |entry: &&str| {
        let (name, content) = entry.split_once('=').expect("name=content");
        (name.to_owned(), content.to_owned())
    };
    let expected: BTreeSet<Vec<_>> = expected
        .iter()
        .map(|names| names.iter().map(pair).collect())
        .collect();
    assert_eq!(every_name(fs), expected);
    let drawn: BTreeSet<_> = (0..500).map(|seed| listed(&fs.crash(seed))).collect();
    assert_eq!(drawn, expected);
}

fn create(fs: &SimFs, path: &str) {
    let file = open(fs, path, Access::Create);
    write(&file, b"x", 0);
    file.sync_all().expect("honest");
}

fn sync(fs: &SimFs, directory: &str) {
    fs.sync_directory(Path::new(directory)).expect("there");
}

fn rename(fs: &SimFs, from: &str, to: &str) {
    fs.rename(Path::new(from), Path::new(to)).expect("there");
}

#[test]
fn a_new_name_is_durable_with_its_directory_and_not_with_its_file() {
    let fs = SimFs::new();
    create(&fs, "/a");
    check(&fs, &[&[], &["/a=x"]]);
    sync(&fs, "/");
    check(&fs, &[&["/a=x"]]);
}

#[test]
fn a_rename_happens_whole_or_not_at_all() {
    let fs = SimFs::new();
    fs.disk().write("/a", b"old").expect("new");
    fs.disk().write("/b", b"new").expect("new");
    rename(&fs, "/b", "/a");
    check(&fs, &[&["/a=old", "/b=new"], &["/a=new"]]);
    sync(&fs, "/");
    check(&fs, &[&["/a=new"]]);
}

#[test]
fn a_rename_does_not_make_the_content_durable() {
    let fs = SimFs::new();
    fs.disk().write("/a", b"old").expect("new");
    write(&open(&fs, "/b", Access::Create), b"new", 0);
    rename(&fs, "/b", "/a");
    sync(&fs, "/");
    let found = every(&fs, "/a");
    assert!(found.contains(&Some(b"".to_vec())) && found.contains(&Some(b"new".to_vec())));
    assert!(!found.contains(&Some(b"old".to_vec())));
}

#[test]
fn a_removed_name_may_come_back_until_it_is_synced() {
    let fs = SimFs::new();
    fs.disk().write("/a", b"x").expect("new");
    fs.remove(Path::new("/a")).expect("there");
    check(&fs, &[&[], &["/a=x"]]);
    sync(&fs, "/");
    check(&fs, &[&[]]);
}

#[test]
fn names_are_independent_and_each_is_in_order() {
    let fs = SimFs::new();
    create(&fs, "/a");
    create(&fs, "/b");
    check(&fs, &[&[], &["/a=x"], &["/b=x"], &["/a=x", "/b=x"]]);
    // The removal is not found without the creation, nor the rename.
    rename(&fs, "/a", "/c");
    fs.remove(Path::new("/b")).expect("there");
    check(
        &fs,
        &[
            &[],
            &["/a=x"],
            &["/b=x"],
            &["/a=x", "/b=x"],
            &["/c=x"],
            &["/b=x", "/c=x"],
        ],
    );
}

#[test]
fn a_later_change_of_a_name_is_not_found_without_the_earlier() {
    let fs = SimFs::new();
    fs.disk().write("/a", b"old").expect("new");
    fs.disk().write("/b", b"new").expect("new");
    rename(&fs, "/b", "/a");
    fs.remove(Path::new("/a")).expect("there");
    check(&fs, &[&["/a=old", "/b=new"], &["/a=new"], &[]]);
}

#[test]
fn a_file_does_not_outlive_its_directory() {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/d/e")).expect("new");
    create(&fs, "/d/e/a");
    sync(&fs, "/d/e");
    check(&fs, &[&[], &["/d/e/a=x"]]);
    sync(&fs, "/d");
    check(&fs, &[&[], &["/d/e/a=x"]]);
    sync(&fs, "/");
    check(&fs, &[&["/d/e/a=x"]]);
}

#[test]
fn a_rename_between_directories_is_synced_by_the_new_one() {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/d")).expect("new");
    sync(&fs, "/");
    create(&fs, "/a");
    rename(&fs, "/a", "/d/a");
    sync(&fs, "/d");
    // The file's first name goes along, or it would come back.
    check(&fs, &[&["/d/a=x"]]);
}

#[test]
fn a_quiet_hour_makes_all_durable() {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/d")).expect("new");
    write(&open(&fs, "/d/a", Access::Create), b"x", 0);
    assert!(!fs.is_settled());
    fs.settle();
    assert!(fs.is_settled());
    check(&fs, &[&["/d/a=x"]]);
}

#[test]
fn a_file_without_names_lives_as_long_as_a_handle() {
    let (fs, file) = with_a(b"kept");
    fs.remove(Path::new(A)).expect("there");
    sync(&fs, "/");
    assert_eq!(read(&file), b"kept");
    let copy = fs.restart();
    drop(file);
    assert_eq!(fs.state().space(), u64::MAX);
    fs.set_capacity(Some(4));
    assert_eq!(fs.state().space(), 4, "the file is gone");
    copy.set_capacity(Some(4));
    assert_eq!(copy.state().space(), 0, "a copy has it until it syncs");
    sync(&copy, "/");
    assert_eq!(copy.state().space(), 4);
}
