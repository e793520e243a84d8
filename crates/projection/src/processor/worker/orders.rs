//! Obeying orders.

use annals_core::Error;

use super::{Then, Worker};
use crate::processor::orders::{Order, Wish};
use crate::processor::status::ConsumerState;

impl Worker {
    /// Does what was ordered, and waits while the consumer is paused.
    pub(super) async fn obey(&mut self) -> Result<Then, Error> {
        loop {
            let ordered = self.cell.ordered();
            match self.cell.next_order() {
                (Some(order), _) => self.execute(order).await?,
                (None, Wish::Run) => return Ok(Then::GoOn),
                (None, Wish::Stop) => return Ok(Then::Stop),
                (None, Wish::Pause) => {
                    self.feed.leave(self.member.id);
                    self.note().await?;
                    self.cell.set_state(ConsumerState::Paused);
                    ordered.await;
                }
            }
        }
    }

    /// After a failure: waits until somebody resumes the consumer, resets it, or stops it.
    pub(super) async fn await_rescue(&mut self) -> Then {
        loop {
            let ordered = self.cell.ordered();
            match self.cell.next_order() {
                (Some(Order::Resume), _) => return Then::GoOn,
                (Some(order), _) => {
                    let is_reset = matches!(order, Order::Reset(_));
                    // An error of it was told to who ordered.
                    let done = match self.consumer.open().await {
                        Ok(_) => self.execute(order).await,
                        Err(error) => order.refuse(error),
                    };
                    if is_reset && done.is_ok() {
                        return Then::GoOn;
                    }
                }
                (None, Wish::Stop) => return Then::Stop,
                (None, Wish::Run | Wish::Pause) => ordered.await,
            }
        }
    }

    /// Does one thing that was ordered, and answers.
    ///
    /// # Errors
    /// Of the consumer that can't be opened again after what was ordered failed.
    async fn execute(&mut self, order: Order) -> Result<(), Error> {
        let failed = match order {
            Order::Resume => return Ok(()),
            Order::Reset(reply) => {
                let done = self.consumer.reset().await;
                let opened = self.open().await;
                let _ = reply.send(done);
                return opened;
            }
            Order::Retry(key, reply) => {
                let done = self.retry_parked(key.as_deref()).await;
                let failed = done.is_err();
                let _ = reply.send(done);
                failed
            }
            Order::Drop(position, reply) => {
                let done = self.drop_parked(position).await;
                let failed = done.is_err();
                let _ = reply.send(done);
                failed
            }
        };
        if failed {
            self.open().await?;
        }
        Ok(())
    }
}
