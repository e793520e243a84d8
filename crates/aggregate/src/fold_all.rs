//! All aggregates of one type folded into a model of the application's own.

use annals_codec::{Decoded, EventCodecExt};
use annals_core::{Aggregate, DecodedEvent, Error, Event, ReadRequest};

use crate::Repository;

impl<A: Aggregate> Repository<A> {
    /// Folds the events of all aggregates of this type, in the order of the log, into a model: the smallest read
    /// model there is, made anew each time.
    ///
    /// Each event comes with where it was recorded: the key of its aggregate is that of its stream. Events that
    /// the codec's policy passes over, and those that a stream's policy hides, are not in it. Pages are read as
    /// they are folded, so nothing but the model and a page is in memory; what is appended meanwhile is folded too.
    ///
    /// ```
    /// # use annals_aggregate::Repository;
    /// # use annals_core::{Aggregate, Error, Refusal};
    /// # use annals_macros::Event;
    /// # use serde::{Deserialize, Serialize};
    /// use std::collections::BTreeMap;
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(category = "account")]
    /// # enum AccountEvent { Deposited { cents: u64 } }
    /// # #[derive(Default)]
    /// # struct Account;
    /// # impl Aggregate for Account {
    /// #     type Event = AccountEvent;
    /// #     fn apply(&mut self, _: &AccountEvent) -> Result<(), Refusal> { Ok(()) }
    /// # }
    ///
    /// async fn deposits(accounts: &Repository<Account>) -> Result<BTreeMap<String, u64>, Error> {
    ///     let none = BTreeMap::new();
    ///     let counted = accounts.fold_all(none, |mut deposits, entry| {
    ///         let AccountEvent::Deposited { cents } = entry.event;
    ///         *deposits.entry(entry.recorded.stream().key().to_owned()).or_default() += cents;
    ///         deposits
    ///     });
    ///     counted.await
    /// }
    /// ```
    ///
    /// Events come in the order of the log; in a store without
    /// [`total_order`](annals_core::Capabilities::total_order) those of each aggregate do.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`](annals_core::ErrorKind::Undecodable) for an event that does not decode, which the
    /// error names by stream, version and position; or as the store has it.
    pub async fn fold_all<M>(
        &self,
        model: M,
        mut step: impl FnMut(M, DecodedEvent<A::Event>) -> M,
    ) -> Result<M, Error> {
        let mut model = model;
        let request = ReadRequest::category(A::Event::CATEGORY)
            .ordering(self.writer.store.capabilities().ordering());
        let mut next = Some(request.events_max(self.page_events_max));
        while let Some(request) = next {
            let page = self.writer.store.read(request).await?;
            next = page.next;
            for recorded in page.events {
                let decoded: Decoded<A::Event> = self.codec.decode(&recorded)?;
                for event in decoded {
                    let recorded = recorded.clone();
                    model = step(model, DecodedEvent { event, recorded });
                }
            }
        }
        Ok(model)
    }
}
