//! The four commands. Each imports into a store in memory first, and then asks the store.

use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use annals::MemoryStore;
use anyhow::{Result, bail};

use crate::cli::{Against, Cli, Command, Verify};
use crate::git::{GitPath, Mainline, Repository, TreeSource};
use crate::history::{History, Imported, Summary};
use crate::progress::Step;
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
/// When the repository or what the command names can't be read, and when `out` can't be written.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<Outcome> {
    let format = if cli.json { Format::Json } else { Format::Text };
    match (&cli.command, &cli.repository) {
        (Some(_), Some(repository)) => bail!(
            "{} stands before the command; give the repository after it",
            repository.display()
        ),
        (None, Some(repository)) if !repository.is_dir() => bail!(
            "{} is neither a command nor a folder; give the path of a git repository, or see --help",
            repository.display()
        ),
        (None, None) => import(Path::new("."), format, out),
        (None, Some(repository)) | (Some(Command::Import { repository }), None) => {
            import(repository, format, out)
        }
        (Some(Command::At { repository, when }), None) => at(repository, when, format, out),
        (Some(Command::Log { repository, path }), None) => log(repository, path, format, out),
        (Some(Command::Verify(options)), None) => verify_commits(options, format, out),
    }
}

/// A repository whose history is in a store.
struct Loaded {
    repository: Repository,
    mainline: Mainline,
    imported: Imported,
    store: MemoryStore,
    took: Duration,
}

impl Loaded {
    fn open(path: &Path) -> Result<Self> {
        let repository = Repository::open(path)?;
        let mainline = repository.mainline()?;
        Self::import(repository, mainline)
    }

    fn import(repository: Repository, mainline: Mainline) -> Result<Self> {
        let store = MemoryStore::new();
        let step = Step::begin("importing", mainline.len());
        let imported = History::new(&store).import(&repository, &mainline, || step.advance())?;
        let took = step.end();
        Ok(Self {
            repository,
            mainline,
            imported,
            store,
            took,
        })
    }

    fn history(&self) -> History<'_> {
        History::new(&self.store)
    }
}

fn import(path: &Path, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let loaded = Loaded::open(path)?;
    let step = Step::begin("folding", loaded.imported.events);
    let summary = loaded.history().summary(|| step.advance())?;
    let report = report::Import {
        place: &loaded.repository.place(),
        mainline: &loaded.mainline,
        imported: &loaded.imported,
        summary: &summary,
        imported_in: loaded.took,
        folded_in: step.end(),
    };
    while_read(report.print(format, out))?;
    Ok(Outcome::Done)
}

fn at(path: &Path, when: &str, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let repository = Repository::open(path)?;
    let mainline = repository.mainline()?;
    // A revision that there is not is told before the work, not after.
    let place = repository.resolve(&mainline, when)?;
    let loaded = Loaded::import(repository, mainline)?;
    let (Some(link), Some(cursor)) = (
        loaded.mainline.links().get(place),
        loaded.imported.cursors.get(place),
    ) else {
        bail!("the mainline has no commit {place}");
    };
    let tree = loaded.history().tree_at(cursor)?;
    while_read(report::tree(link, &tree, format, out))?;
    Ok(Outcome::Done)
}

fn log(path: &Path, file: &OsStr, format: Format, out: &mut dyn Write) -> Result<Outcome> {
    let meant = paths_meant(file)?;
    let loaded = Loaded::open(path)?;
    for path in &meant {
        let entries = loaded.history().log(path)?;
        if !entries.is_empty() {
            while_read(report::log(&entries, format, out))?;
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

fn verify_commits(options: &Verify, format: Format, out: &mut dyn Write) -> Result<Outcome> {
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
    let loaded = Loaded::import(repository, mainline)?;
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
    let (history, imported) = (loaded.history(), &loaded.imported);
    let verification = verify(
        &history,
        imported,
        &loaded.mainline,
        &source,
        &places,
        || step.advance(),
    )?;
    let took = step.end();
    let report = report::Verified {
        verification: &verification,
        source: source.name(),
        total,
        seed,
        took,
    };
    while_read(report.print(format, out))?;
    Ok(if verification.different == 0 {
        Outcome::Done
    } else {
        Outcome::Different
    })
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
