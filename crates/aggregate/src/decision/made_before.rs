//! The answer to a decision that was made before.

use annals_codec::{Decoded, EventCodec, EventCodecExt};
use annals_core::{Error, Event, ReadRequest, Receipt, StreamReceipt};

use super::{DecisionMade, Decisions};
use crate::Skipped;
use crate::attempts::Attempts;

impl<C: Send + Sync> Decisions<C> {
    /// What the earlier execution answered, of which this is the receipt.
    pub(super) async fn made_before<E: Event>(
        &self,
        receipt: Receipt,
        attempts: &Attempts,
    ) -> Result<DecisionMade<E>, Error>
    where
        C: EventCodec<E>,
    {
        let (mut events, mut skipped) = (Vec::new(), Skipped::default());
        for written in &receipt.streams {
            self.read_written(written, &mut events, &mut skipped)
                .await?;
        }
        Ok(DecisionMade {
            events,
            receipt: Some(receipt),
            skipped,
            attempts: attempts.used(),
        })
    }

    async fn read_written<E: Event>(
        &self,
        written: &StreamReceipt,
        events: &mut Vec<E>,
        skipped: &mut Skipped,
    ) -> Result<(), Error>
    where
        C: EventCodec<E>,
    {
        let request = ReadRequest::stream(written.stream.clone())
            .after_version(written.first_version.previous())
            .until_version(written.last_version);
        let mut next = Some(request.events_max(self.page_events_max));
        while let Some(request) = next {
            let page = self.store().read(request).await?;
            for recorded in &page.events {
                match self.codec.decode(recorded)? {
                    Decoded::Skipped(reason) => skipped.push(reason),
                    decoded => events.extend(decoded),
                }
            }
            next = page.next;
        }
        Ok(())
    }
}
