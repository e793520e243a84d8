//! Where the programs of the servers are.

use std::cmp::Reverse;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The programs that a server takes.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// The program that a replica takes beside, which builds of the server alone do without.
const COPIES: &str = "pg_basebackup";

/// The folder that holds `initdb`, `pg_ctl` and `postgres` of one version, and maybe `pg_basebackup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresBinaries {
    folder: PathBuf,
}

impl PostgresBinaries {
    /// The oldest version that annals is made for.
    pub const MAJOR_MIN: u32 = 14;

    /// The environment variable that names the folder of the programs to take, of a version of one's own choice.
    pub const FOLDER: &str = "ANNALS_TEST_POSTGRES_BIN";

    /// Takes the folder that [`FOLDER`](Self::FOLDER) names; else looks through `PATH`, then through the places where
    /// distributions put them, the newest version first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], saying how to get them; [`ErrorKind::InvalidInput`] when the folder that is named does
    /// not hold them.
    pub fn find() -> Result<Self> {
        if let Some(named) = env::var_os(Self::FOLDER) {
            return Self::at(named.into());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let usual = versions_in(Path::new("/usr/lib/postgresql"));
        env::split_paths(&path)
            .chain(usual)
            .find(|folder| holds_programs(folder))
            .map(|folder| Self { folder })
            .ok_or_else(|| {
                let message = "no PostgreSQL server on this machine; install one by `cargo xtask services`, \
                               name one in ANNALS_TEST_POSTGRES_URL (compose.yaml has one), or do without by \
                               `cargo xtask test --without-services`";
                Error::new(ErrorKind::NotFound, message)
            })
    }

    /// The programs of this folder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it does not hold all of them.
    pub fn at(folder: PathBuf) -> Result<Self> {
        if holds_programs(&folder) {
            return Ok(Self { folder });
        }
        let message = format!(
            "{} does not hold {}; name a folder that does in {}",
            folder.display(),
            PROGRAMS.join(", "),
            Self::FOLDER
        );
        Err(Error::new(ErrorKind::InvalidInput, message))
    }

    /// The folder where `cargo xtask services --postgres <major>` puts the programs of that version.
    pub fn installed_in(major: u32) -> PathBuf {
        services_folder().join(format!("postgres/{major}/bin"))
    }

    /// Whether it holds `pg_basebackup`, which a replica is made with.
    pub fn can_copy(&self) -> bool {
        self.folder.join(COPIES).is_file()
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The program `nats-server`, of a version that has atomic batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsBinary {
    program: PathBuf,
}

impl NatsBinary {
    /// The oldest version that annals is made for: major and minor.
    pub const VERSION_MIN: (u32, u32) = (2, 12);

    /// Looks through `PATH`, then where `cargo xtask services` puts it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], saying how to get it.
    pub fn find() -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([Self::installed_in()]);
        folders
            .map(|folder| folder.join("nats-server"))
            .find(|program| version_of(program).is_some_and(|found| found >= Self::VERSION_MIN))
            .map(|program| Self { program })
            .ok_or_else(|| {
                let message = "no NATS server 2.12 or later on this machine; install one by `cargo xtask services`, \
                               name one in ANNALS_TEST_NATS_URL (compose.yaml has one), or do without by \
                               `cargo xtask test --without-services`";
                Error::new(ErrorKind::NotFound, message)
            })
    }

    /// The folder where `cargo xtask services` puts the program.
    pub fn installed_in() -> PathBuf {
        services_folder().join("nats")
    }

    /// The path of the program.
    pub fn path(&self) -> &Path {
        &self.program
    }
}

/// Where `cargo xtask services` puts what it fetches.
fn services_folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    target.join("services")
}

fn holds_programs(folder: &Path) -> bool {
    PROGRAMS.iter().all(|name| folder.join(name).is_file())
}

/// Major and minor of what the program says its version is.
fn version_of(program: &Path) -> Option<(u32, u32)> {
    if !program.is_file() {
        return None;
    }
    let said = Command::new(program).arg("--version").output().ok()?;
    parsed_version(&String::from_utf8_lossy(&said.stdout))
}

fn parsed_version(said: &str) -> Option<(u32, u32)> {
    let (_, version) = said.trim().rsplit_once(['v', ' '])?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The folders `<version>/bin` of Debian, the newest first.
fn versions_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(version, _)| *version >= PostgresBinaries::MAJOR_MIN)
        .collect();
    versions.sort_by_key(|(version, _)| Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_program_says() {
        for (said, version) in [
            ("nats-server: v2.15.1\n", Some((2, 15))),
            ("nats-server: v2.9.10", Some((2, 9))),
            ("nats-server: v2.12.0-RC.1", Some((2, 12))),
            ("nonsense", None),
        ] {
            assert_eq!(parsed_version(said), version, "{said}");
        }
    }

    #[test]
    fn a_folder_that_is_named_holds_every_program() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for (number, name) in PROGRAMS.iter().enumerate() {
            let refused = PostgresBinaries::at(folder.path().to_owned()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{number} of them");
            fs::write(folder.path().join(name), "")?;
        }
        let taken = PostgresBinaries::at(folder.path().to_owned())?;
        assert_eq!(taken.program("postgres"), folder.path().join("postgres"));
        assert!(!taken.can_copy());
        fs::write(folder.path().join(COPIES), "")?;
        assert!(taken.can_copy());
        Ok(())
    }

    #[test]
    fn the_newest_version_that_will_do_comes_first() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for name in ["9.6", "13", "15", "18", "readme"] {
            fs::create_dir_all(folder.path().join(name).join("bin"))?;
        }
        let found = versions_in(folder.path());
        let expected = ["18", "15"].map(|version| folder.path().join(version).join("bin"));
        assert_eq!(found, expected);
        Ok(())
    }
}
