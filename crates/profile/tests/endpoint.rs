//! The endpoint, asked as Prometheus asks it, and as others might.

#![cfg(feature = "prometheus")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annals_core::{StoreVitals, WriterState};
use annals_profile::{Endpoint, HealthReport, HealthSettings, Prometheus};

/// What is answered to these bytes: the status, and the rest.
fn ask(endpoint: &Endpoint, request: &[u8]) -> (String, String) {
    let mut connection = TcpStream::connect(endpoint.address()).unwrap();
    connection.write_all(request).unwrap();
    let mut answer = String::new();
    // An endpoint that gives up closes the connection, which some systems tell as an error.
    let _ = connection.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).unwrap_or_default();
    (status.to_owned(), body.to_owned())
}

fn endpoint(writer: WriterState) -> (Endpoint, Arc<AtomicU32>) {
    let prometheus = Prometheus::new().unwrap();
    let metrics = prometheus.metrics();
    let looks = Arc::new(AtomicU32::new(0));
    let looked = Arc::clone(&looks);
    let endpoint = Endpoint::builder(prometheus)
        .address(([127, 0, 0, 1], 0).into())
        .before_each(move || {
            let _ = &metrics;
            looked.fetch_add(1, Ordering::Relaxed);
        })
        .health(move || {
            let mut vitals = StoreVitals::default();
            vitals.writer = writer;
            let report = HealthReport::builder(HealthSettings::DEFAULT).unwrap();
            report.store(&vitals).build()
        })
        .serve()
        .unwrap();
    (endpoint, looks)
}

#[test]
fn metrics_and_health_are_answered() {
    let (endpoint, looks) = endpoint(WriterState::Open);
    assert!(endpoint.address().ip().is_loopback());
    let (status, body) = ask(&endpoint, b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(status, "200");
    assert!(body.contains("# HELP annals_appends_total"), "{body}");
    assert_eq!(looks.load(Ordering::Relaxed), 1);
    let (status, body) = ask(&endpoint, b"GET /health HTTP/1.1\r\n\r\n");
    assert_eq!(status, "200");
    let report: HealthReport = serde_json::from_str(&body).unwrap();
    assert_eq!(report.checks.len(), 1);
}

#[test]
fn what_is_urgent_has_a_status_of_its_own() {
    let (endpoint, _) = endpoint(WriterState::Failed);
    let (status, body) = ask(&endpoint, b"GET /health HTTP/1.1\r\n\r\n");
    assert_eq!(status, "503");
    assert!(body.contains("open the store again"), "{body}");
}

#[test]
fn whoever_asks_otherwise_is_told_so_or_left_alone() {
    let (endpoint, _) = endpoint(WriterState::Open);
    let long = [b"GET /".as_slice(), &[b'x'; 10_000], b" HTTP/1.1\r\n\r\n"].concat();
    for (request, status) in [
        (b"GET /secrets HTTP/1.1\r\n\r\n".as_slice(), "404"),
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"\r\n\r\n", "405"),
        (&[0xff, 0xfe, b'\r', b'\n', b'\r', b'\n'], ""),
        (&long, ""),
    ] {
        let found = ask(&endpoint, request).0;
        assert_eq!(found, status, "{:?}", &request[..request.len().min(20)]);
    }
    // It answers on.
    assert_eq!(
        ask(&endpoint, b"GET /metrics?x=1 HTTP/1.1\r\n\r\n").0,
        "200"
    );
}

#[test]
fn an_endpoint_that_is_dropped_is_gone() {
    let (endpoint, _) = endpoint(WriterState::Open);
    let address = endpoint.address();
    drop(endpoint);
    assert!(TcpStream::connect(address).is_err());
}
