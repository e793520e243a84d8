//! The story of two courses and their students, told as it happens: `dcb`.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use annals::{AnyStore, Decisions, EventStoreExt, JsonCodec, ReadRequest, StoreAddress, Tag};
use anyhow::{Result, anyhow};
use clap::Parser;
use dcb::Made;
use dcb::course::{CourseError, CourseEvent, Courses};
use futures_executor::block_on;

/// Tells the story of two courses and their students, as it happens.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Keep the courses here, in a store that is new: a directory, `memory:`, `postgres://user@host/database`, or
    /// `nats://host:4222/<log>`.
    // It is parsed later, as a complaint about an argument would repeat it, with its password.
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
}

fn main() -> Result<()> {
    let Options { store } = Options::parse();
    // Without a directory there is one for the time of the story.
    let scratch = tempfile::tempdir()?;
    let address = match store {
        Some(text) => text.parse()?,
        None => StoreAddress::Log(scratch.path().join("store")),
    };
    // A store on PostgreSQL or NATS works on it; the others need none.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    match block_on(tell(address, &mut io::stdout().lock())) {
        // Whoever listens has heard enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        told => told,
    }
}

async fn tell(address: StoreAddress, out: &mut impl Write) -> Result<()> {
    let store = Arc::new(AnyStore::at(address).open_or_create().await?);
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
