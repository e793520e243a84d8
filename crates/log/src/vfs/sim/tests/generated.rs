//! Generated work against a plain history of what the file was.

use super::*;

/// What the file was after each call since the last sync, the state at that sync first.
struct History {
    states: Vec<Vec<u8>>,
}

impl History {
    fn last(&self) -> &[u8] {
        self.states.last().expect("never empty")
    }

    /// Whether each sector has a content that it once had, or such a content cut where a later cut of the
    /// file was, and the length is none that it never passed.
    #[track_caller]
    fn check(&self, image: &[u8], seed: u64) {
        let lengths = self.states.iter().map(Vec::len);
        let (shortest, longest) = (lengths.clone().min(), lengths.max());
        assert!(
            Some(image.len()) >= shortest && Some(image.len()) <= longest,
            "seed {seed}: the length {} is not from {shortest:?} to {longest:?}",
            image.len()
        );
        for (number, sector) in image.chunks(512).enumerate() {
            let once = |(age, state): (usize, &Vec<u8>)| {
                let later = self.states.get(age..).unwrap_or_default();
                later.iter().any(|cut| {
                    let state = state.get(..cut.len()).unwrap_or(state);
                    let mut state = state.get(number * 512..).unwrap_or_default().to_vec();
                    state.resize(sector.len(), 0);
                    state == sector
                })
            };
            assert!(
                self.states.iter().enumerate().any(once),
                "seed {seed}: sector {number} was never so"
            );
        }
    }
}

#[test]
fn a_crash_leaves_what_once_was() {
    let mut distinct = BTreeSet::new();
    for seed in 0..100 {
        distinct.extend(check(seed));
    }
    assert!(distinct.len() > 3_000, "{} images", distinct.len());
}

/// Works on a file and crashes it after each call; returns the images.
fn check(seed: u64) -> Vec<Vec<u8>> {
    let rng = crate::vfs::SeededRng::new(seed);
    let below = |bound: u64| usize::try_from(rng.below(bound)).expect("small");
    let (fs, file) = with_a(b"");
    let mut history = History {
        states: vec![Vec::new()],
    };
    let mut images = Vec::new();
    for byte in 1..30_u8 {
        let mut now = history.last().to_vec();
        match below(8) {
            0 => {
                file.sync_data().expect("honest");
                history.states.clear();
            }
            1 => {
                now.resize(below(10_000), 0);
                file.set_length(now.len() as u64).expect("room");
            }
            _ => {
                let offset = below(9_000);
                let bytes = vec![byte * u8::from(below(4) > 0); 1 + below(2_000)];
                let end = offset + bytes.len();
                now.resize(now.len().max(end), 0);
                now[offset..end].copy_from_slice(&bytes);
                write(&file, &bytes, offset as u64);
            }
        }
        history.states.push(now);
        assert_eq!(
            fs.disk().read(A).expect("there"),
            history.last(),
            "seed {seed}"
        );
        let durable = fs.disk().read_durable(A).expect("there");
        assert_eq!(durable, history.states[0], "seed {seed}");
        for crash in 0..4 {
            let after = fs.crash_with(rng.bits() ^ crash, Garbage::Never);
            let image = after.disk().read(A).expect("there");
            history.check(&image, seed);
            images.push(image);
        }
    }
    images
}
