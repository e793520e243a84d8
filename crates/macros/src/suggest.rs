//! The accepted word that a wrong one was meant to be.

/// The candidate nearest to `word`, when it is near enough to be a slip of the keyboard: at most a
/// third of its letters differ.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance: the fewest insertions, removals and replacements of one character that
/// make `from` into `to`.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (removed, from_char) in from.chars().enumerate() {
        let mut above_left = removed;
        let mut left = removed + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, to_char) in row.iter_mut().skip(1).zip(to.chars()) {
            let replaced = above_left + usize::from(from_char != to_char);
            above_left = *cell;
            left = replaced.min(left + 1).min(above_left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_characters() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "tag", 3),
            ("tag", "", 3),
            ("tag", "tag", 0),
            ("tags", "tag", 1),
            ("kitten", "sitting", 3),
            ("catgory", "category", 1),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        for (word, expected) in [
            ("catgory", Some("category")),
            ("tags", Some("tag")),
            ("verison", Some("version")),
            ("rename-all", Some("rename_all")),
            ("upcast", None),
            ("x", None),
        ] {
            let candidates = ["category", "rename_all", "version", "tag"];
            assert_eq!(nearest(word, candidates.into_iter()), expected, "{word}");
        }
    }
}
