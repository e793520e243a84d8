//! What may be on the disk after the power went.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::choices::Choices;
use super::image::{Image, PAGE, Page, bytes_of, copy, sectors};
use super::inode::{Inode, Pending};

/// What the disk has of this file.
pub(super) fn crash(inode: &Inode, choices: &mut dyn Choices) -> Image {
    let mut image = inode.on_disk().clone();
    let steps = steps(inode);
    let (applied, open) = steps.split_at(choices.choose(steps.len() + 1).min(steps.len()));
    let reached = applied.last().map_or(image.length(), |step| step.new);
    let next = open.first().map_or(reached, |step| step.new);
    let between = (!steps.is_empty()).then(|| choices.between(reached, next));
    let length = between.flatten().unwrap_or(reached);

    let mut begin = 0;
    for cut in applied.iter().filter(|step| step.is_cut()) {
        write_some(&mut image, inode.pending(), begin..cut.index, choices);
        image.clear_from(cut.new);
        begin = cut.index;
    }
    // What was written after a cut that the disk does not know went to blocks that it does not know either.
    let stop = open.iter().find(|step| step.is_cut());
    let stop = stop.map_or(inode.pending().len(), |step| step.index);
    write_some(&mut image, inode.pending(), begin..stop, choices);
    image.end_at(length);
    image
}

/// A pending change of the length.
struct Step {
    /// Its place among the pending changes.
    index: usize,
    old: u64,
    new: u64,
}

impl Step {
    fn is_cut(&self) -> bool {
        self.new < self.old
    }
}

fn steps(inode: &Inode) -> Vec<Step> {
    let mut old = inode.on_disk().length();
    let changes = inode.pending().iter().enumerate();
    changes
        .filter_map(|(index, change)| match change {
            Pending::Length(new) => Some(Step {
                index,
                old: std::mem::replace(&mut old, *new),
                new: *new,
            }),
            Pending::Write { .. } => None,
        })
        .collect()
}

/// Brings some of the writes among these changes to the disk, sector by sector.
fn write_some(
    image: &mut Image,
    pending: &[Pending],
    range: Range<usize>,
    choices: &mut dyn Choices,
) {
    let mut by_page: BTreeMap<usize, Vec<(&Range<usize>, &Page)>> = BTreeMap::new();
    for change in pending.get(range).unwrap_or_default() {
        if let Pending::Write {
            page,
            bytes,
            content,
        } = change
        {
            by_page.entry(*page).or_default().push((bytes, content));
        }
    }
    for (page, writes) in by_page {
        let old = image.page(page);
        let mut new = None;
        for sector in sectors(&(0..PAGE)) {
            if let Some(bytes) = sector_after(&old, &writes, &sector, choices) {
                let new = new.get_or_insert_with(|| old.as_deref().copied().unwrap_or([0; PAGE]));
                copy(new.get_mut(sector).unwrap_or_default(), &bytes);
            }
        }
        if let Some(new) = new {
            image.set_page(page, Some(Arc::new(new)));
        }
    }
}

/// What the disk has of one sector; `None` for the old bytes.
fn sector_after<'a>(
    old: &'a Page,
    writes: &[(&Range<usize>, &'a Page)],
    sector: &Range<usize>,
    choices: &mut dyn Choices,
) -> Option<Cow<'a, [u8]>> {
    // The contents that the sector had one after another, with what was written of it.
    let mut contents = vec![(0..0, bytes_of(old, sector))];
    for (written, content) in writes {
        let bytes = bytes_of(content, sector);
        let touched = written.start < sector.end && sector.start < written.end;
        if touched && contents.last().is_none_or(|(_, last)| *last != bytes) {
            let start = written.start.max(sector.start) - sector.start;
            let end = written.end.min(sector.end) - sector.start;
            contents.push((start..end, bytes));
        }
    }
    if contents.len() == 1 {
        return None;
    }
    let reached = choices.choose(contents.len());
    let flying = reached.clamp(1, contents.len() - 1);
    let (_, before) = contents.get(flying - 1)?;
    let (written, after) = contents.get(flying)?;
    if let Some(garbage) = choices.garbage(written.clone(), before, after) {
        return Some(Cow::Owned(garbage));
    }
    let (_, bytes) = contents.get(reached).filter(|_| reached > 0)?;
    Some(Cow::Borrowed(bytes))
}
