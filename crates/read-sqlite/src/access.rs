//! What a statement may do, as SQLite asks while it prepares one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Who a statement is of, shared with SQLite's authorizer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    who: Who,
    /// The tables that the model's handlers write.
    tables: BTreeSet<String>,
}

/// Who a statement is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Who {
    /// The sink.
    #[default]
    Sink,
    /// A handler: it reads anything, and writes rows of its own tables.
    Handler,
    /// A schema: it creates.
    Schema,
}

impl Access {
    /// Runs a call as somebody.
    pub(crate) fn as_who<T>(&self, who: Who, call: impl FnOnce() -> T) -> T {
        let _back = Back(self);
        self.state().who = who;
        call()
    }

    /// Lets handlers write these tables and no others.
    pub(crate) fn allow(&self, tables: BTreeSet<String>) {
        self.state().tables = tables;
    }

    /// The answer to SQLite.
    pub(crate) fn judge(&self, context: AuthContext<'_>) -> Authorization {
        let state = self.state();
        let is_allowed = match state.who {
            Who::Sink => true,
            Who::Handler => state.handler_may(context.action),
            Who::Schema => state.schema_may(context.action),
        };
        if is_allowed {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the statements back to the sink, after a panic too.
struct Back<'a>(&'a Access);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.state().who = Who::Sink;
    }
}

impl State {
    fn handler_may(&self, action: AuthAction<'_>) -> bool {
        match action {
            AuthAction::Read { .. }
            | AuthAction::Select
            | AuthAction::Function { .. }
            | AuthAction::Recursive => true,
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => self.tables.contains(table_name),
            action => asks_only(action),
        }
    }

    fn schema_may(&self, action: AuthAction<'_>) -> bool {
        match action {
            AuthAction::Read { .. }
            | AuthAction::Select
            | AuthAction::Function { .. }
            | AuthAction::Recursive
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateTable { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateVtable { .. }
            | AuthAction::Reindex { .. } => true,
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => {
                table_name.starts_with("sqlite_") || self.is_own(table_name)
            }
            action => asks_only(action),
        }
    }

    /// Whether it is a table of the model, or one that SQLite makes for a virtual one.
    fn is_own(&self, table: &str) -> bool {
        let mut own = self.tables.iter();
        own.any(|own| is_of(table, own))
    }
}

/// Whether a table is this one, or one that SQLite makes for it where it is virtual.
pub(crate) fn is_of(table: &str, root: &str) -> bool {
    let rest = table.strip_prefix(root);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// What virtual tables ask for themselves.
fn asks_only(action: AuthAction<'_>) -> bool {
    matches!(
        action,
        AuthAction::Pragma {
            pragma_name: "data_version",
            ..
        }
    )
}
