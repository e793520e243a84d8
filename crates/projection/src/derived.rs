//! Identities and contexts that follow from an event.

use annals_core::{AppendId, CausationId, CorrelationId, Error, EventId, Metadata, RecordedEvent};

use crate::reaction::append_id::hashed;

/// The append id of what the process manager of this name decides about an input: the text `decided-` and 32
/// hexadecimal digits, made as those of [`Delivery::append_id`](crate::Delivery::append_id) of
/// `annals decided append 1`, how many bytes the name has (8 bytes), the name, and the input's event id (16 bytes).
/// It stays so for good.
pub(crate) fn decided(name: &str, input: EventId) -> AppendId {
    hashed("decided-", b"annals decided append 1", name, input)
}

/// The append id of the firing of a timer that was set by this event: `fired-` and 32 digits, made alike of
/// `annals fired append 1`, an empty name and the event id.
pub(crate) fn fired(set_by: EventId) -> AppendId {
    hashed("fired-", b"annals fired append 1", "", set_by)
}

/// The context of what an event causes: the event is the cause, and the correlation is its own, or begins with it.
pub(crate) fn caused_by(event: &RecordedEvent) -> Result<Metadata, Error> {
    let correlation = event.metadata().correlation_id();
    in_conversation(correlation, event.id())
}

/// The context of what the event of this id causes, in this conversation or in one that begins with it.
pub(crate) fn in_conversation(
    correlation: Option<CorrelationId>,
    cause: EventId,
) -> Result<Metadata, Error> {
    Metadata::EMPTY
        .with_correlation_id(correlation.unwrap_or_else(|| CorrelationId::from(cause)))?
        .with_causation_id(CausationId::from(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_stays_the_same_for_good() {
        let event: EventId = "018f7e70-0000-7000-8000-000000000001".parse().unwrap();
        let ids = [
            decided("fulfilment", event),
            decided("other", event),
            fired(event),
        ];
        let ids: Vec<&str> = ids.iter().map(AppendId::as_str).collect();
        let expected = [
            "decided-cfcbf81efa63de74a39e08881b04349f",
            "decided-6b12fef72b04cbade9f6d8c308072c06",
            "fired-e9ff6949c0183b796c51daa9223fe2a0",
        ];
        assert_eq!(ids, expected);
    }
}
