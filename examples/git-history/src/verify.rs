//! Holding the folded tree against the repository's own.

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;

use annals::Cursor;
use anyhow::{Context as _, Result};

use crate::events::{Content, Tree};
use crate::git::{Entry, GitPath, Mainline, ObjectId, TreeSource};
use crate::history::History;

/// How many differences are kept; further ones are only counted.
const DIFFERENCES_KEPT_MAX: usize = 100;

/// How many listings each reader may be ahead.
const LISTINGS_AHEAD_MAX: usize = 4;

/// What was compared, and where the two sides differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Commits whose trees were compared.
    pub commits: usize,
    /// Entries of all listings together.
    pub entries: u64,
    /// How many paths differ, over all commits.
    pub different: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// A path at which the folded tree is not that of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The commit.
    pub commit: ObjectId,
    /// The path.
    pub path: GitPath,
    /// What the events fold to.
    pub folded: Option<Content>,
    /// What the repository holds.
    pub listed: Option<Content>,
}

/// Folds the events up to each of these commits, places on the mainline in ascending order, and
/// compares the tree with what `source` lists. `on_commit` is called after each.
///
/// The listings are made on as many threads as there are processors; the fold goes forward, once.
///
/// # Errors
/// When a listing can't be had, or the events can't be read.
pub fn verify(
    history: &History<'_>,
    mainline: &Mainline,
    source: &TreeSource,
    places: &[usize],
    mut on_commit: impl FnMut(),
) -> Result<Verification> {
    let links: Vec<_> = places
        .iter()
        .map(|place| mainline.link(*place))
        .collect::<Result<_>>()?;
    let ids: Vec<_> = links.iter().map(|link| link.id).collect();
    let mut verification = Verification::default();
    let mut tree = Tree::default();
    let mut reached = Cursor::START;
    let mut steps = places.iter().zip(&ids);
    listings(source, &ids, |listing| {
        let Some((place, id)) = steps.next() else {
            return Ok(());
        };
        let cursor = history.cursor(mainline, *place)?;
        history.advance(&mut tree, &reached, &cursor)?;
        reached = cursor;
        verification.compare(*id, &tree, &listing?);
        on_commit();
        Ok(())
    })?;
    Ok(verification)
}

impl Verification {
    fn compare(&mut self, commit: ObjectId, tree: &Tree, listing: &[Entry]) {
        self.commits += 1;
        self.entries += listing.len() as u64;
        let mut folded = tree.iter().peekable();
        let mut listed = listing.iter().peekable();
        loop {
            // The path that comes next on either side.
            let path = match (folded.peek(), listed.peek()) {
                (Some((folded, _)), Some(listed)) => (*folded).min(&listed.path),
                (Some((folded, _)), None) => *folded,
                (None, Some(listed)) => &listed.path,
                (None, None) => return,
            };
            let ours = folded
                .next_if(|(folded, _)| *folded == path)
                .map(|(_, content)| *content);
            let theirs = listed.next_if(|entry| entry.path == *path);
            let theirs = theirs.map(|entry| Content {
                mode: entry.mode,
                blob: entry.id,
            });
            if ours != theirs {
                self.note(Difference {
                    commit,
                    path: path.clone(),
                    folded: ours,
                    listed: theirs,
                });
            }
        }
    }

    fn note(&mut self, difference: Difference) {
        self.different += 1;
        if self.differences.len() < DIFFERENCES_KEPT_MAX {
            self.differences.push(difference);
        }
    }
}

/// `count` different places below `total`, in ascending order; all of them when there are fewer. The
/// same seed gives the same places.
pub fn sample(total: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = SplitMix64(seed);
    let mut places: Vec<usize> = (0..total).collect();
    let count = count.min(total);
    for index in 0..count {
        let left = (total - index) as u64;
        // The remainder favours some places by less than one in 2^40 for any history there is.
        let offset = usize::try_from(random.next() % left).unwrap_or_default();
        places.swap(index, index + offset);
    }
    places.truncate(count);
    places.sort_unstable();
    places
}

/// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Gives the listings of the commits in order, while threads prepare the next ones.
fn listings(
    source: &TreeSource,
    commits: &[ObjectId],
    mut take: impl FnMut(Result<Vec<Entry>>) -> Result<()>,
) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        for first in 0..threads {
            let (sender, lane) = mpsc::sync_channel(LISTINGS_AHEAD_MAX);
            let source = source.clone();
            scope.spawn(move || {
                for commit in commits.iter().skip(first).step_by(threads) {
                    // Nobody listens any more after an error.
                    if sender.send(source.listing(*commit)).is_err() {
                        return;
                    }
                }
            });
            lanes.push(lane);
        }
        let mut turns = lanes.iter().cycle();
        for commit in commits {
            let listing = turns.next().and_then(|lane| lane.recv().ok());
            take(listing.with_context(|| format!("the listing of commit {commit} was not made"))?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::FileEvent;
    use crate::git::Mode;

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn every_difference_is_found() {
        let file = |path: &str, mode, digit| {
            (
                GitPath::new(path),
                Content {
                    mode,
                    blob: id(digit),
                },
            )
        };
        let ours = [
            file("a", Mode::File, '1'),
            file("b", Mode::File, '1'),
            file("d", Mode::File, '1'),
        ];
        let cases = [
            (ours.to_vec(), vec![]),
            (vec![], vec!["a", "b", "d"]),
            (vec![ours[0].clone(), ours[2].clone()], vec!["b"]),
            (
                [&ours[..], &[file("e", Mode::File, '1')]].concat(),
                vec!["e"],
            ),
            (
                [&ours[..2], &[file("c", Mode::File, '1')], &ours[2..]].concat(),
                vec!["c"],
            ),
            (
                vec![file("a", Mode::File, '2'), ours[1].clone(), ours[2].clone()],
                vec!["a"],
            ),
            (
                vec![
                    ours[0].clone(),
                    ours[1].clone(),
                    file("d", Mode::Symlink, '1'),
                ],
                vec!["d"],
            ),
        ];
        let mut tree = Tree::default();
        for (path, Content { mode, blob }) in ours {
            tree.apply(&FileEvent::Added { path, mode, blob }).unwrap();
        }
        for (theirs, expected) in cases {
            let entry = |(path, content): &(GitPath, Content)| Entry {
                mode: content.mode,
                id: content.blob,
                path: path.clone(),
            };
            let listing: Vec<_> = theirs.iter().map(entry).collect();
            let mut verification = Verification::default();
            verification.compare(id('f'), &tree, &listing);
            let found: Vec<_> = verification
                .differences
                .iter()
                .map(|found| found.path.encoded())
                .collect();
            assert_eq!(
                (found, verification.different),
                (
                    expected.iter().map(|path| (*path).to_owned()).collect(),
                    expected.len() as u64
                )
            );
        }
    }

    #[test]
    fn a_sample_is_of_different_places_and_repeatable() {
        for (total, count, size) in [(0, 5, 0), (3, 5, 3), (10, 10, 10), (1000, 50, 50)] {
            let mut places = sample(total, count, 7);
            assert_eq!(places, sample(total, count, 7));
            places.dedup();
            assert_eq!(places.len(), size);
            assert!(places.is_sorted() && places.iter().all(|place| *place < total));
        }
        assert_ne!(sample(1000, 50, 7), sample(1000, 50, 8));
    }
}
