//! The workloads and the subjects by name.

use clap::ValueEnum;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// One writer, one event an append
    One,
    /// 64 writers, one event an append each, on different streams
    Many,
    /// One writer, 100 events an append
    Hundred,
    /// Read a whole log in pages of 1,000
    CatchUp,
    /// Read random streams of 10 events
    Streams,
    /// Make the log that the others read
    #[value(hide = true)]
    Fill,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// annals
    Annals,
    /// annals, the writers in two processes
    AnnalsTwo,
    /// Bare prepared statements on a plain table
    Bare,
    /// postgres-es, the store of cqrs-es
    CqrsEs,
    /// disintegrate-postgres
    Disintegrate,
}

impl Workload {
    /// All that are measured, in the order of the table.
    pub const MEASURED: [Self; 5] = [
        Self::One,
        Self::Many,
        Self::Hundred,
        Self::CatchUp,
        Self::Streams,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::One => "1 writer, one event an append (events/s)",
            Self::Many => "64 writers, one event an append each (events/s)",
            Self::Hundred => "1 writer, 100 events an append (events/s)",
            Self::CatchUp => "read the log in pages of 1,000 (events/s)",
            Self::Streams => "read random streams of 10 events (streams/s)",
            Self::Fill => "fill",
        }
    }

    /// Whether it reads the log that [`Fill`](Self::Fill) makes.
    pub fn reads(self) -> bool {
        matches!(self, Self::CatchUp | Self::Streams)
    }

    pub fn writers(self) -> usize {
        if self == Self::Many { 64 } else { 1 }
    }
}

impl Name {
    /// In how many processes the writers are.
    pub fn processes(self) -> usize {
        if self == Self::AnnalsTwo { 2 } else { 1 }
    }

    /// The oldest server that it runs on.
    pub fn major_min(self) -> u32 {
        if self == Self::Disintegrate { 16 } else { 14 }
    }

    /// Whether the workload is measured on it.
    pub fn runs(self, workload: Workload) -> bool {
        match self {
            Self::Annals | Self::Bare => true,
            Self::AnnalsTwo => workload == Workload::Many,
            Self::CqrsEs | Self::Disintegrate => !workload.reads() && workload != Workload::Fill,
        }
    }

    /// What it is, for the foot of the table.
    pub fn note(self) -> &'static str {
        match self {
            Self::Annals => "annals-store-postgres, defaults; 10 connections at most",
            Self::AnnalsTwo => "the same, 32 writers in each of two processes",
            Self::Bare => {
                "prepared statements on a table with a sequence and a unique index on stream and version; \
                 the 64 writers share 16 connections, which pipeline"
            }
            Self::CqrsEs => {
                "postgres-es 0.5: its event repository alone, sequence known, 16 connections, \
                 not tested before use"
            }
            Self::Disintegrate => {
                "disintegrate-postgres 4.0: append under the condition of the order's stream, 16 connections, \
                 not tested before use; repeated after a failed serialization"
            }
        }
    }
}

/// The name of a value on the command line.
pub fn text(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}
