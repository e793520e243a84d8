//! The machine of a run, for the head of its output.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What is to be known of a machine to read its figures.
#[derive(Clone, Debug)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub file_system: String,
}

impl Machine {
    /// This machine, with the file system of `dir`.
    ///
    /// # Errors
    /// When `dir` is in memory, where a sync means nothing.
    pub fn of(dir: &Path) -> Result<Self> {
        let file_system = file_system(dir)?;
        if ["tmpfs", "ramfs"].contains(&file_system.as_str()) {
            bail!(
                "{} is on a {file_system}, where fdatasync means nothing; choose a folder on a disk with --dir",
                dir.display()
            );
        }
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let name = name.map(|name| name.trim_start_matches([' ', '\t', ':']));
        Ok(Self {
            processor: name.unwrap_or("an unknown processor").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: memory_gib(),
            file_system,
        })
    }
}

fn memory_gib() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram * u64::from(info.mem_unit)).div_ceil(1 << 30)
}

/// The type of the file system that holds `dir`, by the longest mount point above it.
fn file_system(dir: &Path) -> Result<String> {
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        dir.starts_with(point).then_some((point.len(), kind))
    });
    // Of two mounts on one point the later hides the earlier, and `max_by_key` keeps the last.
    let (_, kind) = above
        .max_by_key(|(length, _)| *length)
        .context("no mount point is above the folder")?;
    Ok(kind.to_owned())
}
