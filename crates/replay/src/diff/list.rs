//! What became of the elements of a list.

use annals_codec::Value;

use super::compare::is_same;

/// How many pairs of elements are compared at most to find those that stayed: a table of 256 by 256.
const PAIRS_MAX: usize = 1 << 16;

/// What became of one element.
#[derive(Clone, Copy)]
pub(super) enum ListEdit<'a> {
    Changed(&'a Value, &'a Value),
    Removed(&'a Value),
    Added(&'a Value),
}

/// The edits that make one list of another, each with its index in the list as the edits before leave it.
///
/// Elements that are the same at both ends stay. Of those between, a longest common run of elements stays (Wagner and
/// Fischer's table) where the table is not too large; what lies between two that stay is paired off in order.
pub(super) fn edits<'a>(before: &'a [Value], after: &'a [Value]) -> Vec<(usize, ListEdit<'a>)> {
    let start = common(before.iter(), after.iter());
    let (before, after) = (tail(before, start), tail(after, start));
    let end = common(before.iter().rev(), after.iter().rev());
    let before = before.get(..before.len() - end).unwrap_or_default();
    let after = after.get(..after.len() - end).unwrap_or_default();
    let mut edits = Edits {
        at: start,
        edits: Vec::new(),
    };
    let (mut left, mut right) = (0, 0);
    for (kept_left, kept_right) in kept(before, after) {
        edits.between(
            slice(before, left, kept_left),
            slice(after, right, kept_right),
        );
        edits.at += 1;
        (left, right) = (kept_left + 1, kept_right + 1);
    }
    edits.between(tail(before, left), tail(after, right));
    edits.edits
}

struct Edits<'a> {
    /// The index of the next element of the new list.
    at: usize,
    edits: Vec<(usize, ListEdit<'a>)>,
}

impl<'a> Edits<'a> {
    fn between(&mut self, before: &'a [Value], after: &'a [Value]) {
        for (before, after) in before.iter().zip(after) {
            self.edits.push((self.at, ListEdit::Changed(before, after)));
            self.at += 1;
        }
        for removed in tail(before, after.len()) {
            self.edits.push((self.at, ListEdit::Removed(removed)));
        }
        for added in tail(after, before.len()) {
            self.edits.push((self.at, ListEdit::Added(added)));
            self.at += 1;
        }
    }
}

/// How many elements are the same from the beginning on.
fn common<'a>(
    left: impl Iterator<Item = &'a Value>,
    right: impl Iterator<Item = &'a Value>,
) -> usize {
    left.zip(right)
        .take_while(|(left, right)| is_same(left, right))
        .count()
}

/// The indexes of the elements that stay, in both lists; none where that would take too long to find out.
fn kept(before: &[Value], after: &[Value]) -> Vec<(usize, usize)> {
    if before.len().saturating_mul(after.len()) > PAIRS_MAX {
        return Vec::new();
    }
    let width = after.len() + 1;
    // The length of the longest common run of what follows each pair of places.
    let mut longest = vec![0_u32; (before.len() + 1) * width];
    let at = |longest: &[u32], left: usize, right: usize| {
        longest.get(left * width + right).copied().unwrap_or(0)
    };
    for (left, old) in before.iter().enumerate().rev() {
        for (right, new) in after.iter().enumerate().rev() {
            let length = if is_same(old, new) {
                at(&longest, left + 1, right + 1) + 1
            } else {
                at(&longest, left + 1, right).max(at(&longest, left, right + 1))
            };
            if let Some(cell) = longest.get_mut(left * width + right) {
                *cell = length;
            }
        }
    }
    let (mut kept, mut left, mut right) = (Vec::new(), 0, 0);
    while let (Some(old), Some(new)) = (before.get(left), after.get(right)) {
        if is_same(old, new) {
            kept.push((left, right));
            (left, right) = (left + 1, right + 1);
        } else if at(&longest, left + 1, right) >= at(&longest, left, right + 1) {
            left += 1;
        } else {
            right += 1;
        }
    }
    kept
}

fn tail(values: &[Value], from: usize) -> &[Value] {
    values.get(from..).unwrap_or_default()
}

fn slice(values: &[Value], from: usize, to: usize) -> &[Value] {
    values.get(from..to).unwrap_or_default()
}
