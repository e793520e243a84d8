//! Personal data: what is written, what is read, and what is left after an erasure.

#![cfg(feature = "encryption")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod canary;
mod erasure;
mod evolution;
mod golden;
mod key_stores;
mod refusals;
mod round_trip;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_codec::privacy::{Entropy, KeyStore, MemoryKeys, Personal, Subject};
use annals_codec::{Error, ErrorKind, EventCodec};
use annals_core::{Ids, ManualClock, Timestamp, UuidIds};
use annals_macros::Event;
use serde::{Deserialize, Serialize};

/// Every way in which a field is personal.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "customer")]
enum CustomerEvent {
    Registered {
        #[event(tag = "customer")]
        customer_id: u64,
        #[event(personal(subject = "customer_id"))]
        name: Personal<String>,
        #[event(personal(subject = "customer_id"))]
        #[serde(rename = "born-in")]
        born: Option<Personal<u16>>,
    },
    Married {
        one: String,
        other: String,
        #[event(personal(subject = "one"))]
        names: Vec<Personal<String>>,
        #[event(personal(subject = "other"))]
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        other_names: Vec<Personal<String>>,
    },
    Called(u64, #[event(personal(subject = "0"))] Personal<Vec<u8>>),
    Left {
        customer_id: u64,
    },
}

/// A struct is an event too.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "patient")]
struct Examined {
    #[event(personal(subject = "patient"))]
    finding: Personal<Finding>,
    patient: String,
    #[event(personal(subject = "doctor"))]
    remark: Personal<String>,
    doctor: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Finding {
    text: String,
    grade: f64,
}

/// Bytes that are never the same twice, and the same in every run.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        for byte in bytes {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            *byte = count.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        }
        Ok(())
    }
}

fn memory_keys() -> Arc<MemoryKeys> {
    Arc::new(MemoryKeys::new())
}

fn subject(text: &str) -> Subject {
    Subject::new(text).unwrap()
}

fn known(text: &str) -> Personal<String> {
    Personal::Known(text.to_owned())
}

fn registered(customer_id: u64, name: &str) -> CustomerEvent {
    CustomerEvent::Registered {
        customer_id,
        name: known(name),
        born: Some(Personal::Known(1815)),
    }
}

fn examined(patient: &str, doctor: &str, text: &str) -> Examined {
    Examined {
        finding: Personal::Known(Finding {
            text: text.to_owned(),
            grade: f64::INFINITY,
        }),
        patient: patient.to_owned(),
        remark: known(text),
        doctor: doctor.to_owned(),
    }
}

fn erase(keys: &dyn KeyStore, of: &str) {
    keys.erase(&subject(of), Timestamp::from_seconds(5))
        .unwrap();
}
