//! The commands. All but `tail`, `authors`, `churn` and `sizes` record first what the store lacks, and then ask the store.

mod models;

mod travel;

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use annals::{Cursor, EventStore, LogStore, StoreAddress};
use anyhow::{Context as _, Result, bail};
use indicatif::HumanCount;

use crate::cli::{Against, Cli, Command, Tail, Verify};
use crate::codec::Codec;
use crate::git::{GitPath, Mainline, Repository, TreeSource};
use crate::history::{History, Imported, RecordedCommit, Summary};
use crate::kept::{Kept, address, shown};
use crate::progress::{self, Step};
use crate::report::{self, Format};
use crate::verify::{sample, verify};

/// How a command ended that had its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Done,
    /// `verify` found a difference.
    Different,
}

/// Runs a command and prints its answer. Where `out` is a pipe that is closed, the printing ends, and the
/// outcome is what it is.
///
/// # Errors
/// When the repository, the store or what the command names can't be read, and when `out` can't be written.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<Outcome> {
    let format = if cli.json { Format::Json } else { Format::Text };
    let store = cli.store.as_deref().map(address).transpose()?;
    let target = Target {
        store: store.as_ref(),
        codec: cli.codec,
        read_model: cli.read_model.as_deref(),
    };
    match (&cli.command, &cli.repository) {
        (Some(_), Some(repository)) => bail!(
            "{} stands before the command; give the repository after it",
            repository.display()
        ),
        (None, Some(repository)) if !repository.is_dir() => bail!(
            "{} is neither a command nor a folder; give the path of a git repository, or see --help",
            repository.display()
        ),
        (None, None) => import(Path::new("."), target, format, out),
        (None, Some(repository)) | (Some(Command::Import { repository }), None) => {
            import(repository, target, format, out)
        }
        (Some(Command::At { repository, when }), None) => at(repository, when, target, format, out),
        (Some(Command::Log { repository, path }), None) => {
            log(repository, path, target, format, out)
        }
        (Some(Command::Bisect { repository, path }), None) => {
            travel::bisect(repository, path, target, format, out)
        }
        (
            Some(Command::WhatIf {
                repository,
                without,
            }),
            None,
        ) => travel::what_if(repository, without, target, format, out),
        (Some(Command::Verify(options)), None) => verify_commits(options, target, format, out),
        (Some(Command::Tail(options)), None) => tail(options, target.store, format, out),
        (Some(Command::Authors { file }), None) => models::authors(file, format, out),
        (Some(Command::Churn { file }), None) => models::churn(file, format, out),
        (Some(Command::Sizes { file, path }), None) => models::sizes(file, path, format, out),
    }
}

/// Where events are recorded, and how.
#[derive(Clone, Copy)]
struct Target<'a> {
    store: Option<&'a StoreAddress>,
    codec: Codec,
    /// What is kept in SQLite of it.
    read_model: Option<&'a Path>,
}

/// A repository whose history is in a store.
struct Loaded {
    repository: Repository,
    mainline: Mainline,
    imported: Imported,
    kept: Kept,
    took: Duration,
}

impl Loaded {
    fn open(path: &Path, target: Target<'_>) -> Result<Self> {
        let repository = Repository::open(path)?;
        let mainline = repository.mainline()?;
        Self::import(repository, mainline, target)
    }

    fn import(repository: Repository, mainline: Mainline, target: Target<'_>) -> Result<Self> {
        let kept = Kept::open(target.store)?;
        let projecting = models::begin(target, &repository, &kept)?;
        let step = Step::begin("importing", mainline.len());
        let imported = History::new(kept.store()).writing(target.codec).import(
            &repository,
            &mainline,
            |commits| step.advance_by(commits),
        )?;
        let took = step.end();
        if let Some(projecting) = projecting {
            let history = History::new(kept.store());
            projecting.finish(history.receipt(&mainline, mainline.len())?.as_ref())?;
        }
        Ok(Self {
            repository,
            mainline,
            imported,
            kept,
            took,
        })
    }

    fn history(&self) -> History<'_> {
        History::new(self.kept.store())
    }

    /// Tells where the answer comes from, when it is not from git.
    fn note(&self, store: Option<&StoreAddress>) {
        let Some(store) = store.map(shown) else {
            return;
        };
        let known = self.imported.known as u64;
        let new = (self.mainline.len() as u64).saturating_sub(known);
        let commits = HumanCount(known);
        progress::note(&match new {
            0 => format!("{store} is up to date with HEAD: {commits} commits"),
            new => {
                let new = HumanCount(new);
                format!("{store} had {commits} commits, and has {new} more now")
            }
        });
    }
}

fn import(path: &Path, target: Target<'_>, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let loaded = Loaded::open(path, target)?;
    let step = Step::begin("folding", loaded.imported.events);
    let summary = loaded.history().summary(|| step.advance())?;
    let report = report::Import {
        place: &loaded.repository.place(),
        store: target.store.map(shown),
        mainline: &loaded.mainline,
        imported: &loaded.imported,
        summary: &summary,
        imported_in: loaded.took,
        folded_in: step.end(),
    };
    while_read(report.print(format, out))?;
    loaded.kept.close()?;
    Ok(Outcome::Done)
}

fn at(
    path: &Path,
    when: &str,
    target: Target<'_>,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let repository = Repository::open(path)?;
    let mainline = repository.mainline()?;
    // A revision that there is not is told before the work, not after.
    let place = repository.resolve(&mainline, when)?;
    let loaded = Loaded::import(repository, mainline, target)?;
    loaded.note(target.store);
    let link = loaded.mainline.link(place)?;
    let cursor = loaded.history().cursor(&loaded.mainline, place)?;
    let tree = loaded.history().tree_at(&cursor)?;
    while_read(report::tree(link, &tree, format, out))?;
    loaded.kept.close()?;
    Ok(Outcome::Done)
}

fn log(
    path: &Path,
    file: &OsStr,
    target: Target<'_>,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let meant = paths_meant(file)?;
    let loaded = Loaded::open(path, target)?;
    loaded.note(target.store);
    for path in &meant {
        let entries = loaded.history().log(path)?;
        if !entries.is_empty() {
            while_read(report::log(&entries, format, out))?;
            loaded.kept.close()?;
            return Ok(Outcome::Done);
        }
    }
    let summary = loaded.history().summary(|| ())?;
    match meant.iter().find_map(|path| file_below(&summary, path)) {
        Some(below) => bail!(
            "{} is a folder; give the path of a file, such as {below}",
            file.display()
        ),
        None => bail!(
            "{} never was in the mainline of HEAD; give the path from the top of the tree",
            file.display()
        ),
    }
}

/// The paths that a person may mean: as it is typed, or else as a text form.
fn paths_meant(file: &OsStr) -> Result<Vec<GitPath>> {
    let typed = file.as_encoded_bytes();
    if typed.is_empty() {
        bail!("the path is empty; give that of a file, from the top of the tree");
    }
    let from_top = typed.strip_prefix(b"./").unwrap_or(typed);
    let decoded = str::from_utf8(from_top).ok().map(GitPath::from_encoded);
    let as_it_is = GitPath::new(from_top);
    Ok([as_it_is]
        .into_iter()
        .chain(decoded.and_then(Result::ok))
        .collect())
}

/// A file of a folder: one of now, or else one of the past.
fn file_below<'a>(summary: &'a Summary, folder: &GitPath) -> Option<&'a GitPath> {
    let name = folder.as_bytes();
    let folder = match name.strip_suffix(b"/").unwrap_or(name) {
        b"" | b"." => Vec::new(),
        name => [name, b"/"].concat(),
    };
    let now = summary.tree.iter().map(|(path, _)| path);
    now.chain(summary.changes.keys())
        .find(|path| path.as_bytes().starts_with(&folder))
}

fn verify_commits(
    options: &Verify,
    target: Target<'_>,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let repository = Repository::open(&options.repository)?;
    let source = match options.against {
        None => TreeSource::choose(&repository),
        Some(Against::Walk) => TreeSource::walk(&repository),
        Some(Against::Git) => match TreeSource::choose(&repository) {
            TreeSource::Walk(_) => bail!("there is no git on the PATH that reads this repository"),
            git @ TreeSource::Git(_) => git,
        },
    };
    let mainline = repository.mainline()?;
    let loaded = Loaded::import(repository, mainline, target)?;
    loaded.note(target.store);
    let total = loaded.mainline.len();
    // Without a seed a run chooses by chance, as the standard library seeds its hash maps.
    let seed = options
        .seed
        .unwrap_or_else(|| RandomState::new().hash_one(0));
    let (places, seed) = if options.all {
        ((0..total).collect(), None)
    } else {
        (sample(total, options.commits.get(), seed), Some(seed))
    };
    let step = Step::begin("verifying", places.len());
    let history = loaded.history();
    let verification = verify(&history, &loaded.mainline, &source, &places, || {
        step.advance();
    })?;
    let took = step.end();
    let report = report::Verified {
        verification: &verification,
        source: source.name(),
        total,
        seed,
        took,
    };
    while_read(report.print(format, out))?;
    loaded.kept.close()?;
    Ok(if verification.different == 0 {
        Outcome::Done
    } else {
        Outcome::Different
    })
}

/// Reads a store beside the one process that may write to it.
fn tail(
    options: &Tail,
    store: Option<&StoreAddress>,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let address = store.context("tail prints what is in a store; name it with --store STORE")?;
    let StoreAddress::Log(directory) = address else {
        let kept = Kept::open_existing(address)?;
        return tail_of(kept.store(), options, format, out);
    };
    let store = LogStore::builder(directory)
        .follow()
        .with_context(|| format!("the store in {} can't be read", directory.display()))?;
    tail_of(&store, options, format, out)
}

fn tail_of(
    store: &dyn EventStore,
    options: &Tail,
    format: Format,
    out: &mut dyn Write,
) -> Result<Outcome> {
    let history = History::new(store);
    let count = if options.all {
        usize::MAX
    } else {
        options.commits
    };
    let (newest, seen) = history.newest(count)?;
    let mut print = |commit: &RecordedCommit| report::commit(commit, format, out);
    let printed = newest.iter().try_for_each(&mut print);
    while_read(match printed {
        Ok(()) if options.follow => follow(&history, seen, print),
        printed => printed,
    })?;
    Ok(Outcome::Done)
}

/// Visits what is recorded after a place as it comes, until something fails.
fn follow(
    history: &History<'_>,
    mut seen: Cursor,
    mut visit: impl FnMut(&RecordedCommit) -> Result<()>,
) -> Result<()> {
    loop {
        history.wait(&seen)?;
        seen = history.visit_after(seen, &mut visit)?;
    }
}

/// Whoever reads may have seen enough, as `head` has: that ends the printing, and is no error.
fn while_read(printed: Result<()>) -> Result<()> {
    match printed {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        printed => printed,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
