//! A PostgreSQL server of one's own.

use std::io::{Error, ErrorKind, Result};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::{env, fs};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::account::{Account, account, folder_for};
use crate::supervisor::Supervisor;
use crate::{PostgresBinaries, is_without_services};

/// Makes a cluster unless there is one, a copy of the primary where it is a replica, starts the server, says so, and stops it at the end of the input.
const SCRIPT: &str = r#"
initdb=$1 pg_ctl=$2 folder=$3 options=$4 basebackup=$5 primary=$6
if [ ! -e "$folder/data/PG_VERSION" ] && [ -n "$primary" ]; then
    "$basebackup" --pgdata="$folder/data" --dbname="$primary" --write-recovery-conf --wal-method=stream \
        --checkpoint=fast --no-sync >"$folder/basebackup.log" 2>&1 || { cat "$folder/basebackup.log" >&2; exit 1; }
    chmod 700 "$folder/data"
elif [ ! -e "$folder/data/PG_VERSION" ]; then
    "$initdb" --pgdata="$folder/data" --username=annals --auth=trust --encoding=UTF8 --locale=C --no-sync \
        >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
fi
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    # Of a server that was killed, the processes take a moment to end.
    if "$pg_ctl" start --wait --timeout=60 --pgdata="$folder/data" --log="$folder/log" -o "$options" >/dev/null 2>&1
    then
        echo ready
        keep=
        while read -r word; do keep=$word; done
        "$pg_ctl" stop --mode=immediate --pgdata="$folder/data" >/dev/null 2>&1
        [ "$keep" = keep ] || rm -rf "$folder"
        exit 0
    fi
    sleep 0.3
done
cat "$folder/log" >&2
exit 1
"#;

/// How many free ports are tried: another process may take one before the server does.
const PORTS_MAX: u32 = 5;

/// Whether what is committed is forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskSync {
    /// It is, as in earnest.
    #[default]
    On,
    /// It is not: a loss of power would lose commits. For tests that are about something else, which are then faster.
    OffLosesCommitsOnPowerLoss,
}

/// A PostgreSQL server in a temporary folder, on a port of `127.0.0.1`; superuser `annals` without a password,
/// database `postgres`. It ends, and its folder goes, when it is dropped or the process is gone.
#[derive(Debug)]
pub struct PostgresServer {
    supervisor: Option<Supervisor>,
    folder: TempDir,
    account: Option<Account>,
    binaries: PostgresBinaries,
    port: u16,
    disk_sync: DiskSync,
    /// The address of the server that it is a replica of.
    primary: Option<String>,
}

impl PostgresServer {
    /// The address of the server that the tests of a binary share: that of `ANNALS_TEST_POSTGRES_URL`, or one that is
    /// started, with [`DiskSync::OffLosesCommitsOnPowerLoss`], when it is asked for first. `None` when
    /// `ANNALS_WITHOUT_SERVICES` is `1`: the caller's test is then skipped, which is said on standard error.
    ///
    /// # Errors
    /// As for [`start`](Self::start); the first failure stays.
    pub fn shared() -> Result<Option<String>> {
        static SHARED: LazyLock<Mutex<Option<PostgresServer>>> = LazyLock::new(Mutex::default);
        if is_without_services() {
            return Ok(None);
        }
        if let Some(url) = named() {
            return Ok(Some(url));
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = &*shared {
            return Ok(Some(server.url()));
        }
        let server = Self::start(DiskSync::OffLosesCommitsOnPowerLoss)?;
        let url = server.url();
        *shared = Some(server);
        Ok(Some(url))
    }

    /// A server for one test, whatever `ANNALS_TEST_POSTGRES_URL` says; `None` as for [`shared`](Self::shared), and
    /// where that variable names a server and the machine has no PostgreSQL to start another.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn own(disk_sync: DiskSync) -> Result<Option<Self>> {
        if is_without_services() {
            return Ok(None);
        }
        match Self::start(disk_sync) {
            Err(error) if error.kind() == ErrorKind::NotFound && named().is_some() => Ok(None),
            started => started.map(Some),
        }
    }

    /// Starts a server. Root can't run one, so that another account of the machine does where root asks: `postgres`
    /// or `nobody`, else any.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no PostgreSQL on the machine; what the server wrote when it ends at once.
    pub fn start(disk_sync: DiskSync) -> Result<Self> {
        Self::start_as(disk_sync, None)
    }

    /// Starts a streaming replica of this server, by `pg_basebackup`: a server of its own, that answers reads.
    ///
    /// # Errors
    /// As for [`start`](Self::start); [`ErrorKind::Unsupported`] where the server's programs have no `pg_basebackup` among
    /// them, as those have not that `cargo xtask services --postgres` fetches.
    pub fn replica(&self) -> Result<Self> {
        if !self.binaries.can_copy() {
            let message = "the folder of the server has no pg_basebackup; install PostgreSQL with its clients to test replicas";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Self::start_as(self.disk_sync, Some(&self.url()))
    }

    fn start_as(disk_sync: DiskSync, primary: Option<&str>) -> Result<Self> {
        let binaries = PostgresBinaries::find()?;
        let account = account()?;
        let mut failure = Error::other("no port was tried");
        for _ in 0..PORTS_MAX {
            let folder = folder_for(account)?;
            let mut server = Self {
                supervisor: None,
                folder,
                account,
                binaries: binaries.clone(),
                port: free_port()?,
                disk_sync,
                primary: primary.map(str::to_owned),
            };
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// What a client connects to.
    pub fn url(&self) -> String {
        format!("postgres://annals@127.0.0.1:{}/postgres", self.port)
    }

    /// The port, on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the first process of the server, with no time to tidy up: as when the machine kills it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        let path = self.folder.path().join("data/postmaster.pid");
        let text = fs::read_to_string(path)?;
        let number = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok());
        let pid = number.and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::new(ErrorKind::InvalidData, "no process id"))?;
        kill_process(pid, Signal::KILL)?;
        Ok(())
    }

    /// Starts it again on the same data and port, after [`kill`](Self::kill).
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.tell("keep")?;
        }
        self.supervisor = None;
        self.launch()
    }

    fn launch(&mut self) -> Result<()> {
        let folder = self.folder.path();
        if let Some(Account { user, group }) = self.account {
            chown(folder, Some(user), Some(group))?;
        }
        let sync = match self.disk_sync {
            DiskSync::On => "",
            DiskSync::OffLosesCommitsOnPowerLoss => "-c fsync=off -c full_page_writes=off",
        };
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300 {sync}",
            self.port
        );
        let [initdb, pg_ctl, basebackup, folder] = [
            self.binaries.program("initdb"),
            self.binaries.program("pg_ctl"),
            self.binaries.program("pg_basebackup"),
            folder.to_path_buf(),
        ]
        .map(|path: PathBuf| path.to_string_lossy().into_owned());
        let primary = self.primary.as_deref().unwrap_or_default();
        let arguments = [
            &*initdb,
            &*pg_ctl,
            &*folder,
            &*options,
            &*basebackup,
            primary,
        ];
        self.supervisor = Some(Supervisor::start(SCRIPT, &arguments, self.account)?);
        Ok(())
    }
}

/// The address of a server that somebody else has started.
fn named() -> Option<String> {
    env::var("ANNALS_TEST_POSTGRES_URL").ok()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
