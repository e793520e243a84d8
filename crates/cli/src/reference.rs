//! The page of the book about the command line, made of the command line itself.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

/// The page, in Markdown.
pub fn reference() -> String {
    let mut command = crate::command();
    command.build();
    let mut page = String::from(HEAD);
    page.push_str("## Options of every command\n\n");
    options(&command, Arg::is_global_set, &mut page);
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        section(verb, "annals", 2, &mut page);
    }
    page.push_str(TAIL);
    // One line break at the end.
    format!("{}\n", page.trim_end())
}

const HEAD: &str = "# The command line\n\n\
<!-- This page is made of the program by `UPDATE_EXPECT=1 cargo test -p annals-cli reference`; a test holds the two together. -->\n\n\
The command `annals` looks into event stores, and keeps them. Install it with `cargo install --path crates/cli`\n\
(and `--features object-stores`, for archives in object stores).\n\n\
A store is named by `--store` or by the variable `ANNALS_STORE`; else it is the directory that you are in. A store that an\n\
application writes can be read, followed, checked and backed up meanwhile; what writes to it (`append`, `import`, `repair`,\n\
`optimize apply`, `optimize undo`, `subjects erase`) needs it alone.\n\n\
Answers go to the standard output, as tables, or with `--json` as a line of JSON for each item; progress, notes,\n\
questions and errors go to the standard error. Colours are used on a terminal, unless `NO_COLOR` is set.\n\n";

const TAIL: &str = "## Exit codes\n\n\
| code | means |\n|---|---|\n\
| 0 | all is well; also where whoever read the answer had enough of it (a closed pipe) |\n\
| 1 | it failed: a file can't be read or written, the disk is full, another process holds the store |\n\
| 2 | the command line is wrong, or what was given can't be read |\n\
| 3 | not found: no store, no such event, stream, position or backup |\n\
| 4 | damage was found |\n\
| 5 | refused: an expectation does not hold, there is something already, a question was answered with no |\n\
| 6 | unknown: it may be recorded or not; the same command with the same `--id` finds out, and never records twice |\n\
| 130 | interrupted by Ctrl-C; what was done stays whole, and the same command goes on |\n\n\
With `--json` an error is a line on the standard error: `error`, `hint`, `exit` (a word) and `exit_code`.\n\n\
## Lines of JSON\n\n\
Fields keep their names and meanings; new ones may come. Times are RFC 3339 in UTC, to the microsecond; positions and\n\
versions are numbers; what is unknown is `null` or absent.\n\n\
An event (`read`, `tail`, `find`, `show`):\n\n\
| field | |\n|---|---|\n\
| `position`, `stream`, `version` | its place |\n\
| `type`, `schema_version`, `content_type` | its kind, and the form of its payload |\n\
| `id` | its id, a UUID |\n\
| `recorded_at`, `appended_at` | when it happened, and when the store recorded it |\n\
| `tags` | a list of texts |\n\
| `correlation_id`, `causation_id`, `headers` | its context; absent where there is none |\n\
| `payload` | as JSON, where its form describes itself (JSON, CBOR, MessagePack, and those in zstd without a dictionary) |\n\
| `payload_base64` | else its bytes |\n\n\
Lines of other verbs:\n\n\
| verb | fields |\n|---|---|\n\
| `init` | `store` |\n\
| `append` | `append_id`, `first_position`, `last_position`, `streams` (each `stream`, `first_version`, `last_version`), `appended_at`, `duplicate` |\n\
| `streams` | `stream`, `category`, `events`, `began_at`, `state`, `max_age_seconds`, `max_count`, `truncated_before` |\n\
| `stats` | `store`, `head`, `first_appended_at`, `last_appended_at`, `lost_positions`, `segment_files`, `segment_bytes`, `archived` (where something is: `segments`, `bytes`), `index_files`, `index_bytes`, `snapshot_bytes`, `all_bytes`, and but for `--quick` counts: `events`, `appends`, `streams`, `policy_changes`, `payload_bytes`, `categories` and `other_categories` (by name, and of all others: `streams`, `events`, `payload_bytes`) |\n\
| `schemas` | `type`, `schema_version`, `content_type`, `events`, `payload_bytes`, `first_appended_at`, `last_appended_at`, `unreadable`, `first_unreadable_position` |\n\
| `history` | `version`, `position`, `type`, `appended_at`, `changes` (each `path`, `before`, `after`) |\n\
| `at` | `position`, `appended_at`, and of a stream `stream`, `version`, `state` |\n\
| `diff` | `stream`, `from_version`, `to_version`, `types` (how many of each); of one stream `from_position`, `to_position`, and `changes` (each `path`, `before`, `after`) in place of types |\n\
| `trace` | `depth`, `caused_by_position`, `event` (as of `read`) |\n\
| `find --count` | `events` |\n\
| `verify` | `store`, `is_whole` (nothing is damaged or lost), `is_damaged` (otherwise than by what a repair gave up; the exit code is 4), `in_use`, `segments`, `segments_skipped` (with `--skip-archived`), `bytes`, `frames`, `records`, `index_files`, `findings` (each `finding`: damage, lost, index, payload or unfinished, `file`, `offset`, `what`, `first_position`, `last_position`), `events_read` (with `--deep`), `milliseconds` |\n\
| `repair` | `store`, `repaired`, `findings` (each `finding`, `file`, `offset`, `what`, `first_position`, `last_position`), `quarantined`, `lost` (each `file`, `first_position`, `last_position`) |\n\
| `import` | `appends`, `events`, `policy_changes`, `events_present` |\n\
| `copy` | `source`, `destination`, `events`, `appends`, `policy_changes`, `events_present`, `events_compared_by_place`, `position`, `sha256`; with `--dry-run` `source`, `destination`, `events_to_copy`, `events_present`, `dry_run` |\n\
| `backup` | `backup`, `position`, `segments_copied`, `segments_shared`, `removed` (older ones, by `--keep`); with `--list` a line for each, with `made_at`; with `--dry-run` `dry_run` |\n\
| `restore` | `store`, `restored_from`, `position`, `streams_truncated` |\n\
| `optimize plan` | a line for each step: `step` (compress, decompress, reclaim, archive, restore, retain or truncate) with `segment`, `level`, `bytes_before`, `bytes_after`, `events`, or `segment`, `bytes`, `to`, or `stream`, `max_age_seconds`, `max_count`, `before_version`, `events_hidden`; last `steps`, `bytes_saved`, `bytes_moved`, `events_hidden`, `events_reclaimed`, `notes`. The same with `--dry-run` of apply and undo |\n\
| `optimize apply`, `optimize undo` | `store`, `ended` (finished or cancelled), `steps_done`, `steps_passed_over`, `bytes_before`, `bytes_after`, `events_hidden` (by the rules of its plan), `events_reclaimed` |\n\
| `optimize status` | `store`, `segments`, `segments_plain`, `segments_compressed`, `segments_reclaimed`, `segments_damaged`, `segments_archived`, `bytes`, `compressed_bytes`, `compressed_bytes_before`, `archived_bytes`; then a line for each run: `began_at`, `steps`, `events_hidden`, `ended`, `ended_at`, `steps_done`, `steps_passed_over`, `bytes_before`, `bytes_after`, `events_reclaimed`, `error` |\n\
| `projections` | `name`, `position`, `lag`, `saves`, `parked`, `skipped`, `live_version`, `building_version` |\n\
| `parked` | `consumer`, `position`, `stream`, `version`, `key`, `waits`, `error`, `attempts` |\n\
| `profile` | a line for each type: `type`, `events`, `payload_bytes`, `payload_bytes_average`, `decode_ns`; then what was measured: `covers_ns`, `operations`, `categories` (with their `category`), `streams` (with `stream`, `operation`, `weight_ns`), `other_streams`; each with `count`, `events`, `failed`, `total_ns`, `max_ns`, `estimated_ns` and `p50_ns`, `p90_ns`, `p99_ns`, `p999_ns` where they are known |\n\
| `top` | `at`, `store`, `head`, `lost_positions`, `newest_appended_at`, `events_per_second_10s`, `events_per_second_60s`, `newest_events`, `streams` and `types` (each `name`, `events`, `bytes`), `segment_files`, `segment_bytes`, `index_files`, `index_bytes`, `all_bytes`, `readers` (as of `projections`, with `lag_change`), `application` with `--metrics` |\n\
| `subjects show`, `subjects erase` | `subject`, `is_done`, `keys` (each `key`, `erased_at`), `events`, `streams` (each `stream`, `events`), `snapshots_removed`, `recorded` (positions), and what is said of `snapshots`, `checkpoints` and what is `not_covered` |\n\
| `doctor` | `check`, `verdict` (good, look or bad), `found`, `advice` |\n\n\
A line of an export has the same fields as an event, in this order: `position`, `append` (`id` and the number of its `events`, on\n\
its first event), `stream`, `version`, `type`, `schema_version`, `content_type`, `id`, `recorded_at`, `appended_at`,\n\
`tags`, `correlation_id`, `causation_id`, `headers`, and `payload` byte for byte where the form is JSON without line breaks, else\n\
`payload_base64`. The first line is `{\"annals_export\":1,\"after\":0}`, the last one `{\"end\":{\"position\":...}}`; a stream's policy is\n\
`{\"policy\":{\"stream\",\"max_age\",\"max_count\",\"truncate_before\",\"state\"}}`, where it was set.\n\n\
An export that is imported into an empty store and exported again is the same, byte for byte. One thing is made anew:\n\
what the age of events hid at the moment when a policy was changed is told by the policy after it.\n";

/// A command, and those below it.
fn section(command: &Command, above: &str, level: usize, page: &mut String) {
    let name = format!("{above} {}", command.get_name());
    let _ = writeln!(page, "{} {name}\n", "#".repeat(level));
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        let _ = writeln!(page, "{}\n", escaped(&about.to_string()));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let usage = if usage.starts_with(&name) {
        usage.to_owned()
    } else {
        format!("{above} {usage}")
    };
    let _ = writeln!(page, "```text\n{usage}\n```\n");
    options(command, |arg| !arg.is_global_set(), page);
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string();
        let lines = examples.lines().filter_map(|line| line.strip_prefix("  "));
        let _ = writeln!(
            page,
            "```sh\n{}\n```\n",
            lines.collect::<Vec<_>>().join("\n")
        );
    }
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        section(verb, &name, level + 1, page);
    }
}

/// The arguments that are chosen, as a table.
fn options(command: &Command, is_wanted: impl Fn(&Arg) -> bool, page: &mut String) {
    let is_shown = |arg: &&Arg| {
        is_wanted(arg) && !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")
    };
    let args: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    if args.is_empty() {
        return;
    }
    page.push_str("| | |\n|---|---|\n");
    for arg in args {
        let _ = writeln!(page, "| `{}` | {} |", written(arg), told(arg));
    }
    page.push('\n');
}

/// How an argument is written.
fn written(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .and_then(<[_]>::first)
        .map(|name| format!("<{name}>"));
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let value = value.filter(|_| takes_value).unwrap_or_default();
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let text = if names.is_empty() {
        value
    } else {
        format!("{} {value}", names.join(", "))
    };
    text.trim_end().replace('|', "\\|")
}

/// What is said of an argument.
fn told(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = escaped(&help).replace('|', "\\|");
    if !text.ends_with('.') {
        text.push('.');
    }
    let possible = arg.get_possible_values();
    let names = possible
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()));
    let names: Vec<String> = names.collect();
    if !names.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " One of {}.", names.join(", "));
    }
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " Default: `{}`.", defaults.join(" "));
    }
    text
}

/// Text that Markdown would take for something else.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<")
}
