//! The story of two courses and their students, told as it happens: `dcb`.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use annals::{Decisions, EventStoreExt, JsonCodec, LogStore, ReadRequest, Tag};
use anyhow::{Result, anyhow};
use dcb::Made;
use dcb::course::{CourseError, CourseEvent, Courses};
use futures_executor::block_on;

fn main() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let store = LogStore::builder(scratch.path().join("store")).open_or_create()?;
    match block_on(tell(Arc::new(store), &mut io::stdout().lock())) {
        // Whoever listens has heard enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        told => told,
    }
}

async fn tell(store: Arc<LogStore>, out: &mut impl Write) -> Result<()> {
    let courses = Courses::new(Decisions::new(store.clone(), JsonCodec));
    courses.define("rust", 2).await?;
    courses.define("history", 9).await?;
    writeln!(out, "rust has 2 seats, history has 9")?;

    for student in ["ada", "ben", "cleo"] {
        let answer = answer(courses.subscribe(student, "rust").await)?;
        writeln!(out, "{student} asks for rust: {answer}")?;
    }
    let answer = answer(courses.subscribe("ada", "rust").await)?;
    writeln!(out, "ada asks for rust again: {answer}")?;

    courses.change_seats("rust", 3).await?;
    writeln!(out, "rust has 3 seats; cleo and dan ask at once")?;
    let subscribed = race(&courses, ["cleo", "dan"])?;
    writeln!(out, "{subscribed} of the two has the last one")?;

    writeln!(out, "the whole history:")?;
    for event in store.collect(ReadRequest::all()).await? {
        let tags: Vec<&str> = event.tags().iter().map(Tag::as_str).collect();
        let tags = tags.join(" ");
        writeln!(
            out,
            "{:>3}  {:<18}  {tags}",
            event.position(),
            event.event_type()
        )?;
    }
    Ok(())
}

/// Lets students ask for rust at once, each in a thread, and gives how many were subscribed.
fn race<const N: usize>(courses: &Courses, students: [&str; N]) -> Result<usize> {
    let answers = thread::scope(|scope| {
        let asking = students
            .map(|student| scope.spawn(move || block_on(courses.subscribe(student, "rust"))));
        asking.map(thread::ScopedJoinHandle::join)
    });
    let mut subscribed = 0;
    for answered in answers {
        let answered = answered.map_err(|_| anyhow!("a student's thread panicked"))?;
        subscribed += usize::from(answer(answered)? == "subscribed");
    }
    Ok(subscribed)
}

/// An answer in words; an error of the store is none.
fn answer(made: Made<CourseEvent, CourseError>) -> Result<String> {
    match made {
        Ok(_) => Ok("subscribed".to_owned()),
        Err(error) => match error.refused() {
            Some(refused) => Ok(format!("refused, {refused}")),
            None => Err(error.into()),
        },
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
