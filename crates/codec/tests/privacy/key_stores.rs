//! The laws of every store of keys.

use super::*;
use annals_codec::privacy::{
    FileKeys, KeyEntry, KeyId, KeyState, MasterKey, SubjectKeys, SystemEntropy, Tombstone,
};

/// A store of keys, and a second handle on the same keys where it may have one.
struct Stores {
    _directory: Option<tempfile::TempDir>,
    one: Box<dyn KeyStore>,
    other: Option<Box<dyn KeyStore>>,
}

fn master() -> MasterKey {
    MasterKey::new([7; 32])
}

fn all() -> [Stores; 2] {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    [
        Stores {
            _directory: None,
            one: Box::new(MemoryKeys::new()),
            other: None,
        },
        Stores {
            one: Box::new(FileKeys::create(&path, &master()).unwrap()),
            other: Some(Box::new(FileKeys::open(&path, &master()).unwrap())),
            _directory: Some(directory),
        },
    ]
}

fn check(law: impl Fn(&dyn KeyStore, &dyn KeyStore)) {
    for stores in all() {
        let other = stores.other.as_ref().unwrap_or(&stores.one);
        law(&*stores.one, &**other);
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn is_erased(state: &KeyState) -> Option<Tombstone> {
    match state {
        KeyState::Known(_) => None,
        KeyState::Erased(tombstone) => Some(*tombstone),
    }
}

#[test]
fn a_subject_has_one_key_until_it_is_erased() {
    check(|one, other| {
        let (ada, eve) = (subject("ada"), subject("eve"));
        let key = one.key_for(&ada).unwrap();
        let again = other.key_for(&ada).unwrap();
        assert_eq!((again.id(), again.expose()), (key.id(), key.expose()));
        assert_eq!(again.subject(), &ada);
        let of_eve = other.key_for(&eve).unwrap();
        assert!(of_eve.id() != key.id() && of_eve.expose() != key.expose());
        let tombstone = Tombstone {
            key: key.id(),
            erased_at: at(5),
        };
        assert_eq!(one.erase(&ada, at(5)).unwrap(), [tombstone]);
        for store in [one, other] {
            assert_eq!(is_erased(&store.key(key.id()).unwrap()), Some(tombstone));
            assert_eq!(is_erased(&store.key(of_eve.id()).unwrap()), None);
        }
        let new = other.key_for(&ada).unwrap();
        assert!(new.id() != key.id() && new.expose() != key.expose());
        assert_eq!(one.key_for(&ada).unwrap().id(), new.id());
        assert_eq!(
            one.keys_of(&ada).unwrap().all().collect::<Vec<_>>(),
            [key.id(), new.id()]
        );
    });
}

#[test]
fn erasing_again_changes_nothing() {
    check(|one, other| {
        let ada = subject("ada");
        assert_eq!(one.erase(&ada, at(1)).unwrap(), []);
        assert_eq!(one.keys_of(&ada).unwrap(), SubjectKeys::default());
        let key = one.key_for(&ada).unwrap().id();
        let tombstone = Tombstone {
            key,
            erased_at: at(5),
        };
        for (store, time) in [(one, 5), (other, 6), (one, 7)] {
            assert_eq!(store.erase(&ada, at(time)).unwrap(), [tombstone]);
        }
        assert_eq!(other.keys_of(&ada).unwrap().erased, [tombstone]);
    });
}

#[test]
fn a_key_that_nobody_made_is_missing() {
    check(|one, _| {
        let error = one.key(KeyId::from_bytes([1; 16])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyMissing);
    });
}

#[test]
fn the_list_is_in_order_and_in_pages() {
    check(|one, other| {
        for name in ["a", "b", "c", "d", "e"] {
            one.key_for(&subject(name)).unwrap();
        }
        one.erase(&subject("c"), at(5)).unwrap();
        let all = other.list(None, 10).unwrap();
        assert_eq!(all.len(), 5);
        assert!(all.is_sorted_by_key(|entry| entry.key));
        let erased: Vec<&KeyEntry> = all
            .iter()
            .filter(|entry| entry.erased_at.is_some())
            .collect();
        assert_eq!(erased.len(), 1);
        let first = one.list(None, 2).unwrap();
        let rest = one.list(Some(first[1].key), 10).unwrap();
        assert_eq!([first, rest].concat(), all);
    });
}

#[test]
fn makers_at_once_get_one_key() {
    check(|one, other| {
        let ids = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|number| {
                    let store = if number % 2 == 0 { one } else { other };
                    scope.spawn(move || store.key_for(&subject("ada")).unwrap().id())
                })
                .collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    });
}

#[test]
fn nothing_secret_is_shown() {
    check(|one, _| {
        let key = one.key_for(&subject("canary-8842")).unwrap();
        let shown = format!("{one:?} {key:?} {:?} {:?}", key.subject(), master());
        assert!(!shown.contains("canary"), "{shown}");
        let digits = format!("{:?}", key.expose());
        let digits = digits.trim_matches(['[', ']']);
        assert!(!shown.contains(digits), "{shown}");
    });
}

#[test]
fn more_subjects_than_the_cache_holds_keep_their_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let keys = FileKeys::create(&path, &master()).unwrap();
    let ids: Vec<KeyId> = (0..60)
        .map(|n| keys.key_for(&subject(&n.to_string())).unwrap().id())
        .collect();
    let keys = FileKeys::open(&path, &master()).unwrap();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(
            keys.key_for(&subject(&number.to_string())).unwrap().id(),
            *id
        );
    }
}

#[test]
fn a_directory_opens_with_its_master_key_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let missing = FileKeys::open(&path, &master()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::KeysUnavailable);
    let keys = FileKeys::create(&path, &master()).unwrap();
    let key = keys.key_for(&subject("ada")).unwrap();
    let twice = FileKeys::create(&path, &master()).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::KeysUnavailable);

    let new = MasterKey::generate(&SystemEntropy).unwrap();
    let wrong = FileKeys::open(&path, &new).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::WrongMasterKey, "{wrong}");
    keys.rotate(&new).unwrap();
    assert_eq!(
        FileKeys::open(&path, &master()).unwrap_err().kind(),
        ErrorKind::WrongMasterKey
    );
    let text = new.to_text();
    let keys = FileKeys::open(&path, &MasterKey::from_text(&text).unwrap()).unwrap();
    assert_eq!(
        keys.key_for(&subject("ada")).unwrap().expose(),
        key.expose()
    );
    let flawed = MasterKey::from_text("canary").unwrap_err();
    assert_eq!(flawed.kind(), ErrorKind::WrongMasterKey);
    assert!(!format!("{flawed:?} {flawed}").contains("canary"));
}
