//! The subjects by name.

use anyhow::Result;
use clap::ValueEnum;

use crate::commands;
use crate::frameworks::cqrs::Cqrs;
use crate::frameworks::evento::{Evento, Kept, Replayed};
use crate::frameworks::repository::{self, Nothing, States};
use crate::subjects::annals::{Annals, Log, Memory};
use crate::subjects::fjall::Fjall;
use crate::subjects::limit::Limit;
use crate::subjects::redb::Redb;
use crate::subjects::sqlite::Sqlite;
use crate::subjects::tephra::Tephra;
use crate::subjects::umadb::Uma;
use crate::workload::{self, Figures, Plan, Workload};

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// The bare machine: pwrite, fdatasync, memory map, serde_json
    Limit,
    /// annals, the embedded store
    Annals,
    /// annals, the memory store
    AnnalsMemory,
    /// tephra
    Tephra,
    /// The core of UmaDB
    Umadb,
    /// fjall as an event log
    Fjall,
    /// redb as an event log
    Redb,
    /// SQLite as an event log
    Sqlite,
    /// annals, a repository over the embedded store
    Repository,
    /// The same with a cache of states
    RepositoryCached,
    /// cqrs-es over SQLite
    CqrsEs,
    /// evento over Fjall
    Evento,
    /// The same with states kept in memory
    EventoCached,
}

impl Name {
    /// All that are durable, in the order of the table.
    pub fn durable() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|name| name.is_durable()).collect()
    }

    /// These, in the order of the table, each once.
    pub fn in_order(names: &[Self]) -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|name| names.contains(name)).collect()
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Annals => "annals",
            Self::AnnalsMemory => "annals-memory",
            Self::Tephra => "tephra",
            Self::Umadb => "umadb",
            Self::Fjall => "fjall",
            Self::Redb => "redb",
            Self::Sqlite => "sqlite",
            Self::Repository => "repository",
            Self::RepositoryCached => "repository-cached",
            Self::CqrsEs => "cqrs-es",
            Self::Evento => "evento",
            Self::EventoCached => "evento-cached",
        }
    }

    /// What it is, for the foot of the table.
    pub fn note(self) -> &'static str {
        match self {
            Self::Limit => {
                "a bare file: pwrite + fdatasync on written blocks (W4: large writes), memory map, \
                 offsets in memory; W7 decoded is serde_json alone"
            }
            Self::Annals => {
                "LogStore, defaults; records event ids and append ids, which nobody else does"
            }
            Self::AnnalsMemory => "MemoryStore, not durable",
            Self::Tephra => "0.4, segments of 256 MiB, 64 writers are threads; streams are tags",
            Self::Umadb => "umadb-core 0.7.8, memory map, our batching writer; streams are tags",
            Self::Fjall => "3, fdatasync a batch, our batching writer",
            Self::Redb => "4, defaults, our batching writer",
            Self::Sqlite => "bundled, WAL, synchronous FULL, our batching writer",
            Self::Repository => "annals: Repository and JsonCodec over LogStore, defaults",
            Self::RepositoryCached => "the same with_cache, defaults",
            Self::CqrsEs => {
                "0.5 over SQLite: WAL, synchronous FULL, one connection writes, our event repository"
            }
            Self::Evento => {
                "2.0.0-alpha.38 over Fjall, a sync for each commit, snapshot(none), bitcode"
            }
            Self::EventoCached => "the same with snapshot(memory)",
        }
    }

    pub fn is_durable(self) -> bool {
        self != Self::AnnalsMemory
    }

    /// Whether it is a framework, and not a store.
    fn is_framework(self) -> bool {
        matches!(
            self,
            Self::Repository
                | Self::RepositoryCached
                | Self::CqrsEs
                | Self::Evento
                | Self::EventoCached
        )
    }

    /// Whether the workload means anything to it.
    pub fn runs(self, workload: Workload) -> bool {
        if self.is_framework() || workload.is_of_frameworks() {
            return self.is_framework() && workload.is_of_frameworks();
        }
        match workload {
            Workload::W10 => {
                matches!(
                    self,
                    Self::Annals | Self::AnnalsMemory | Self::Tephra | Self::Umadb
                )
            }
            Workload::W9 => self.is_durable() && self != Self::Limit,
            _ => true,
        }
    }

    /// Runs a workload on it in this process.
    pub fn run(self, workload: Workload, plan: &Plan) -> Result<Figures> {
        match self {
            Self::Limit => workload::run::<Limit>(workload, plan),
            Self::Annals => workload::run::<Annals<Log>>(workload, plan),
            Self::AnnalsMemory => workload::run::<Annals<Memory>>(workload, plan),
            Self::Tephra => workload::run::<Tephra>(workload, plan),
            Self::Umadb => workload::run::<Uma>(workload, plan),
            Self::Fjall => workload::run::<Fjall>(workload, plan),
            Self::Redb => workload::run::<Redb>(workload, plan),
            Self::Sqlite => workload::run::<Sqlite>(workload, plan),
            Self::Repository => commands::run::<repository::Annals<Nothing>>(workload, plan),
            Self::RepositoryCached => commands::run::<repository::Annals<States>>(workload, plan),
            Self::CqrsEs => commands::run::<Cqrs>(workload, plan),
            Self::Evento => commands::run::<Evento<Replayed>>(workload, plan),
            Self::EventoCached => commands::run::<Evento<Kept>>(workload, plan),
        }
    }
}
