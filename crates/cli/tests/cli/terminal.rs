//! What a person sees and types, on a terminal.

use std::process::Stdio;

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};

use crate::support::{Place, SHOP};

const PATIENCE: Option<u64> = Some(20_000);

/// Runs `annals` on a terminal of 100 columns and 30 rows.
fn session(place: &Place, arguments: &[&str]) -> PtySession {
    let mut command = place.program("bash");
    command
        .args(["-c", "stty rows 30 cols 100; exec annals \"$@\"", "bash"])
        .args(arguments)
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        // The terminal is what `program` closes.
        .stdin(Stdio::inherit());
    spawn_command(command, PATIENCE).unwrap()
}

fn exit_code(session: &PtySession) -> i32 {
    match session.process().wait().unwrap() {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn top_shows_a_store_and_ends_with_q() {
    let place = Place::shop();
    let mut top = session(&place, &["top", "--interval", "0.1"]);
    // What stands between words is not written where it was blank before.
    for word in ["annals", "hottest", "account-1", "mailer", "holds,"] {
        top.exp_string(word).unwrap();
    }
    top.send("p").unwrap();
    top.flush().unwrap();
    top.exp_string("held").unwrap();
    top.send("p").unwrap();
    top.flush().unwrap();
    top.send("q").unwrap();
    top.flush().unwrap();
    // The screen of before is there again.
    top.exp_string("\u{1b}[?1049l").unwrap();
    assert_eq!(exit_code(&top), 0);
}

#[test]
fn colors_and_times_are_for_terminals() {
    let place = Place::shop();
    let mut read = session(&place, &["read", "--limit", "1"]);
    read.exp_string("\u{1b}[36mdeposited\u{1b}[0m").unwrap();
    assert_eq!(exit_code(&read), 0);
}

#[test]
fn what_can_not_be_taken_back_asks_for_the_name() {
    let place = Place::shop();
    place.ok("printf X | dd of=$(ls shop/log/*.segment) bs=1 seek=4200 conv=notrunc status=none");
    for (typed, code) in [("yes", 5), ("shop", 0)] {
        let mut repair = session(&place, &["repair", "--quarantine"]);
        repair.exp_string("Type shop to go on:").unwrap();
        repair.send_line(typed).unwrap();
        if code == 0 {
            repair
                .exp_string("everything else can be read and written")
                .unwrap();
        } else {
            repair
                .exp_string("that is not the name; nothing was done")
                .unwrap();
        }
        assert_eq!(exit_code(&repair), code);
    }
}

#[test]
fn what_hides_events_shows_its_plan_and_asks_for_the_name() {
    let place = Place::shop();
    let line = ["optimize", "apply", "--category", "account", "--keep", "1"];
    let before = place.export("shop");
    for (typed, code) in [("no", 5), ("shop", 0)] {
        let mut apply = session(&place, &line);
        apply.exp_string("keeps 1 event;").unwrap();
        apply.exp_string("Type shop to go on:").unwrap();
        apply.send_line(typed).unwrap();
        apply
            .exp_string([": 2 of 2 steps", "nothing was done"][usize::from(code > 0)])
            .unwrap();
        assert_eq!(exit_code(&apply), code);
        assert_eq!(place.export("shop") == before, code > 0);
    }
}

#[test]
fn an_interrupt_or_a_kill_pauses_an_optimization() {
    let place = Place::empty();
    crate::optimize::sealed(&place);
    let before = place.export("shop");
    let slow = ["optimize", "apply", "--rate", "1MiB"];
    let mut apply = session(&place, &slow);
    // The bar tells the size of the plan once the journal tells of the run.
    apply.exp_string("MiB").unwrap();
    apply.send_control('c').unwrap();
    apply.exp_string("the same command goes on").unwrap();
    assert_eq!(exit_code(&apply), 130);
    let mut apply = session(&place, &slow);
    apply.exp_string("MiB").unwrap();
    apply
        .process_mut()
        .kill(rexpect::process::Signal::SIGKILL)
        .unwrap();
    let told = place.ok("annals optimize status");
    assert!(
        told.contains("goes on, or was killed") && told.contains("cancelled"),
        "{told}"
    );
    let told = place.ok("annals optimize apply --rate 0");
    assert!(told.starts_with("done: "), "{told}");
    assert!(place.ok("annals verify --deep").contains("whole"));
    crate::optimize::check_same(&place, &before);
}

#[test]
fn an_interrupt_ends_an_import_between_two_appends() {
    let place = Place::empty();
    let mut import = session(&place, &["import"]);
    let lines = std::fs::read_to_string(SHOP).unwrap();
    for line in lines.lines().take(3) {
        import.send_line(line).unwrap();
    }
    import.exp_string("importing").unwrap();
    import.send_control('c').unwrap();
    assert_eq!(exit_code(&import), 130);
    assert_eq!(place.run(&["verify"]).code, 0);
}
