//! A case: what it is called, what it needs, and what it does.

use annals_core::{AppendScope, Capabilities};
use futures_util::future::BoxFuture;

use crate::backend::{Stores, TimeSource};
use crate::bench::Bench;
use crate::failure::Verdict;

/// One claim of the contract, as something to run on a fresh store.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// The claim; the name of the function that holds the store to it.
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: for<'a> fn(&'a Bench) -> BoxFuture<'a, Verdict>,
}

/// What a store must offer for a case to apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    MultiStreamAppends,
    StreamChecks,
    Conditions,
    UniqueEventIds,
    BackwardReads,
    StreamPolicies,
    TotalOrder,
    DensePositions,
    Clock,
    Snapshots,
    Checkpoints,
    /// Appends to several streams, checks and conditions, at least within a partition key.
    AppendsOfOneKey,
}

impl Need {
    /// Why a store that offers this does not meet the need; `None` when it does.
    pub(crate) fn unmet(
        self,
        stores: &Stores,
        capabilities: &Capabilities,
    ) -> Option<&'static str> {
        let is_wide = capabilities.append_scope == AppendScope::Store;
        let (met, reason) = match self {
            Self::MultiStreamAppends => (
                is_wide && capabilities.multi_stream_appends,
                "not offered: appends to several streams",
            ),
            Self::StreamChecks => (
                is_wide && capabilities.stream_checks,
                "not offered: checks on streams that are not written",
            ),
            Self::Conditions => (
                is_wide && capabilities.conditions,
                "not offered: conditions",
            ),
            Self::AppendsOfOneKey => (
                capabilities.multi_stream_appends
                    && capabilities.stream_checks
                    && capabilities.conditions,
                "not offered: appends to several streams of a partition key",
            ),
            Self::UniqueEventIds => (
                capabilities.unique_event_ids,
                "not offered: unique event ids",
            ),
            Self::BackwardReads => (capabilities.backward_reads, "not offered: backward reads"),
            Self::StreamPolicies => (capabilities.stream_policies, "not offered: stream policies"),
            Self::TotalOrder => (
                capabilities.total_order,
                "not offered: one order of all events",
            ),
            Self::DensePositions => (
                capabilities.dense_positions,
                "not offered: positions without gaps",
            ),
            Self::Clock => (
                stores.time() == TimeSource::Given,
                "the store does not take the suite's clock",
            ),
            Self::Snapshots => (
                stores.snapshots().is_some(),
                "not offered: a snapshot store",
            ),
            Self::Checkpoints => (
                stores.checkpoints().is_some(),
                "not offered: a checkpoint store",
            ),
        };
        (!met).then_some(reason)
    }
}

/// The cases of a module, each with what it needs: `name;` or `name needs [Need, ...];`. A case that is
/// written but not listed is dead code, which the compiler reports.
macro_rules! cases {
    ($($name:ident $(needs [$($need:ident),+])?;)+) => {
        pub(super) const CASES: &[$crate::case::Case] = &[$(
            $crate::case::Case {
                name: stringify!($name),
                needs: &[$($($crate::case::Need::$need),+)?],
                run: |bench| Box::pin($name(bench)),
            }
        ),+];
    };
}
pub(crate) use cases;
