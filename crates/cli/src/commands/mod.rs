//! The verbs, one a file.

pub(crate) mod append;
pub(crate) mod at;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod parked;
pub(crate) mod profile;
pub(crate) mod projections;
pub(crate) mod read;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod schemas;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod streams;
pub(crate) mod subjects;
pub(crate) mod tail;
pub(crate) mod trace;
pub(crate) mod verify;
