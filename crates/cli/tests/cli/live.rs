//! A store that an application writes meanwhile.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use annals_codec::{Compressed, Decoded, EventCodec};
use annals_core::{
    Append, CheckpointName, CheckpointSave, CheckpointStore as _, ContentType, Cursor,
    EventStore as _, EventType, Expected, Ids as _, NewEvent, Position, StreamId, UuidIds,
};
use annals_store_log::LogStore;
use futures_executor::block_on;

use crate::support::Place;

/// The first lines that a line prints which goes on until it is killed.
pub(crate) fn first_lines(place: &Place, line: &str, count: usize) -> Vec<String> {
    let mut shell = place.program("bash");
    let mut child = shell
        .args(["-c", &format!("exec {line}")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines = lines.take(count).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    lines
}

/// An application that has the store open.
pub(crate) fn application(place: &Place) -> LogStore {
    LogStore::builder(place.path("shop")).open().unwrap()
}

pub(crate) fn append(store: &LogStore, stream: &str) {
    let event = NewEvent::new(EventType::from_static("noted"), ContentType::JSON, "{}").unwrap();
    append_event(store, stream, event);
}

pub(crate) fn append_event(store: &LogStore, stream: &str, event: NewEvent) {
    let append = Append::builder(UuidIds::default().append_id())
        .write(StreamId::parse(stream).unwrap(), Expected::Any, [event])
        .build()
        .unwrap();
    block_on(store.append(append)).unwrap();
}

#[test]
fn a_store_in_use_is_read_checked_and_backed_up() {
    let place = Place::shop();
    let application = application(&place);
    append(&application, "note-1");
    assert!(
        place
            .ok("annals read --stream note-1 --json")
            .contains("\"position\":16")
    );
    assert!(
        place
            .ok("annals verify")
            .contains("whole, in use by a writer")
    );
    assert!(
        place
            .ok("annals backup backups")
            .contains("up to position 16")
    );
    assert!(
        place
            .export("shop")
            .ends_with("{\"end\":{\"position\":16}}\n")
    );
    let refused = place.shell("annals append note-1 noted");
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("only one process writes a store"),
        "{}",
        refused.err
    );
}

#[test]
fn tail_follows_what_an_application_appends() {
    let place = Place::shop();
    let application = application(&place);
    let mut command = place.program(crate::support::ANNALS);
    command
        .args(["tail", "-f", "-n", "1", "--json", "--category", "note"])
        .stdout(Stdio::piped());
    append(&application, "note-1");
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"position\":16"));
    append(&application, "other-1");
    append(&application, "note-2");
    assert!(lines.next().unwrap().unwrap().contains("\"position\":18"));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A JSON text as the event "noted", as the codec of an application would write it.
#[derive(Debug)]
struct Text;

impl EventCodec<String> for Text {
    fn content_type(&self) -> ContentType {
        ContentType::JSON
    }

    fn encode(&self, text: &String) -> Result<NewEvent, annals_codec::Error> {
        let event = NewEvent::new(
            EventType::from_static("noted"),
            ContentType::JSON,
            text.clone(),
        );
        Ok(event.unwrap())
    }

    fn decode_content(
        &self,
        _: annals_core::ContentRef<'_>,
    ) -> Result<Decoded<String>, annals_codec::Error> {
        Ok(Decoded::Many(Vec::new()))
    }
}

#[test]
fn payloads_that_an_application_compressed_are_shown_as_what_they_are() {
    let place = Place::shop();
    let application = application(&place);
    let text = format!("{{\"text\":\"{}needle\"}}", "hay ".repeat(400));
    let event = Compressed::new(Text).encode(&text).unwrap();
    assert_eq!(event.content_type().as_str(), "application/json+zstd");
    append_event(&application, "note-1", event);
    application.close().unwrap();
    for line in [
        "annals read --stream note-1 --full",
        "annals read --stream note-1 --json",
        "annals tail -n 1 --json",
        "annals show 16",
        "annals find needle --json",
        "annals history note-1 --json",
    ] {
        let told = place.ok(line);
        assert!(told.contains("hay needle"), "{line}: {told}");
    }
    assert!(place.ok("annals schemas --category note").contains("yes"));
    assert!(place.ok("annals verify --deep").contains("whole"));
    // An export has the bytes that were recorded.
    let export = place.export("shop");
    assert!(!export.contains("needle"), "{export}");
    place.ok("annals --store copy import <(annals export)");
    assert_eq!(place.export("copy"), export);
}

/// Answers whoever asks for its metrics, as an application does that has written a little; gives its address.
fn metrics(answer: &'static str) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = BufReader::new(stream.try_clone().unwrap());
            let head = request.lines().map_while(std::io::Result::ok);
            let asked: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
            let first = asked.first().unwrap();
            assert!(first.starts_with("GET /metrics "), "{asked:?}");
            let length = answer.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}/metrics")
}

#[test]
fn top_tells_what_the_application_tells() {
    let place = Place::shop();
    let url = metrics(
        "annals_store_sync_seconds_sum 0.5\nannals_store_sync_seconds_count 200\nannals_store_queued_appends 3\n",
    );
    let top = place.ok(&format!("annals top --once --metrics {url}"));
    assert!(
        top.contains("sync 2.50 ms on average") && top.contains("waiting 3"),
        "{top}"
    );
    let json = place.ok(&format!("annals top --once --json --metrics {url}"));
    assert!(json.contains(r#""application":{"sync_ms":2.5,"#), "{json}");
    assert!(!place.ok("annals top --once --json").contains("application"));

    let other = metrics("up 1\n");
    let refused = place.shell(&format!("annals top --once --metrics {other}"));
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("no metrics of a store of annals"),
        "{}",
        refused.err
    );
    let refused = place.shell("annals top --once --metrics http://127.0.0.1:1/metrics");
    assert!(
        refused.err.contains("is the application running"),
        "{}",
        refused.err
    );
    let refused = place.shell("annals top --once --metrics localhost:9000");
    assert_eq!(refused.code, 2, "{}", refused.err);
}

#[test]
fn readers_are_told_with_their_lag() {
    let place = Place::shop();
    let application = application(&place);
    let save = CheckpointSave {
        name: CheckpointName::parse("mailer").unwrap(),
        cursor: Cursor::at(Position::new(13)),
        expected_revision: 0,
    };
    block_on(application.save_checkpoint(save)).unwrap();
    let told = place.ok("annals projections --json");
    let mailer = told.lines().next().unwrap();
    assert!(
        mailer.starts_with(r#"{"name":"mailer","position":13,"lag":2,"saves":1,"parked":1"#),
        "{mailer}"
    );
    let top = place.ok("annals top --once");
    assert!(
        top.contains("mailer") && top.contains("hottest streams"),
        "{top}"
    );
    let json = place.ok("annals top --once --json");
    assert!(
        json.contains(r#""head":15"#) && json.contains(r#""lag_change":0"#),
        "{json}"
    );
}
