//! Running a command, and telling how it ended.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::archives;
use crate::cli::{Cli, Color, Command, Global};
use crate::commands::{
    append, at, backup, completions, copy, diff, doctor, export, find, history, import, init, man,
    optimize, parked, profile, projections, read, repair, restore, schema, schemas, show, stats,
    streams, subjects, tail, trace, verify,
};
use crate::failure::{Exit, Failure, Result};
use crate::interrupt;
use crate::output::time::Zone;
use crate::output::{Form, Out};
use crate::store_at::StoreAddress;
use crate::top;

/// What a command works with.
pub(crate) struct Session {
    pub(crate) store: StoreAddress,
    pub(crate) out: Out,
}

/// Runs the command; what the program exits with.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let form = if cli.global.json {
        Form::Json
    } else {
        Form::Text
    };
    archives::begin(&cli.global.archives_moved);
    // A copy is about other stores than this one.
    if !matches!(cli.command, Command::Copy(_)) {
        warn_of_moved(&cli.global);
    }
    let mut session = Session {
        out: Out::standard(form, has_color(&cli.global), zone(&cli.global)),
        store: cli.global.store,
    };
    let done = dispatch(&cli.command, &mut session);
    // What was found before a failure is told too.
    let flushed = session.out.flush();
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure, form);
            failure.exit.into()
        }
    }
}

/// Says where an archive is said to have moved that is none of the store.
fn warn_of_moved(global: &Global) {
    if global.archives_moved.is_empty() || !global.store.exists() {
        return;
    }
    let Ok(in_use) = global.store.builder().archives_in_use() else {
        // Why it can't be told, the command says.
        return;
    };
    let locations: Vec<String> = in_use.into_iter().map(|it| it.location).collect();
    if let Some(unknown) = archives::unknown(&global.archives_moved, &locations) {
        // Where even this can't be written, the command goes on.
        let _ = writeln!(io::stderr(), "warning: {unknown}");
    }
}

fn zone(global: &Global) -> Zone {
    if global.utc { Zone::Utc } else { Zone::Local }
}

fn has_color(global: &Global) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    }
}

fn tell(failure: &Failure, form: Form) {
    if failure.exit == Exit::PipeClosed {
        return;
    }
    let text = match form {
        Form::Json => serde_json::json!({
            "error": failure.message,
            "hint": failure.hint,
            "exit": failure.exit.name(),
            "exit_code": failure.exit.code(),
        })
        .to_string(),
        Form::Text => {
            let hint = failure
                .hint
                .as_ref()
                .map(|hint| format!("\n  hint: {hint}"));
            format!("error: {}{}", failure.message, hint.unwrap_or_default())
        }
    };
    // Where even this can't be written, the exit code has to do.
    let _ = writeln!(io::stderr(), "{text}");
}

fn dispatch(command: &Command, session: &mut Session) -> Result {
    if !matches!(command, Command::Tail(_) | Command::Top(_)) {
        interrupt::listen();
    }
    match command {
        Command::Init(args) => init::run(args, session),
        Command::Append(args) => append::run(args, session),
        Command::Read(args) => read::run(args, session),
        Command::Tail(args) => tail::run(args, session),
        Command::Find(args) => find::run(args, session),
        Command::Show(args) => show::run(args, session),
        Command::Streams(args) => streams::run(args, session),
        Command::Stats(args) => stats::run(args, session),
        Command::Schemas(args) => schemas::run(args, session),
        Command::History(args) => history::run(args, session),
        Command::At(args) => at::run(args, session),
        Command::Diff(args) => diff::run(args, session),
        Command::Trace(args) => trace::run(args, session),
        Command::Export(args) => export::run(args, session),
        Command::Import(args) => import::run(args, session),
        Command::Copy(args) => copy::run(args, session),
        Command::Verify(args) => verify::run(args, session),
        Command::Repair(args) => repair::run(args, session),
        Command::Backup(args) => backup::run(args, session),
        Command::Restore(args) => restore::run(args, session),
        Command::Optimize(args) => optimize::run(args, session),
        Command::Profile(args) => profile::run(args, session),
        Command::Top(args) => top::run(args, session),
        Command::Projections(args) => projections::run(args, session),
        Command::Parked(args) => parked::run(args, session),
        Command::Subjects(args) => subjects::run(args, session),
        Command::Schema(args) => schema::run(args, session),
        Command::Doctor(args) => doctor::run(args, session),
        Command::Completions(args) => completions::run(args, session),
        Command::Man(args) => man::run(args, session),
    }
}
