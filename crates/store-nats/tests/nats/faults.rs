//! What servers say, lose and refuse.

use std::time::Duration;

use crate::support;
use crate::support::RUNTIME;
use crate::support::blocks::flip;
use crate::support::events::{append, assert_recorded, event, insist, stream};
use crate::support::proxy::Proxy;
use annals_core::{
    Append, AppendId, ConsistencyLevel, Cursor, ErrorKind, EventStore, EventStoreExt, Expected,
    Outcome, ReadRequest,
};
use annals_services::{DiskSync, NatsServer};
use annals_store_nats::{NatsStore, Settings};
use async_nats::ConnectOptions;
use base64ct::Encoding;
use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Waits until the store has noted how far its log goes.
async fn noted(url: &str, sequence: &str) {
    let client = async_nats::connect(url).await.unwrap();
    let question = r#"{"last_by_subj":"shop-aux.m"}"#;
    loop {
        let subject = "$JS.API.STREAM.MSG.GET.shop-aux";
        let answer = client.request(subject, question.into()).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        let data = answer
            .pointer("/message/data")
            .and_then(|data| data.as_str());
        if data == Some(&*base64ct::Base64::encode_string(sequence.as_bytes())) {
            return;
        }
    }
}

/// A server cuts its stream at the damage when it starts, and tells nobody.
#[test]
fn a_flipped_bit_on_the_only_server_is_reported() {
    let test = "a_flipped_bit_on_the_only_server_is_reported";
    let Some(mut server) = support::own_server(test, DiskSync::On) else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = Settings::default();
        settings.poll_interval_max = Duration::from_millis(50);
        let builder = support::builder(&server.url()).settings(settings);
        let store = builder.log("shop").allow_lazy_sync().open_or_create();
        let store = store.await.unwrap();
        for number in 0..50 {
            let append = append("a-1", Expected::Any, &format!("event {number}"));
            store.append(append).await.unwrap();
        }
        noted(&server.url(), "50").await;
        drop(store);
        server.end().unwrap();
        assert!(flip(server.folder(), "event 20") > 0);
        server.restart().unwrap();
        let builder = support::builder(&server.url()).log("shop");
        match builder.open().await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            Ok(store) => {
                let read = store.collect(ReadRequest::all()).await;
                panic!(
                    "the damage is not told: {:?}",
                    read.map(|events| events.len())
                );
            }
        }
    });
}

const SOON: Duration = Duration::from_secs(20);

/// Whoever waits for what is new is told that it can't be read.
#[test]
fn a_waiting_subscriber_is_told_of_damage() {
    let Some(url) = support::server("a_waiting_subscriber_is_told_of_damage") else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = Settings::default();
        settings.poll_interval_max = Duration::from_millis(50);
        let log = support::fresh_log();
        let builder = support::builder(&url).settings(settings).log(&log);
        let store = builder.allow_lazy_sync().open_or_create().await.unwrap();
        let first = append("a-1", Expected::NoStream, "first");
        let first = store.append(first).await.unwrap();
        let waiting = store.changed_since(&first.cursor);
        let damage = async {
            // To the subject of the event, by somebody who is no store.
            let client = async_nats::connect(&url).await.unwrap();
            let found = format!("$JS.API.STREAM.MSG.GET.{log}");
            let found = client.request(found, r#"{"seq":1}"#.into()).await.unwrap();
            let found: serde_json::Value = serde_json::from_slice(&found.payload).unwrap();
            let subject = found.pointer("/message/subject").unwrap().as_str().unwrap();
            let sent = client.request(subject.to_owned(), "nonsense".into()).await;
            sent.unwrap();
        };
        let (told, ()) = timeout(SOON, async { tokio::join!(waiting, damage) })
            .await
            .expect("whoever waits is told");
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Corrupt);
        // What is known can be read all the same.
        let known = store.changed_since(&Cursor::START).await.unwrap();
        assert_eq!(known, first.cursor);
    });
}

/// A store behind a proxy that doubts for a second, and what it says of an append of two events, then of the same again.
fn in_doubt(test: &str, rule: fn(&str) -> Option<String>, expected: Option<Outcome>) {
    let Some(url) = support::server(test) else {
        return;
    };
    RUNTIME.block_on(async {
        let proxy = Proxy::start(&url).await;
        let mut settings = Settings::default();
        settings.resolve_timeout = Duration::from_secs(1);
        settings.poll_interval_max = Duration::from_mins(1);
        let builder = support::builder(&proxy.url()).settings(settings);
        let builder = builder.log(&support::fresh_log()).allow_lazy_sync();
        let store = builder.open_or_create().await.unwrap();
        let append = Append::builder(AppendId::parse("both").unwrap());
        let append = append.write(stream("a-1"), Expected::NoStream, [event("1"), event("2")]);
        let append = append.build().unwrap();
        proxy.rewrite(rule);
        let answer = store.append(append.clone()).await;
        proxy.rewrite(|_| None);
        let outcome = answer.as_ref().err().map(annals_core::Error::outcome);
        assert_eq!(outcome, expected, "{answer:?}");
        let again = insist(&store, append).await.unwrap();
        assert!(again.is_duplicate(), "it was recorded all along");
        let log = store.collect(ReadRequest::all()).await.unwrap();
        assert_eq!(log.len(), 2, "once");
    });
}

const STORE_FAILED: &str =
    r#"{"error":{"code":503,"err_code":10077,"description":"store failed"},"stream":"","seq":0}"#;
const NOT_FOUND: &str =
    r#"{"error":{"code":404,"err_code":10037,"description":"no message found"}}"#;
const NO_LEADER: &str = r#"{"error":{"code":503,"err_code":10008,"description":"no leader"}}"#;

/// Whether it is the acknowledgement of what was published.
fn is_acknowledgement(answer: &str) -> bool {
    answer.starts_with(r#"{"stream":"test_"#) && answer.contains(r#""seq":"#)
}

/// The leader says that it failed to store what was recorded all the same: that it is there tells.
#[test]
fn a_failure_to_store_is_looked_into() {
    fn fails(answer: &str) -> Option<String> {
        is_acknowledgement(answer).then(|| STORE_FAILED.to_owned())
    }
    in_doubt("a_failure_to_store_is_looked_into", fails, None);
}

/// As long as nobody tells what stands there, it is in doubt.
#[test]
fn a_failure_to_store_leaves_doubt() {
    fn fails(answer: &str) -> Option<String> {
        if answer.contains("stream_msg_get_response") {
            return Some(NO_LEADER.to_owned());
        }
        is_acknowledgement(answer).then(|| STORE_FAILED.to_owned())
    }
    let expected = Some(Outcome::Unknown);
    in_doubt("a_failure_to_store_leaves_doubt", fails, expected);
}

/// The first message of a batch stands there, and its last does not: that is no acknowledgement.
#[test]
fn a_batch_that_is_stored_in_part_is_in_doubt() {
    fn fails(answer: &str) -> Option<String> {
        if answer.contains("stream_msg_get_response") && answer.contains(r#""seq":2,"#) {
            return Some(NOT_FOUND.to_owned());
        }
        is_acknowledgement(answer).then(|| STORE_FAILED.to_owned())
    }
    let test = "a_batch_that_is_stored_in_part_is_in_doubt";
    in_doubt(test, fails, Some(Outcome::Unknown));
}

/// The servers take smaller batches than the store makes: what alone is too large is refused, and nothing else.
#[test]
fn an_append_that_is_too_large_takes_no_other_with_it() {
    let test = "an_append_that_is_too_large_takes_no_other_with_it";
    let sync = DiskSync::OffLosesCommitsOnPowerLoss;
    let Some(mut server) = support::own_server(test, sync) else {
        return;
    };
    let config = server.folder().join("server.conf");
    let settings = std::fs::read_to_string(&config).unwrap();
    let smaller = "limits { batch { max_msgs: 10 } }, max_mem";
    std::fs::write(&config, settings.replace("max_mem", smaller)).unwrap();
    server.restart().unwrap();
    // On one thread, what is appended together is in one batch.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::default();
        settings.poll_interval_max = Duration::from_mins(10);
        let store = support::builder(&server.url()).settings(settings);
        let store = store.allow_lazy_sync().log("shop").open_or_create();
        let store = store.await.unwrap();
        let small = |number: usize| {
            append(
                &format!("small-{number}"),
                Expected::NoStream,
                &number.to_string(),
            )
        };
        let large = |id: &str| {
            let events = (0..11).map(|number| event(&number.to_string()));
            let append = Append::builder(AppendId::parse(id).unwrap());
            let append = append.write(stream("large-1"), Expected::Any, events);
            append.build().unwrap()
        };
        let mut appends: Vec<Append> = (0..40).map(small).collect();
        appends.insert(7, large("large 1"));
        appends.insert(30, large("large 2"));
        let answers = join_all(appends.iter().map(|append| store.append(append.clone())));
        let answers = timeout(SOON, answers).await.unwrap();
        let mut receipts = Vec::new();
        for (append, answer) in appends.iter().zip(answers) {
            if append.event_count() == 1 {
                receipts.push(answer.unwrap());
                continue;
            }
            let error = answer.unwrap_err();
            let told = (error.kind(), error.outcome());
            assert_eq!(told, (ErrorKind::Invalid, Outcome::Rejected), "{error}");
        }
        // What the servers take is known by now.
        let before = messages_of(&server);
        let appends = (100..140).map(small);
        let answers = timeout(SOON, join_all(appends.map(|append| store.append(append))));
        receipts.extend(answers.await.unwrap().into_iter().map(Result::unwrap));
        let sent = messages_of(&server) - before;
        assert!(sent < 2 * 40, "{sent} messages");
        assert_recorded(&store, &receipts).await;
    });
}

/// Whoever sees how far a log goes notes it, as who appended it may have ended before: what is missing then is told.
#[test]
fn a_log_that_is_cut_after_its_writer_ended_is_refused() {
    let test = "a_log_that_is_cut_after_its_writer_ended_is_refused";
    let Some(mut server) = support::own_server(test, DiskSync::On) else {
        return;
    };
    let builder = || support::builder(&server.url()).log("shop");
    // With its runtime, a process ends at once.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::default();
        settings.poll_interval_max = Duration::from_mins(10);
        let writer = builder().settings(settings).log("shop").allow_lazy_sync();
        let writer = writer.open_or_create().await.unwrap();
        for number in 0..50 {
            let append = append("a-1", Expected::Any, &format!("event {number}"));
            writer.append(append).await.unwrap();
        }
        std::mem::forget(writer);
    });
    runtime.shutdown_background();
    RUNTIME.block_on(async {
        let _reader = builder().open().await.unwrap();
        timeout(SOON, noted(&server.url(), "50")).await.unwrap();
    });
    server.end().unwrap();
    assert!(flip(server.folder(), "event 20") > 0);
    server.restart().unwrap();
    let opened = RUNTIME.block_on(support::builder(&server.url()).log("shop").open());
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Corrupt);
}

/// A store that is closed notes how far it got, however short it was open.
#[test]
fn a_store_that_is_closed_at_once_notes_how_far_it_got() {
    let test = "a_store_that_is_closed_at_once_notes_how_far_it_got";
    let Some(server) = support::own_server(test, DiskSync::OffLosesCommitsOnPowerLoss) else {
        return;
    };
    RUNTIME.block_on(async {
        let mut settings = Settings::default();
        settings.poll_interval_max = Duration::from_mins(10);
        let builder = support::builder(&server.url()).settings(settings);
        let store = builder.log("shop").allow_lazy_sync().open_or_create();
        let store = store.await.unwrap();
        store
            .append(append("a-1", Expected::Any, "only"))
            .await
            .unwrap();
        drop(store);
        timeout(SOON, noted(&server.url(), "1")).await.unwrap();
    });
}

/// Where the servers take nothing at all, nobody sends it again in smaller pieces.
#[test]
fn what_the_servers_refuse_for_good_is_sent_once() {
    let test = "what_the_servers_refuse_for_good_is_sent_once";
    let sync = DiskSync::OffLosesCommitsOnPowerLoss;
    let Some(server) = support::own_server(test, sync) else {
        return;
    };
    // On one thread, what is appended together is in one batch.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::default();
        settings.poll_interval_max = Duration::from_mins(10);
        let builder = support::builder(&server.url()).settings(settings);
        let store = builder.log("shop").allow_lazy_sync().open_or_create();
        let store = store.await.unwrap();
        seal(&server.url(), "shop").await;
        let before = messages_of(&server);
        let appends = (0..40)
            .map(|number| append(&format!("a-{number}"), Expected::Any, &number.to_string()));
        let answers = timeout(SOON, join_all(appends.map(|append| store.append(append))));
        for answer in answers.await.unwrap() {
            let error = answer.unwrap_err();
            let told = (error.kind(), error.outcome());
            assert_eq!(told, (ErrorKind::Unavailable, Outcome::Rejected), "{error}");
        }
        let sent = messages_of(&server) - before;
        assert!(sent < 2 * 40, "{sent} messages");
    });
}

/// Lets a stream take nothing more.
async fn seal(url: &str, stream: &str) {
    let client = async_nats::connect(url).await.unwrap();
    let ask = async |what: &str, question: String| -> serde_json::Value {
        let subject = format!("$JS.API.STREAM.{what}.{stream}");
        let answer = client.request(subject, question.into()).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    };
    let mut config = ask("INFO", String::new()).await["config"].take();
    config["sealed"] = true.into();
    let updated = ask("UPDATE", config.to_string()).await;
    assert_eq!(updated.get("error"), None);
}

/// How many messages clients sent to a server.
fn messages_of(server: &NatsServer) -> u64 {
    server.monitor("/varz").unwrap()["in_msgs"]
        .as_u64()
        .unwrap()
}

/// A process that may only ask follows what others append without delay.
#[test]
fn a_reader_without_rights_to_publish_does_not_lag() {
    let test = "a_reader_without_rights_to_publish_does_not_lag";
    let more = r#"
        authorization { users = [
            { user: writer, password: writer }
            { user: reader, password: reader, permissions: {
                publish: [
                    "$JS.API.STREAM.INFO.shop", "$JS.API.STREAM.INFO.shop-aux"
                    "$JS.API.STREAM.MSG.GET.shop", "$JS.API.STREAM.MSG.GET.shop-aux"
                    "$JS.API.DIRECT.GET.shop"
                ]
                subscribe: ["shop.bell", "_INBOX.>"]
            } }
        ] }"#;
    let Some(server) = support::own_server_with(test, more) else {
        return;
    };
    RUNTIME.block_on(async {
        let builder = |who: &str, poll_interval_max: Duration| {
            let mut settings = Settings::default();
            settings.poll_interval_max = poll_interval_max;
            // What waits for an answer that does not come waits for longer than this test.
            settings.request_timeout = Duration::from_mins(10);
            let who = ConnectOptions::with_user_and_password(who.to_owned(), who.to_owned());
            let builder = NatsStore::builder(&server.url()).options(who);
            builder.settings(settings).log("shop").allow_lazy_sync()
        };
        // Who appends does not note how far the log goes, so that the reader tries to.
        let writer = builder("writer", Duration::from_mins(10));
        let writer = writer.open_or_create().await.unwrap();
        let reader = builder("reader", Duration::from_millis(20));
        let reader = reader.open().await.unwrap();
        for number in 0..20 {
            let append = append("a-1", Expected::Any, &number.to_string());
            let receipt = writer.append(append).await.unwrap();
            let told = timeout(SOON, async {
                // Asks no server: what the task that follows has taken in.
                while reader.head(ConsistencyLevel::Eventual).await.unwrap() != receipt.cursor {
                    yield_now().await;
                }
            });
            told.await.expect("what reads is not held up");
        }
        let read = timeout(SOON, reader.collect(ReadRequest::all()));
        assert_eq!(read.await.expect("it may read").unwrap().len(), 20);
    });
}
