//! The server: what it is, and how long the processor has worked for it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_postgres::{Client, NoTls, connect};

/// The server's first process, on this machine.
#[derive(Debug)]
pub struct Server {
    process: u32,
}

/// What the server says that it is, and how it keeps what it acknowledges.
pub fn described(url: &str) -> Result<String> {
    let settings = [
        "server_version",
        "fsync",
        "wal_sync_method",
        "synchronous_commit",
    ];
    let said = asked(url, async |client| {
        let mut said = Vec::new();
        for setting in settings {
            let row = client
                .query_one("SELECT current_setting($1)", &[&setting])
                .await?;
            said.push(row.try_get::<_, String>(0)?);
        }
        Ok(said)
    })?;
    let [version, fsync, method, commit] = &*said else {
        bail!("the server did not tell its settings");
    };
    Ok(format!(
        "PostgreSQL {version}, fsync {fsync} by {method}, synchronous_commit {commit}"
    ))
}

impl Server {
    /// The one at this address, which must be on this machine.
    pub fn at(url: &str) -> Result<Self> {
        let said: String = asked(url, async |client| {
            let row = client
                .query_one("SELECT pg_read_file('postmaster.pid')", &[])
                .await?;
            Ok(row.try_get(0)?)
        })?;
        let line = said.lines().next().context("no process id")?;
        Ok(Self {
            process: line.trim().parse()?,
        })
    }

    /// How long the processor has worked for it and for its processes, those that are gone too.
    pub fn cpu(&self) -> Result<Duration> {
        let first = || Stat::of(self.process).context("the server is gone");
        let ticks = loop {
            let before = first()?;
            let mut ticks = before.all();
            for entry in fs::read_dir("/proc")? {
                let name = entry?.file_name();
                let process = name.to_str().and_then(|name| name.parse().ok());
                // A process may end while it is looked at.
                if let Some(stat) = process.and_then(Stat::of)
                    && stat.parent == self.process
                {
                    ticks += stat.own;
                }
            }
            // Else one ended meanwhile, and was counted twice or not at all.
            if first()?.children == before.children {
                break ticks;
            }
        };
        Ok(Duration::from_millis(
            ticks * 1000 / rustix::param::clock_ticks_per_second(),
        ))
    }
}

/// What is told of a process.
struct Stat {
    parent: u32,
    /// Its own work, and that of its children that are gone, in ticks of the clock.
    own: u64,
    children: u64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        Self::parsed(&text)
    }

    fn parsed(text: &str) -> Option<Self> {
        // The name stands in brackets, and may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            children: number(13)? + number(14)?,
        })
    }

    fn all(&self) -> u64 {
        self.own + self.children
    }
}

fn asked<T>(url: &str, ask: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (client, connection) = connect(url, NoTls).await?;
        tokio::spawn(connection);
        ask(&client).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_of_a_process_is_read_past_its_name() {
        let text = "42 (a ) b) S 7 42 42 0 -1 0 1 2 3 4 100 20 3 4 20 0 1 0 5\n";
        let stat = Stat::parsed(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.all()), (7, 120, 127));
    }
}
