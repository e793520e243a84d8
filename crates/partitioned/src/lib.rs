//! One event store over several: each stream is in one of them, by the hash of its name.
//!
//! [`Partitioned`] implements the contracts of `annals-core` over any stores that are single logs: embedded logs,
//! databases, schemas. It is for a history that outgrows what one of them writes. Order, appends and conditions hold
//! inside a partition; between partitions there is no order, and nothing is atomic.
//!
//! It is *not* a replication: each event is in one partition, and a partition that is down takes its streams with it. The
//! number of partitions is recorded in each of them and stays for good; to have more, copy the history.
//!
//! ```
//! use annals_core::{
//!     Append, ContentType, EventOrdering, EventStore, EventStoreExt, EventType, Expected, Ids, NewEvent, ReadRequest,
//!     StreamId, UuidIds,
//! };
//! use annals_partitioned::Partitioned;
//! use annals_store_memory::MemoryStore;
//!
//! # futures_executor::block_on(async {
//! let stores = [(); 3].map(|()| MemoryStore::new());
//! let store = Partitioned::over(stores).open().await?;
//!
//! let placed = NewEvent::new(EventType::from_static("placed"), ContentType::JSON, "{}")?;
//! let opened = NewEvent::new(EventType::from_static("opened"), ContentType::JSON, "{}")?;
//! // Streams of one partition key, here `acme`, may change in one append.
//! let append = Append::builder(UuidIds::default().append_id())
//!     .write(StreamId::parse("order-{acme}17")?, Expected::NoStream, [placed])
//!     .write(StreamId::parse("account-{acme}")?, Expected::Any, [opened])
//!     .build()?;
//! let receipt = store.append(append).await?;
//!
//! let request = ReadRequest::all().ordering(EventOrdering::PerStream);
//! assert_eq!(store.collect(request).await?.len(), 2);
//! store.wait_for(&receipt).await?;
//! # Ok::<(), annals_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Which partition
//! [`partition_of`] hashes the [partition key](annals_core::StreamId::partition_key) of a stream: what stands in braces
//! in its key, else its whole name. It never changes.
//!
//! # What holds
//! | | in a partition | across partitions |
//! |---|---|---|
//! | order of events | total | none: a reader asks for [`EventOrdering::PerStream`](annals_core::EventOrdering) |
//! | an append of several streams, checks | atomic | refused |
//! | conditions | exact, where each item of the criteria is tagged `partition:<key>` | refused |
//! | append ids | known, for as long as the partition knows them | the same id is another append |
//! | a read | one state of the partition | each partition as it is when it is read |
//!
//! A read of several partitions merges them by [`appended_at`](annals_core::RecordedEvent::appended_at), so that it is
//! about as it happened; as clocks differ, only the order in a partition is promised.
//!
//! # Limits
//! Up to [`PARTITIONS_MAX`] partitions of up to 2^48 - 1 positions each. A page takes as much memory again for events
//! that were read ahead of their turn, but at least an event of each partition: a page of fewer events than there are partitions
//! reads as many as there are.

mod auxiliary;
mod builder;
mod capabilities;
mod hash;
mod heads;
mod identity;
mod places;
mod read;
mod routing;
mod store;

pub use builder::{PARTITIONS_MAX, PartitionedBuilder};
pub use hash::partition_of;
pub use store::Partitioned;
