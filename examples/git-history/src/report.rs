//! What the commands print, for people and for programs.

mod import;
mod listing;
mod models;
mod tail;
mod travel;
mod verified;

use std::fmt::{self, Display};
use std::io::Write;

use anyhow::Result;
use indicatif::HumanCount;
use serde_json::{Value, json};

pub(crate) use self::import::Import;
pub(crate) use self::listing::{log, tree};
pub(crate) use self::models::{authors, churn, sizes};
pub(crate) use self::tail::commit;
pub(crate) use self::travel::{first_seen, without};
pub(crate) use self::verified::Verified;
use crate::events::Content;
use crate::git::GitPath;

/// For whom to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// JSON for programs: one document, or one a line for what goes on.
    Json,
}

fn print_json(value: &Value, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "{value:#}")?;
    Ok(())
}

fn entry_text(path: &GitPath, content: &Content) -> String {
    let Content { mode, blob } = content;
    format!("{mode} {} {blob}\t{path}", mode.object_kind())
}

fn entry_json(path: &GitPath, content: &Content) -> Value {
    let Content { mode, blob } = content;
    json!({ "mode": mode, "kind": mode.object_kind(), "id": blob.to_string(), "path": path })
}

/// A number with its thousands apart, which can be aligned.
struct Count(u64);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HumanCount(self.0).to_string())
    }
}
