//! What the shop does, with a payment service that fails, days that go by, and a process that ends in between.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ops::Range;
use std::sync::Arc;

use annals::{CheckpointStore, ErrorKind, EventStore, LogStore, MemoryStore, ParkedCause};
use futures_executor::block_on;
use order_fulfilment::fulfilment::PAYMENT_TERM;
use order_fulfilment::payment::{Asked, PaymentService};
use order_fulfilment::shop::Shop;
use order_fulfilment::story_time::StoryTime;

/// A shop in memory, and the world around it.
struct World {
    store: Arc<MemoryStore>,
    payments: PaymentService,
    time: StoryTime,
}

impl World {
    fn new() -> Self {
        let time = StoryTime::default();
        let clock = Arc::new(time.clone());
        Self {
            store: Arc::new(MemoryStore::builder().clock(clock).build()),
            payments: PaymentService::default(),
            time,
        }
    }

    fn open(&self) -> Shop {
        open(self.store.clone(), self)
    }
}

fn open<S: EventStore + CheckpointStore + 'static>(store: Arc<S>, world: &World) -> Shop {
    Shop::open(store, world.payments.clone(), world.time.clone()).unwrap()
}

fn state(shop: &Shop, number: &str) -> String {
    shop.states().remove(number).unwrap()
}

async fn with_lamps(shop: &Shop, lamps: u32) {
    shop.receive("lamp", lamps).await.unwrap();
}

#[test]
fn an_order_that_is_paid_is_sent_and_completed() {
    let world = World::new();
    let shop = world.open();
    block_on(async {
        with_lamps(&shop, 3).await;
        shop.place("1", "Ada", (2, "lamp"), 9_000).await.unwrap();
        shop.settled().await.unwrap();
        assert_eq!(state(&shop, "1"), "placed");
        let asked = Asked::Payment {
            order: "1".to_owned(),
            cents: 9_000,
        };
        assert_eq!(world.payments.requests(), [asked]);
        shop.pay("1", 9_000).await.unwrap();
        shop.settled().await.unwrap();
        assert_eq!(state(&shop, "1"), "completed");
        assert_eq!(shop.available("lamp").await.unwrap(), 1);
        shop.close().await.unwrap();
    });
}

#[test]
fn an_order_beyond_the_stock_is_cancelled() {
    let world = World::new();
    let shop = world.open();
    block_on(async {
        with_lamps(&shop, 1).await;
        shop.place("1", "Ada", (2, "lamp"), 9_000).await.unwrap();
        shop.settled().await.unwrap();
        assert_eq!(state(&shop, "1"), "cancelled: out of stock");
        assert_eq!(shop.available("lamp").await.unwrap(), 1);
        assert!(world.payments.requests().is_empty());
        shop.close().await.unwrap();
    });
}

#[test]
fn an_order_that_is_not_paid_in_three_days_is_cancelled() {
    let world = World::new();
    let shop = world.open();
    block_on(async {
        with_lamps(&shop, 3).await;
        shop.place("1", "Ada", (2, "lamp"), 9_000).await.unwrap();
        shop.settled().await.unwrap();
        assert_eq!(shop.available("lamp").await.unwrap(), 1);
        let head = shop.head().await.unwrap();
        world.time.skip(PAYMENT_TERM);
        shop.settled_after(&head).await.unwrap();
        assert_eq!(state(&shop, "1"), "cancelled: not paid in time");
        assert_eq!(shop.available("lamp").await.unwrap(), 3);

        shop.pay("1", 9_000).await.unwrap();
        shop.settled().await.unwrap();
        let refund = Asked::Refund {
            order: "1".to_owned(),
        };
        assert!(world.payments.requests().contains(&refund));
        shop.close().await.unwrap();
    });
}

#[test]
fn three_days_may_go_by_while_the_shop_is_closed() {
    let world = World::new();
    let scratch = tempfile::tempdir().unwrap();
    // The last threads of a shop that is closed let go of the store when they end.
    let store = || {
        let mut tries = (0..1_000_000).map(|_| {
            let builder = LogStore::builder(scratch.path().join("store"));
            let opened = builder.clock(Arc::new(world.time.clone())).open_or_create();
            std::thread::yield_now();
            opened
        });
        let opened = tries.find(|opened| {
            let error = opened.as_ref().err();
            error.is_none_or(|error| error.kind() != ErrorKind::Unavailable)
        });
        Arc::new(opened.unwrap().unwrap())
    };
    block_on(async {
        let shop = open(store(), &world);
        with_lamps(&shop, 3).await;
        shop.place("1", "Ada", (2, "lamp"), 9_000).await.unwrap();
        shop.settled().await.unwrap();
        let head = shop.head().await.unwrap();
        shop.close().await.unwrap();

        world.time.skip(PAYMENT_TERM);
        let shop = open(store(), &world);
        shop.settled_after(&head).await.unwrap();
        assert_eq!(state(&shop, "1"), "cancelled: not paid in time");
        shop.close().await.unwrap();
    });
}

#[test]
fn while_the_payment_service_is_down_its_orders_wait_and_the_others_go_on() {
    let world = World::new();
    let shop = world.open();
    block_on(async {
        with_lamps(&shop, 3).await;
        shop.receive("chair", 1).await.unwrap();
        world.payments.set_down(true);
        shop.place("1", "Ada", (2, "lamp"), 9_000).await.unwrap();
        shop.place("2", "Ben", (7, "chair"), 84_000).await.unwrap();
        shop.settled().await.unwrap();
        assert_eq!(state(&shop, "2"), "cancelled: out of stock");
        // Paid in cash meanwhile: what comes later of the order waits behind it.
        shop.pay("1", 9_000).await.unwrap();
        shop.settled().await.unwrap();
        let parked = shop.parked().unwrap();
        let keys: Vec<&str> = parked.iter().map(|parked| parked.key.as_str()).collect();
        assert_eq!(keys, ["1", "1"]);
        let failed = ParkedCause::Failed {
            error: "the payment service does not answer".to_owned(),
            attempts: 2,
        };
        assert_eq!(parked[0].cause, failed);
        assert_eq!(parked[1].cause, ParkedCause::Waits);

        world.payments.set_down(false);
        assert_eq!(shop.retry_parked().await.unwrap(), 2);
        shop.settled().await.unwrap();
        assert!(shop.parked().unwrap().is_empty());
        assert_eq!(state(&shop, "1"), "completed");
        assert_eq!(world.payments.requests().len(), 1);
        assert_eq!(world.payments.calls(), 3);
        shop.close().await.unwrap();
    });
}

#[test]
fn the_read_model_is_rebuilt_while_orders_flow() {
    let world = World::new();
    let shop = world.open();
    block_on(async {
        with_lamps(&shop, 20).await;
        let place = async |numbers: Range<u32>| {
            for number in numbers {
                let number = number.to_string();
                shop.place(&number, "Ada", (1, "lamp"), 100).await.unwrap();
            }
        };
        let pay = async |numbers: Range<u32>| {
            shop.settled().await.unwrap();
            for number in numbers {
                shop.pay(&number.to_string(), 100).await.unwrap();
            }
            shop.settled().await.unwrap();
        };
        place(0..5).await;
        pay(0..5).await;
        assert!(shop.orders().spent.is_empty());
        let (rebuilt, ()) = futures_util::future::join(shop.rebuild(), place(5..10)).await;
        rebuilt.unwrap();
        pay(5..10).await;
        assert_eq!(shop.orders().by_number.len(), 10);
        assert_eq!((shop.orders().spent["Ada"], paid(&shop)), (1_000, 1_000));
        shop.close().await.unwrap();
    });
}

/// What the completed orders cost in all.
fn paid(shop: &Shop) -> u64 {
    let orders = shop.orders();
    let lines = orders.by_number.values();
    let completed = lines.filter(|line| line.state == "completed");
    completed.map(|line| line.cents).sum()
}
