//! The same work on many things at once, its results in the order of the things.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use crate::error::Result;

/// Does the work on each thing, on up to so many threads, and gives the results in order. `begin` is told on
/// this thread how many are done, before the first one and whenever there are more.
///
/// # Errors
/// The first one in order. What is in hand then is done to its end, and nothing more is begun.
pub(super) fn in_order<I: Sync, T: Send>(
    things: &[I],
    threads_max: NonZeroUsize,
    mut begin: impl FnMut(usize),
    work: impl Fn(&I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = threads_max.get().min(things.len());
    if threads <= 1 {
        let each = things.iter().enumerate().map(|(index, thing)| {
            begin(index);
            work(thing)
        });
        return each.collect();
    }
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        begin(0);
        let spawned = (0..threads).map_while(|_| {
            let (tell, next, work) = (tell.clone(), &next, &work);
            let thread = thread::Builder::new().name("annals-verify".to_owned());
            let turns = move || take_turns(next, things, work, &tell);
            thread.spawn_scoped(scope, turns).ok()
        });
        // Where the system gives no thread, this one does it.
        if spawned.count() == 0 {
            take_turns(&next, things, &work, &tell);
        }
        drop(tell);
        let mut results: Vec<Option<Result<T>>> = things.iter().map(|_| None).collect();
        for (done, (index, result)) in told.into_iter().enumerate() {
            if let Some(place) = results.get_mut(index) {
                *place = Some(result);
            }
            if done + 1 < things.len() {
                begin(done + 1);
            }
        }
        // What is not there comes after an error.
        results.into_iter().map_while(|result| result).collect()
    })
}

/// Does the work on one thing after the other, until none is left or one failed.
fn take_turns<I, T>(
    next: &AtomicUsize,
    things: &[I],
    work: &impl Fn(&I) -> Result<T>,
    tell: &Sender<(usize, Result<T>)>,
) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(thing) = things.get(index) else {
            return;
        };
        let result = work(thing);
        if result.is_err() {
            next.store(things.len(), Ordering::Relaxed);
        }
        if tell.send((index, result)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;

    use super::*;
    use crate::error::Error;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn things(count: usize) -> Vec<usize> {
        (0..count).collect()
    }

    #[test]
    fn results_come_in_order_whatever_ends_first() {
        let things = things(20);
        for count in [1, 2, 7] {
            let mut told = Vec::new();
            let found = in_order(
                &things,
                threads(count),
                |done| told.push(done),
                |it| Ok(3 * it),
            );
            let expected: Vec<usize> = things.iter().map(|it| 3 * it).collect();
            assert_eq!(found.unwrap(), expected);
            assert_eq!(told, things);
        }
        let nothing: Vec<()> = in_order::<usize, ()>(&[], threads(4), |_| {}, |_| Ok(())).unwrap();
        assert_eq!(nothing, []);
    }

    #[test]
    fn as_many_threads_work_at_once_as_there_may() {
        let together = Barrier::new(3);
        let work = |_: &usize| {
            together.wait();
            Ok(())
        };
        let done = in_order(&things(6), threads(3), |_| {}, work).unwrap();
        assert_eq!(done.len(), 6);
    }

    #[test]
    fn the_first_error_in_order_is_the_one_that_is_told() {
        let failing = |index: &usize| match index {
            4 => Err(failed("four")),
            9 => Err(failed("nine")),
            _ => Ok(*index),
        };
        for count in [1, 3, 8] {
            let error = in_order(&things(12), threads(count), |_| {}, failing).unwrap_err();
            assert!(error.to_string().contains("four"), "{error}");
        }
    }

    fn failed(what: &'static str) -> Error {
        Error::io(what, Path::new("file"), std::io::ErrorKind::Other.into())
    }
}
