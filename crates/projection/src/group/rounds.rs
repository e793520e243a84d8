//! What a member does, round after round: says that it is there, renews what it has, gives back and takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use annals_concurrency::{Acquired, Lease, Leases};
use annals_core::{CheckpointName, Clock, Error, ErrorKind};
use event_listener::EventListener;
use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::FuturesUnordered;

use super::guarded::Guarded;
use super::held::{HeldPartition, Term};
use super::member::{GroupMember, Shared};
use super::roster::Roster;
use super::share::share;
use crate::contract::choice::EventChoice;
use crate::contract::partition::Partition;
use crate::errors::in_words;

/// A member at work.
pub(super) struct Rounds {
    member: GroupMember,
    shared: Arc<Shared>,
    leases: Leases,
    roster: Roster,
    partitions: Vec<Partition>,
    held: BTreeMap<Partition, Holding>,
    /// What was told to stop, and is renewed until it did.
    leaving: BTreeMap<Partition, Holding>,
    stopping: FuturesUnordered<BoxFuture<'static, Partition>>,
}

/// A partition, its lease, and how long it lasts.
struct Holding {
    lease: Lease,
    term: Arc<Term>,
    name: CheckpointName,
}

impl Rounds {
    pub(super) fn new(member: GroupMember, shared: Arc<Shared>) -> Result<Self, Error> {
        Ok(Self {
            leases: member.leases()?,
            roster: member.roster()?,
            partitions: Partition::all(member.settings.partitions)?,
            held: BTreeMap::new(),
            leaving: BTreeMap::new(),
            stopping: FuturesUnordered::new(),
            member,
            shared,
        })
    }

    pub(super) async fn run(mut self) -> Result<(), Error> {
        loop {
            // Listen before looking, so that no call to leave is missed.
            let asked = self.shared.asked();
            let leaves = self.shared.leaves();
            let trouble = self.round(leaves).await.err();
            let trouble = trouble.map(|error| in_words(&error));
            self.shared.change(|status| status.trouble = trouble);
            self.show();
            if leaves && self.held.is_empty() && self.leaving.is_empty() {
                return self.roster.left(&self.member.member).await;
            }
            self.wait((!leaves).then_some(asked)).await;
        }
    }

    /// Waits for the next round, or until it is told to leave. What has stopped meanwhile is given back at once.
    async fn wait(&mut self, asked: Option<EventListener>) {
        let leaves = asked.is_none();
        let sleep = self.member.timer.sleep(self.member.settings.round());
        let mut over = match asked {
            Some(asked) => select(sleep, asked).map(drop).boxed(),
            None => sleep,
        };
        while !self.stopping.is_empty() {
            let stopped = match select(over, self.stopping.next()).await {
                Either::Left(_) => return,
                Either::Right((stopped, rest)) => {
                    over = rest;
                    stopped
                }
            };
            if let Some(partition) = stopped {
                self.give_back(partition).await;
            }
            if leaves && self.leaving.is_empty() {
                return;
            }
        }
        over.await;
    }

    async fn round(&mut self, leaves: bool) -> Result<(), Error> {
        self.renew().await?;
        if leaves {
            self.stop_beyond(0);
            return Ok(());
        }
        self.roster.seen(&self.member.member).await?;
        let members = self.roster.members().await?;
        let share = share(
            self.member.settings.partitions,
            &members,
            &self.member.member,
        );
        self.shared.change(|status| status.members = members);
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        self.stop_beyond(share);
        self.take_up_to(share).await
    }

    /// Renews all leases, those of partitions that are not given back yet included. What is lost is stopped.
    async fn renew(&mut self) -> Result<(), Error> {
        let mut lost = Vec::new();
        let mut trouble = None;
        let holdings = self.held.iter_mut().chain(self.leaving.iter_mut());
        for (partition, holding) in holdings {
            match self.leases.renew(&mut holding.lease).await {
                Ok(()) => {
                    let has_lapsed = !holding.term.lasts();
                    holding.term.extend(holding.lease.expires_at());
                    if has_lapsed {
                        // Nobody took it meanwhile; its consumer may have given up waiting.
                        let _ = self.member.processor.resume(holding.name.as_str());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    holding.term.end();
                    lost.push(*partition);
                }
                // It is lost when it expires, unless the next round renews it.
                Err(error) => trouble = Some(error),
            }
        }
        for partition in lost {
            self.stop(partition);
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Begins to give back what is held beyond a share.
    fn stop_beyond(&mut self, share: usize) {
        while self.held.len() > share {
            let Some(partition) = self.held.last_key_value().map(|(last, _)| *last) else {
                return;
            };
            self.stop(partition);
        }
    }

    /// Has the consumer of a partition stop; its lease is given back when it did.
    fn stop(&mut self, partition: Partition) {
        let Some(holding) = self.held.remove(&partition) else {
            return;
        };
        let (processor, name) = (self.member.processor.clone(), holding.name.clone());
        self.leaving.insert(partition, holding);
        self.stopping.push(Box::pin(async move {
            // Where there is none, it has stopped already.
            let _ = processor.remove(name.as_str()).await;
            partition
        }));
    }

    /// Gives back the lease of a partition whose consumer has stopped.
    async fn give_back(&mut self, partition: Partition) {
        if let Some(holding) = self.leaving.remove(&partition) {
            holding.term.end();
            // One that was lost is another's; one that can't be given back expires.
            let _ = self.leases.release(holding.lease).await;
        }
        self.show();
    }

    /// Takes free partitions, until the share is full.
    async fn take_up_to(&mut self, share: usize) -> Result<(), Error> {
        // Members begin at different places, so that they seldom want the same.
        let first = Partition::index_of(&self.member.member, self.member.settings.partitions)?;
        let first = usize::try_from(first).unwrap_or_default();
        let partitions = self.partitions.clone();
        let (before, after) = partitions.split_at(first.min(partitions.len()));
        for partition in after.iter().chain(before) {
            if self.held.len() >= share {
                break;
            }
            if !self.held.contains_key(partition) && !self.leaving.contains_key(partition) {
                self.take(*partition).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, partition: Partition) -> Result<(), Error> {
        let lease = format!("{}.{partition}", self.member.group);
        let acquired = self.leases.acquire(&lease, &self.member.member).await;
        let lease = match acquired {
            Ok(Acquired::Granted(lease)) => lease,
            Ok(_) => return Ok(()),
            // Another member was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(()),
            Err(error) => return Err(error),
        };
        let clock: Arc<dyn Clock> = Arc::clone(&self.member.clock);
        let term = Arc::new(Term::new(clock, lease.expires_at()));
        match self.feed(partition, &lease, &term) {
            Ok(name) => {
                let holding = Holding { lease, term, name };
                self.held.insert(partition, holding);
                Ok(())
            }
            Err(error) => {
                let _ = self.leases.release(lease).await;
                Err(error)
            }
        }
    }

    /// Has the processor feed a consumer of a partition.
    fn feed(
        &self,
        partition: Partition,
        lease: &Lease,
        term: &Arc<Term>,
    ) -> Result<CheckpointName, Error> {
        let held = HeldPartition::new(
            partition,
            lease.fence().clone(),
            Arc::clone(term),
            Arc::clone(&self.member.store),
            Arc::clone(&self.member.ids),
            self.member.retrier(),
        );
        let inner = (self.member.make)(held.clone())?;
        if inner.partition() != partition {
            let message =
                "consumer of a group is of another partition; make it for the one that is held";
            return Err(Error::new(ErrorKind::Invalid, message).with("partition", partition));
        }
        if *inner.choice() == EventChoice::ALL {
            let message = "consumer of a group takes all events, those of the group too; choose categories or criteria";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let name = CheckpointName::parse(&format!("{}.{partition}", self.member.group))?;
        let guarded = Guarded {
            name: name.clone(),
            inner,
            held,
        };
        self.member.processor.add(Box::new(guarded))?;
        Ok(name)
    }

    fn show(&self) {
        self.shared.change(|status| {
            status.held = self.held.keys().copied().collect();
            status.leaving = self.leaving.keys().copied().collect();
        });
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        for holding in self.held.values().chain(self.leaving.values()) {
            holding.term.end();
            // The first poll tells it to stop; nobody waits for it.
            let name = holding.name.as_str();
            let _ = self.member.processor.remove(name).now_or_never();
        }
        self.shared.change(|status| {
            status.held.clear();
            status.leaving.clear();
            status.is_over = true;
        });
    }
}
