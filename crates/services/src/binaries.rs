//! Where the programs of PostgreSQL are.

use std::cmp::Reverse;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The programs that a server takes.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// The folder that holds `initdb`, `pg_ctl` and `postgres`, of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresBinaries {
    folder: PathBuf,
}

impl PostgresBinaries {
    /// The oldest version that annals is made for.
    pub const MAJOR_MIN: u32 = 14;

    /// Looks through `PATH`, then through the places where distributions put them, the newest version first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], saying how to get them.
    pub fn find() -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(versions_in(Path::new("/usr/lib/postgresql")));
        folders
            .filter(|folder| PROGRAMS.iter().all(|name| folder.join(name).is_file()))
            .map(|folder| Self { folder })
            .next()
            .ok_or_else(|| {
                let message = "no PostgreSQL server on this machine; install one by `cargo xtask services`, \
                               name one in ANNALS_TEST_POSTGRES_URL (compose.yaml has one), or do without by \
                               `cargo xtask test --without-services`";
                Error::new(ErrorKind::NotFound, message)
            })
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
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
