//! Whom a server runs as, and where it may keep its files.

use std::fs::{Metadata, metadata, read_to_string};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, iter};

use rustix::process::getuid;
use tempfile::TempDir;

/// A user and a group of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// Whom the server runs as: nobody else, or, where we are root, somebody who is not.
pub(crate) fn account() -> Result<Option<Account>> {
    if !getuid().is_root() {
        return Ok(None);
    }
    let accounts = read_to_string("/etc/passwd")?;
    let message = "root can't run PostgreSQL, and there is no other account on this machine; add one by `useradd`";
    chosen(&accounts)
        .map(Some)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, message))
}

/// `postgres`, else `nobody`, else the first that is not root.
fn chosen(accounts: &str) -> Option<Account> {
    let known: Vec<(&str, Account)> = accounts.lines().filter_map(parsed).collect();
    let named = |name: &str| known.iter().find(|(found, _)| *found == name);
    let (_, account) = named("postgres")
        .or_else(|| named("nobody"))
        .or_else(|| known.first())?;
    Some(*account)
}

fn parsed(line: &str) -> Option<(&str, Account)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let mut numbers = fields.skip(1).map(|field| field.parse().ok());
    let (user, group) = (numbers.next()??, numbers.next()??);
    (user != 0).then_some((name, Account { user, group }))
}

/// A folder that goes when it is dropped, in the first of the usual places that this account can reach.
pub(crate) fn folder_for(account: Option<Account>) -> Result<TempDir> {
    let usual = ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from);
    let places = iter::once(env::temp_dir()).chain(usual);
    let mut failure = None;
    for place in places.filter(|place| account.is_none_or(|account| reaches(account, place))) {
        match tempfile::Builder::new()
            .prefix("annals-pg-")
            .tempdir_in(&place)
        {
            Ok(folder) => return Ok(folder),
            Err(error) => failure = Some(error),
        }
    }
    let message = "no folder for temporary files that another account than root can reach; name one in TMPDIR";
    Err(failure.unwrap_or_else(|| Error::new(ErrorKind::NotFound, message)))
}

/// Whether the account may pass through every folder on the way, and this one.
fn reaches(account: Account, place: &Path) -> bool {
    place
        .ancestors()
        .all(|folder| metadata(folder).is_ok_and(|found| lets_through(account, &found)))
}

fn lets_through(account: Account, folder: &Metadata) -> bool {
    let bit = if folder.uid() == account.user {
        0o100
    } else if folder.gid() == account.group {
        0o010
    } else {
        0o001
    };
    folder.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_account_is_chosen_that_is_not_root() {
        let root = "root:x:0:0:root:/root:/bin/bash\n";
        let others = "daemon:x:1:2::/:/bin/false\nnobody:x:65534:65533::/:/bin/false\n";
        let postgres = "postgres:x:101:102::/:/bin/sh\n";
        for (accounts, expected) in [
            (format!("{root}{others}{postgres}"), Some((101, 102))),
            (format!("{root}{others}"), Some((65534, 65533))),
            (
                format!("{root}app:x:1000:1001::/:/bin/sh\n"),
                Some((1000, 1001)),
            ),
            (format!("{root}nonsense\n"), None),
        ] {
            let expected = expected.map(|(user, group)| Account { user, group });
            assert_eq!(chosen(&accounts), expected, "{accounts}");
        }
    }

    #[test]
    fn a_folder_is_reached_through_folders_that_let_pass() -> Result<()> {
        let stranger = Account {
            user: 4_000_000,
            group: 4_000_000,
        };
        let outer = folder_for(Some(stranger))?;
        let inner = outer.path().join("inner");
        std::fs::create_dir(&inner)?;
        for (of_outer, of_inner, expected) in [
            (0o711, 0o755, true),
            (0o700, 0o755, false),
            (0o755, 0o750, false),
        ] {
            set_permissions(outer.path(), Permissions::from_mode(of_outer))?;
            set_permissions(&inner, Permissions::from_mode(of_inner))?;
            assert_eq!(
                reaches(stranger, &inner),
                expected,
                "{of_outer:o} {of_inner:o}"
            );
        }
        Ok(())
    }
}
