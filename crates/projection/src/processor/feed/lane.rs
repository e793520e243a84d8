//! One read pass: its window, and who takes from it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use annals_core::{Cursor, Error, ErrorKind};
use event_listener::Event as Bell;

use super::Taken;
use crate::contract::choice::EventChoice;
use crate::contract::consumer::Prepare;
use crate::contract::page::FeedPage;

/// A consumer, as its lane knows it.
#[derive(Clone, Debug)]
pub(in crate::processor) struct Member {
    pub(in crate::processor) id: u64,
    pub(in crate::processor) choice: EventChoice,
    pub(in crate::processor) preparation: Option<Arc<dyn Prepare>>,
}

/// A member at its place in the window.
#[derive(Debug)]
struct Seat {
    member: Member,
    /// The number of the page that it takes next.
    next: u64,
    /// How long others waited for it, in all.
    waited: Duration,
}

/// One read pass. Its pages are numbered from 0 on.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: u64,
    /// Where the next read goes on.
    end: Cursor,
    /// Whether the store ended there when it was read last.
    is_at_head: bool,
    /// What is being read.
    reading: Option<EventChoice>,
    /// The number of the first page in the window.
    first: u64,
    window: VecDeque<Arc<FeedPage>>,
    seats: Vec<Seat>,
    /// Whether the reader waits for room in the window.
    awaits_room: bool,
    /// Whether the reader ended, or is about to: nobody may join.
    is_over: bool,
    trouble: Option<String>,
    failure: Option<(ErrorKind, String)>,
    /// Rung when there is something new for members.
    pub(super) news: Arc<Bell>,
    /// Rung when there is something new for the reader.
    pub(super) work: Arc<Bell>,
}

/// What a reader does next.
pub(super) enum Plan {
    /// Nobody is left.
    End,
    /// There is no room: wait until there is. With it, whether somebody has nothing to do meanwhile.
    WaitForRoom { is_urgent: bool },
    /// Everything was read: wait until the store goes on.
    Follow(Cursor),
    /// Read this, from here on.
    Read(EventChoice, Cursor),
}

impl Lane {
    pub(super) fn new(id: u64, at: Cursor) -> Self {
        Self {
            id,
            end: at,
            is_at_head: false,
            reading: None,
            first: 0,
            window: VecDeque::new(),
            seats: Vec::new(),
            awaits_room: false,
            is_over: false,
            trouble: None,
            failure: None,
            news: Arc::default(),
            work: Arc::default(),
        }
    }

    /// The number of the page that a consumer at this cursor takes next, if this lane can serve it from there on.
    pub(super) fn place_of(&self, cursor: &Cursor, choice: &EventChoice) -> Option<u64> {
        if self.is_over {
            return None;
        }
        let place = self
            .window
            .iter()
            .position(|page| holds_place(page, cursor));
        let skipped = match place {
            Some(place) => place,
            None if self.end == *cursor => self.window.len(),
            None => return None,
        };
        let read = self.window.iter().skip(skipped).map(|page| page.choice());
        let mut to_come = read.chain(&self.reading);
        to_come
            .all(|read| read.includes(choice))
            .then(|| self.first + count(skipped))
    }

    /// Whether a consumer that both lanes can serve is better off in this one.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        let is_further = self.end.covers(&other.end);
        is_further && (self.end != other.end || self.id < other.id)
    }

    pub(super) fn join(&mut self, member: &Member, next: u64) {
        self.seats.push(Seat {
            member: member.clone(),
            next,
            waited: Duration::ZERO,
        });
        if self.awaits_room {
            self.work.notify(usize::MAX);
        }
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.seats.iter().any(|seat| seat.member.id == id)
    }

    pub(super) fn has_members(&self) -> bool {
        !self.seats.is_empty()
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.seats.retain(|seat| seat.member.id != id);
        self.forget_taken();
        self.work.notify(usize::MAX);
    }

    /// The next page for a member.
    pub(super) fn take(&mut self, id: u64) -> Option<Taken> {
        let (first, end) = (self.first, self.after_last());
        let seat = self.seats.iter_mut().find(|seat| seat.member.id == id)?;
        if let Some(page) = nth(&self.window, seat.next - first) {
            seat.next += 1;
            let has_all = seat.next == end;
            let has_room = self.forget_taken();
            // The reader wants to know of room, and of somebody who has nothing left to do.
            if self.awaits_room && (has_room || has_all) {
                self.work.notify(usize::MAX);
            }
            let is_newest = self.is_at_head && has_all;
            return Some(Taken::Page { page, is_newest });
        }
        if let Some((kind, text)) = &self.failure {
            let error = Error::new(*kind, text.clone());
            self.leave(id);
            return Some(Taken::Failed(error));
        }
        Some(Taken::Wait {
            bell: self.news.listen(),
            is_live: self.is_at_head,
            trouble: self.trouble.clone(),
        })
    }

    /// What the reader does next.
    pub(super) fn plan(&mut self, window_pages: usize) -> Plan {
        if self.seats.is_empty() || self.is_over {
            self.is_over = true;
            return Plan::End;
        }
        self.awaits_room = self.window.len() >= window_pages;
        if self.awaits_room {
            let end = self.after_last();
            let is_urgent = self.seats.iter().any(|seat| seat.next == end);
            return Plan::WaitForRoom { is_urgent };
        }
        if self.is_at_head {
            return Plan::Follow(self.end.clone());
        }
        let choices = self.seats.iter().map(|seat| &seat.member.choice);
        let choice = choices.fold(EventChoice::NONE, |union, choice| union.or(choice));
        self.reading = Some(choice.clone());
        Plan::Read(choice, self.end.clone())
    }

    /// Whether several members take the pages.
    pub(super) fn is_shared(&self) -> bool {
        self.seats.len() > 1
    }

    /// What is to be done with a page before the members take it. Nothing for one member alone, who is as fast by
    /// itself: what one thread decodes is costly to read and to free for another.
    pub(super) fn preparations(&self) -> Vec<Arc<dyn Prepare>> {
        if !self.is_shared() {
            return Vec::new();
        }
        let seats = self.seats.iter();
        seats
            .filter_map(|seat| seat.member.preparation.clone())
            .collect()
    }

    /// Adds a page that was read.
    pub(super) fn push(&mut self, page: Arc<FeedPage>, is_last: bool) {
        self.reading = None;
        self.trouble = None;
        self.is_at_head = is_last;
        // A page that leads nowhere is none.
        if *page.cursor() != self.end {
            self.end = page.cursor().clone();
            self.window.push_back(page);
        }
        self.forget_taken();
        self.news.notify(usize::MAX);
    }

    /// The store goes on.
    pub(super) fn goes_on(&mut self) {
        self.trouble = None;
        self.is_at_head = false;
    }

    /// Something hinders the reader, which tries again.
    pub(super) fn is_in_trouble(&mut self, trouble: String) {
        self.reading = None;
        self.trouble = Some(trouble);
        self.news.notify(usize::MAX);
    }

    /// The reader gives up; members hear of the first reason.
    pub(super) fn fail(&mut self, error: &Error) {
        self.is_over = true;
        self.reading = None;
        let reason = || (error.kind(), error.to_string());
        self.failure.get_or_insert_with(reason);
        self.news.notify(usize::MAX);
    }

    /// Whether neither the reader nor a member needs it any more.
    pub(super) fn is_left(&self) -> bool {
        self.is_over && self.seats.is_empty()
    }

    /// The members who have nothing to do waited so long for those who hold the first page, which leave when that
    /// is too long.
    pub(super) fn waited(&mut self, time: Duration, patience: Duration) {
        let (first, end) = (self.first, self.after_last());
        // Meanwhile those that were waited for may have gone on: nobody is blamed who has taken everything.
        let is_in_the_way = |seat: &Seat| seat.next == first && first < end;
        for seat in self.seats.iter_mut().filter(|seat| is_in_the_way(seat)) {
            seat.waited = seat.waited.saturating_add(time);
        }
        self.seats
            .retain(|seat| !is_in_the_way(seat) || seat.waited < patience);
        self.forget_taken();
        self.news.notify(usize::MAX);
    }

    /// Forgets the pages that every member took; whether there were any.
    fn forget_taken(&mut self) -> bool {
        let nexts = self.seats.iter().map(|seat| seat.next);
        let slowest = nexts.min().unwrap_or(self.first);
        let before = self.first;
        while self.first < slowest && self.window.pop_front().is_some() {
            self.first += 1;
        }
        self.first > before
    }

    /// The number after that of the last page.
    fn after_last(&self) -> u64 {
        self.first + count(self.window.len())
    }
}

/// Whether a reader at this cursor has yet to see a part of the page, and nothing before it.
fn holds_place(page: &FeedPage, cursor: &Cursor) -> bool {
    if page.after() == cursor {
        return true;
    }
    // Only in a single log is there an order by which a place lies within a page.
    let places = (
        page.after().position(),
        cursor.position(),
        page.cursor().position(),
    );
    matches!(places, (Some(after), Some(place), Some(end)) if after < place && place < end)
}

fn nth(window: &VecDeque<Arc<FeedPage>>, place: u64) -> Option<Arc<FeedPage>> {
    window.get(usize::try_from(place).ok()?).cloned()
}

fn count(pages: usize) -> u64 {
    u64::try_from(pages).unwrap_or(u64::MAX)
}
