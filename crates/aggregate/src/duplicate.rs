//! The answer to a command that was executed before.

use annals_core::{
    Aggregate, Error, ErrorKind, ReadRequest, Receipt, StreamId, StreamReceipt, Version,
};

use crate::attempts::Attempts;
use crate::{CommandError, Executed, Repository};

impl<A: Aggregate> Repository<A> {
    /// What the earlier execution answered, of which this is the receipt, for one of its aggregates.
    pub(crate) async fn executed_before(
        &self,
        stream: StreamId,
        receipt: Receipt,
        attempts: &Attempts,
    ) -> Result<Executed<A>, Error> {
        let written = receipt.streams.iter().find(|of| of.stream == stream);
        let written = written.map(|of| (of.first_version.previous(), of.last_version));
        let (before, version, receipt) = if let Some((before, after)) = written {
            (before, after, Some(receipt))
        } else {
            let unchanged = self.version_at(&stream, &receipt).await?;
            (unchanged, unchanged, None)
        };
        let (loaded, events) = self.read_and_keep(stream, version, before).await?;
        let (stream, state, skipped, _) = loaded.into_parts();
        Ok(Executed {
            stream,
            events,
            receipt,
            state,
            skipped,
            version,
            attempts: attempts.used(),
            rebases: attempts.rebases,
        })
    }

    /// The version that a stream had when the append of this receipt was recorded, which did not write
    /// it: versions have no gaps, so the next event tells.
    async fn version_at(&self, stream: &StreamId, receipt: &Receipt) -> Result<Version, Error> {
        let later = ReadRequest::stream(stream.clone()).after(receipt.cursor.clone());
        let mut request = later.events_max(1);
        loop {
            let page = self.store().read(request).await?;
            match (page.events.first(), page.next) {
                (Some(next), _) => return Ok(next.version().previous()),
                (None, Some(rest)) => request = rest,
                (None, None) => {
                    return Ok(page.stream.map_or(Version::ABSENT, |head| head.version));
                }
            }
        }
    }
}

/// Refuses an append id that stands for another command: one that wrote other streams than these.
pub(crate) fn check_same<E>(
    receipt: &Receipt,
    streams: &[&StreamId],
) -> Result<(), CommandError<E>> {
    let is_other = |of: &&StreamReceipt| !streams.contains(&&of.stream);
    let Some(other) = receipt.streams.iter().find(is_other) else {
        return Ok(());
    };
    let message = "append id stands for another command; use a fresh one";
    let mut error = Error::new(ErrorKind::AppendIdReused, message)
        .during("execute")
        .with("append", receipt.append_id);
    for stream in streams {
        error = error.with("stream", stream);
    }
    let error = error.with("recorded in", &other.stream);
    Err(CommandError::AppendIdReused(error))
}
