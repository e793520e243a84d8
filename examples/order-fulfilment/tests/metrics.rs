//! The program with `--metrics`, asked as Prometheus asks.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]
#![expect(
    clippy::disallowed_methods,
    reason = "another process tells how it is once a second"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The program, ended with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer
}

/// The value of a series.
fn value(text: &str, series: &str) -> f64 {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in {text}"))
        .parse()
        .unwrap()
}

#[test]
fn the_shop_tells_prometheus_how_it_is() {
    let program = Command::new(env!("CARGO_BIN_EXE_order-fulfilment"))
        .args(["--metrics", "127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Program(program);
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let mut line_with = |start: &str| loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(rest) = line.strip_prefix(start) {
            return rest.to_owned();
        }
    };
    let address = line_with("metrics are at http://");
    let address = address.strip_suffix("/metrics").unwrap().to_owned();
    line_with("the metrics are there until the input ends");

    // How far a projection is, is told a second at the latest after it got there.
    let lag = "annals_consumer_lag_events{consumer=\"orders.v1\"}";
    let mut asked = (0..100).map(|_| {
        thread::sleep(Duration::from_millis(100));
        get(&address, "/metrics")
    });
    let metrics = asked.find(|metrics| value(metrics, lag) < 0.5);
    let metrics = metrics.expect("the projection has caught up");
    let loads = value(&metrics, "annals_operations_total{operation=\"load\"}");
    assert!(loads > 10.0, "{loads} loads");
    let recorded = value(&metrics, "annals_appends_total{outcome=\"recorded\"}");
    let appends = value(&metrics, "annals_operations_total{operation=\"append\"}");
    assert!(
        recorded > 20.0 && appends >= recorded,
        "{recorded} of {appends}"
    );
    for (series, expected) in [
        ("annals_store_writer_open", 1.0),
        ("annals_store_unsynced_bytes", 0.0),
        ("annals_consumer_failed{consumer=\"fulfilment\"}", 0.0),
        (
            "annals_consumer_parked_events{consumer=\"fulfilment\"}",
            0.0,
        ),
    ] {
        assert!((value(&metrics, series) - expected).abs() < 0.5, "{series}");
    }
    // The payment service was down, and every delivery to it was tried twice.
    assert!(
        value(
            &metrics,
            "annals_consumer_retries_total{consumer=\"fulfilment\"}"
        ) >= 2.0
    );
    assert!(value(&metrics, "annals_store_sync_seconds_count") > 10.0);
    assert!(
        !metrics.contains("Ada") && !metrics.contains("lamp"),
        "{metrics}"
    );

    let health = get(&address, "/health");
    assert!(health.contains("\"subject\": \"writer\""), "{health}");
    assert!(health.contains("\"consumer\": \"fulfilment\""), "{health}");

    drop(program.0.stdin.take());
    assert!(program.0.wait().unwrap().success());
}
