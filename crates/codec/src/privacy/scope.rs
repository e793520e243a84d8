//! What is known while one event is written or read: whose its personal fields are, and where the keys are.
//!
//! serde hands a field's value to its `Serialize` and nothing else. So the codec that encrypts opens a scope on
//! its thread, and [`Personal`](super::Personal) looks for it. Scopes nest, and end when their guard is dropped,
//! also by a panic.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;

use annals_core::EventId;
use zeroize::Zeroizing;

use super::cipher::Plain;
use super::entropy::{Entropy, draw};
use super::envelope::{Envelope, Use, seal};
use super::fields::PersonalFields;
use super::key::{KeyId, SubjectKey};
use super::key_store::{KeyState, KeyStore};
use super::subject::Subject;
use crate::{Error, ErrorKind};

thread_local! {
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
    /// How many personal values this thread refused to write or read, as there was no scope.
    static REFUSALS: Cell<u64> = const { Cell::new(0) };
}

/// Begins a value of an event that only this process sees, between two upcasters: the place in
/// [`Scope::passing`] follows. No envelope begins so.
const PASSING: u8 = 0xff;

/// What a field's text begins with.
const ERASED: u8 = 0;
const KNOWN: u8 = 1;

struct Scope {
    keys: Arc<dyn KeyStore>,
    event: Option<EventId>,
    task: Task,
    /// The keys that were asked for, so that each is asked for once.
    used: Vec<KeyState>,
    /// What upcasters hand on to each other, in the clear.
    passing: Vec<Option<Plain>>,
    /// Why a value was refused, where that is not the form's to say.
    error: Option<Error>,
}

enum Task {
    Write {
        entropy: Arc<dyn Entropy>,
        fields: PersonalFields,
        place: Place,
    },
    Read,
}

/// Which field of the event is being written.
#[derive(Clone, Copy)]
enum Place {
    /// None that is known.
    Unknown,
    /// One that is not personal.
    Other,
    /// The personal one of this number.
    Field(usize),
}

/// For whom a value is written.
enum Recipient {
    Subject(Subject, Arc<dyn Entropy>),
    /// It goes from one upcaster to the next.
    Upcaster,
    /// It is not known.
    Nobody,
}

/// Ends the scope when it is dropped. It does not leave its thread.
pub(super) struct Guard {
    /// How many scopes there are around this one.
    depth: usize,
    thread: PhantomData<*const ()>,
}

/// What there is to tell of a scope.
pub(super) struct Outcome {
    /// The keys that were used.
    pub(super) keys: Vec<KeyId>,
    pub(super) error: Option<Error>,
}

/// The value can't be written or read; why, the scope knows.
#[derive(Debug)]
pub(super) struct Refused;

/// A value that was read.
pub(super) enum Revealed {
    Known(Plain),
    Erased,
    /// The bytes are none of ours.
    NoEnvelope,
}

/// Until the guard is dropped, personal values are written for this event.
pub(super) fn write(
    keys: Arc<dyn KeyStore>,
    entropy: Arc<dyn Entropy>,
    event: EventId,
    fields: PersonalFields,
) -> Guard {
    let task = Task::Write {
        entropy,
        fields,
        place: Place::Unknown,
    };
    Scope::enter(keys, Some(event), task)
}

/// Until the guard is dropped, personal values are read from this event.
pub(super) fn read(keys: Arc<dyn KeyStore>, event: Option<EventId>) -> Guard {
    Scope::enter(keys, event, Task::Read)
}

/// Does what writes a field of an event, which stands here.
pub(crate) fn within_field<T: ?Sized, R>(field: &T, work: impl FnOnce() -> R) -> R {
    let address = address(field);
    let before = innermost(|scope| scope.enter_field(address)).flatten();
    let leave = before.map(Leave);
    let done = work();
    drop(leave);
    done
}

/// Whether a codec that encrypts is at work on this thread.
pub(crate) fn is_open() -> bool {
    SCOPES.with_borrow(|scopes| !scopes.is_empty())
}

/// How many personal values were refused on this thread, as no codec was there to encrypt them.
pub(crate) fn refusals() -> u64 {
    REFUSALS.get()
}

/// The error for a value that would have been written, or read, without a codec that encrypts.
pub(crate) fn without_codec() -> Error {
    let message =
        "personal data has no form of its own; write and read the event with EncryptedFields";
    Error::new(ErrorKind::PersonalInPlain, message)
}

/// The address of a value, by which a field is known again while it is written.
pub(super) fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<()>().addr()
}

/// The bytes to write for a value: an erased one, or the text of a known one.
pub(super) fn protect(text: Option<Plain>) -> Result<Vec<u8>, Refused> {
    match innermost(Scope::recipient) {
        None => Err(refused()),
        Some(Recipient::Upcaster) => innermost(|scope| scope.pass(text)).ok_or(Refused),
        Some(Recipient::Nobody) => Err(refuse(no_subject())),
        Some(Recipient::Subject(subject, entropy)) => {
            let sealed = sealed(&subject, &*entropy, text.as_ref());
            sealed.map_err(refuse)
        }
    }
}

/// What the bytes of a value hold.
pub(super) fn reveal(bytes: &[u8]) -> Result<Revealed, Refused> {
    let Some(event) = innermost(|scope| scope.event) else {
        return Err(refused());
    };
    if let Some((&PASSING, place)) = bytes.split_first() {
        return innermost(|scope| scope.passed(place)).ok_or(Refused);
    }
    match Envelope::parse(bytes) {
        None => Ok(Revealed::NoEnvelope),
        Some(envelope) => opened(&envelope, event).map_err(refuse),
    }
}

fn sealed(
    subject: &Subject,
    entropy: &dyn Entropy,
    text: Option<&Plain>,
) -> Result<Vec<u8>, Error> {
    let key = key_for(subject)?;
    let nonce = draw(entropy)?;
    let event = innermost(|scope| scope.event).flatten();
    let event = event.ok_or_else(no_identity)?;
    let text = match text {
        None => Zeroizing::new(vec![ERASED]),
        Some(text) => {
            let mut known = Zeroizing::new(Vec::with_capacity(text.len() + 1));
            known.push(KNOWN);
            known.extend_from_slice(text);
            known
        }
    };
    seal(Use::Field, &key, event, &nonce, &text)
}

fn opened(envelope: &Envelope<'_>, event: Option<EventId>) -> Result<Revealed, Error> {
    let event = event.ok_or_else(no_identity)?;
    let key = match key(envelope.key)? {
        KeyState::Known(key) => key,
        KeyState::Erased(_) => return Ok(Revealed::Erased),
    };
    let text = envelope.open(Use::Field, &key, event);
    let text = text.ok_or_else(|| not_authentic(envelope.key))?;
    match text.split_first() {
        Some((&KNOWN, known)) => Ok(Revealed::Known(Zeroizing::new(known.to_vec()))),
        _ => Ok(Revealed::Erased),
    }
}

/// The key of this name. The key store is asked once for each event, and while nothing is borrowed: it may use
/// codecs that encrypt itself.
fn key(id: KeyId) -> Result<KeyState, Error> {
    let known = innermost(|scope| scope.used.iter().find(|state| state.id() == id).cloned());
    if let Some(state) = known.flatten() {
        return Ok(state);
    }
    let keys = innermost(|scope| Arc::clone(&scope.keys)).ok_or_else(without_codec)?;
    let state = keys.key(id)?;
    innermost(|scope| scope.used.push(state.clone()));
    Ok(state)
}

/// The key of this subject, alike.
fn key_for(subject: &Subject) -> Result<SubjectKey, Error> {
    if let Some(key) = innermost(|scope| scope.key_of(subject)).flatten() {
        return Ok(key);
    }
    let keys = innermost(|scope| Arc::clone(&scope.keys)).ok_or_else(without_codec)?;
    let key = keys.key_for(subject)?;
    innermost(|scope| scope.used.push(KeyState::Known(key.clone())));
    Ok(key)
}

/// Keeps the reason why a value has no form.
pub(super) fn refuse(error: Error) -> Refused {
    innermost(|scope| scope.refuse(error)).unwrap_or(Refused)
}

fn refused() -> Refused {
    REFUSALS.set(REFUSALS.get().wrapping_add(1));
    Refused
}

/// Looks at the scope that was opened last. No code of the application runs meanwhile.
fn innermost<R>(look: impl FnOnce(&mut Scope) -> R) -> Option<R> {
    SCOPES.with_borrow_mut(|scopes| scopes.last_mut().map(look))
}

/// Goes back to the place before a field, also by a panic.
struct Leave(Place);

impl Drop for Leave {
    fn drop(&mut self) {
        innermost(|scope| scope.set_place(self.0));
    }
}

impl Guard {
    pub(super) fn end(self) -> Outcome {
        let outcome = SCOPES.with_borrow_mut(|scopes| {
            let scope = scopes.get_mut(self.depth)?;
            let used = scope.used.iter();
            let keys = used.filter_map(|state| match state {
                KeyState::Known(key) => Some(key.id()),
                KeyState::Erased(_) => None,
            });
            Some(Outcome {
                keys: keys.collect(),
                error: scope.error.take(),
            })
        });
        outcome.unwrap_or(Outcome {
            keys: Vec::new(),
            error: None,
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // What it held is dropped when nothing is borrowed any more.
        let ended = SCOPES.with_borrow_mut(|scopes| {
            let depth = self.depth.min(scopes.len());
            scopes.split_off(depth)
        });
        drop(ended);
    }
}

impl Scope {
    fn enter(keys: Arc<dyn KeyStore>, event: Option<EventId>, task: Task) -> Guard {
        let scope = Self {
            keys,
            event,
            task,
            used: Vec::new(),
            passing: Vec::new(),
            error: None,
        };
        let depth = SCOPES.with_borrow_mut(|scopes| {
            scopes.push(scope);
            scopes.len() - 1
        });
        Guard {
            depth,
            thread: PhantomData,
        }
    }

    fn refuse(&mut self, error: Error) -> Refused {
        self.error.get_or_insert(error);
        Refused
    }

    /// Gives the place before, where there is one to go back to.
    fn enter_field(&mut self, address: usize) -> Option<Place> {
        let Task::Write { fields, place, .. } = &mut self.task else {
            return None;
        };
        let field = fields.at(address);
        let here = field.map_or(Place::Other, Place::Field);
        Some(std::mem::replace(place, here))
    }

    fn set_place(&mut self, before: Place) {
        if let Task::Write { place, .. } = &mut self.task {
            *place = before;
        }
    }

    /// For whom the value is that is being written.
    fn recipient(&mut self) -> Recipient {
        let Task::Write {
            entropy,
            fields,
            place,
        } = &self.task
        else {
            return Recipient::Upcaster;
        };
        let subject = match place {
            Place::Field(index) => fields.subject(*index),
            Place::Unknown => fields.only(),
            Place::Other => None,
        };
        match subject {
            None => Recipient::Nobody,
            Some(subject) => Recipient::Subject(subject.clone(), Arc::clone(entropy)),
        }
    }

    /// A value that goes from one upcaster to the next.
    fn pass(&mut self, text: Option<Plain>) -> Vec<u8> {
        let place = self.passing.len().to_le_bytes();
        self.passing.push(text);
        [&[PASSING][..], &place].concat()
    }

    fn passed(&mut self, place: &[u8]) -> Revealed {
        let place = <[u8; size_of::<usize>()]>::try_from(place).map(usize::from_le_bytes);
        match place.ok().and_then(|place| self.passing.get(place)) {
            None => Revealed::NoEnvelope,
            Some(None) => Revealed::Erased,
            Some(Some(text)) => Revealed::Known(text.clone()),
        }
    }

    fn key_of(&mut self, subject: &Subject) -> Option<SubjectKey> {
        self.used.iter().find_map(|state| match state {
            KeyState::Known(key) => Some(key).filter(|key| key.subject() == subject).cloned(),
            KeyState::Erased(_) => None,
        })
    }
}

impl KeyState {
    fn id(&self) -> KeyId {
        match self {
            Self::Known(key) => key.id(),
            Self::Erased(tombstone) => tombstone.key,
        }
    }
}

fn no_subject() -> Error {
    let message = "it is not known whose this personal data is; \
        write #[event(personal(subject = \"...\"))] on each such field, which serde's `with` must not wrap";
    Error::new(ErrorKind::BadSubject, message)
}

fn no_identity() -> Error {
    let message =
        "event has no identity, to which its personal data is bound; decode the recorded event";
    Error::new(ErrorKind::EnvelopeDamaged, message)
}

/// What an envelope is that does not open.
pub(super) fn not_authentic(key: KeyId) -> Error {
    let message = "personal data does not authenticate: its bytes, its event or its key are not those it was written with";
    Error::new(ErrorKind::EnvelopeDamaged, message).with("key", key)
}
