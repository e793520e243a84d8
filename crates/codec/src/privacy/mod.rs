//! Personal data: encrypted with a key for each person, readable until that key is erased.
//!
//! Events are for good, and people may ask to be forgotten. So what is personal stands in an event as
//! ciphertext, under a key that is that person's alone; erasing the key erases the data in every event and in
//! every copy of the events. The ciphertext stays where it is, and no event changes.

mod cipher;
mod encrypted_events;
mod encrypted_fields;
mod entropy;
mod envelope;
mod erase;
mod erased;
mod fields;
mod file_keys;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod key_store;
mod memory_keys;
mod personal;
pub(crate) mod scope;
mod subject;

pub use encrypted_events::{EncryptedEvents, ErasedEvent};
pub use encrypted_fields::EncryptedFields;
pub use entropy::{Entropy, SystemEntropy};
pub use envelope::{ENVELOPE_BYTES, ENVELOPE_VERSION};
pub use erase::{Eraser, ErasureReport, KeyErasure, StreamErasure};
pub use erased::SubjectErased;
pub use fields::{PersonalData, PersonalEvent, PersonalFields};
pub use file_keys::{FILE_KEYS_CACHED_MAX, FileKeys};
pub use key::{KeyId, MasterKey, SubjectKey};
pub use key_store::{KeyEntry, KeyState, KeyStore, SubjectKeys, Tombstone};
pub use memory_keys::MemoryKeys;
pub use personal::Personal;
pub use subject::{SUBJECT_BYTES_MAX, Subject};
