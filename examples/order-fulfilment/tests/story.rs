//! What the shop does, with a payment service that fails, days that go by, and a process that ends in between.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ops::Range;
use std::sync::Arc;

use annals::{CheckpointStore, ErrorKind, EventStore, LogStore, MemoryStore, ParkedCause};
use futures_executor::block_on;
use futures_util::future::join;
use order_fulfilment::fulfilment::PAYMENT_TERM;
use order_fulfilment::payment::{Asked, PaymentService};
use order_fulfilment::shop::Shop;
use order_fulfilment::story_time::StoryTime;
use order_fulfilment::versions::{FIRST, NEXT};

/// The world around a shop.
#[derive(Default)]
struct World {
    payments: PaymentService,
    time: StoryTime,
}

impl World {
    async fn open<S: EventStore + CheckpointStore + 'static>(&self, store: S) -> Shop {
        let opened = Shop::open(Arc::new(store), self.payments.clone(), self.time.clone());
        opened.await.unwrap()
    }

    /// Three days go by, and what is due then is done.
    async fn skip_the_term(&self, shop: &Shop) {
        let head = shop.head().await.unwrap();
        self.time.skip(PAYMENT_TERM);
        shop.settled_after(&head).await.unwrap();
    }
}

/// Plays a scene in a shop in memory that has three lamps, and closes it.
fn play(scene: impl AsyncFnOnce(&World, &Shop)) {
    let world = World::default();
    let clock = Arc::new(world.time.clone());
    block_on(async {
        let shop = world
            .open(MemoryStore::builder().clock(clock).build())
            .await;
        shop.receive("lamp", 3).await.unwrap();
        scene(&world, &shop).await;
        shop.close().await.unwrap();
    });
}

/// Ada orders two lamps, and the shop does what follows.
async fn ada_orders(shop: &Shop) {
    shop.place("1", "Ada", (2, "lamp"), 9_000).await.unwrap();
    shop.settled().await.unwrap();
}

async fn ada_pays(shop: &Shop) {
    shop.pay("1", 9_000).await.unwrap();
    shop.settled().await.unwrap();
}

fn state(shop: &Shop, number: &str) -> String {
    shop.states().unwrap().remove(number).unwrap()
}

async fn lamps(shop: &Shop) -> u32 {
    shop.available("lamp").await.unwrap()
}

#[test]
fn an_order_that_is_paid_is_sent_and_completed() {
    play(async |world, shop| {
        ada_orders(shop).await;
        assert_eq!(state(shop, "1"), "placed");
        let asked = Asked::Payment {
            order: "1".to_owned(),
            cents: 9_000,
        };
        assert_eq!(world.payments.requests(), [asked]);
        ada_pays(shop).await;
        assert_eq!(state(shop, "1"), "completed");
        assert_eq!(lamps(shop).await, 1);
    });
}

#[test]
fn an_order_beyond_the_stock_is_cancelled() {
    play(async |world, shop| {
        shop.place("1", "Ada", (4, "lamp"), 18_000).await.unwrap();
        shop.settled().await.unwrap();
        assert_eq!(state(shop, "1"), "cancelled: out of stock");
        assert_eq!(lamps(shop).await, 3);
        assert!(world.payments.requests().is_empty());
    });
}

#[test]
fn an_order_that_is_not_paid_in_three_days_is_cancelled() {
    play(async |world, shop| {
        ada_orders(shop).await;
        assert_eq!(lamps(shop).await, 1);
        world.skip_the_term(shop).await;
        assert_eq!(state(shop, "1"), "cancelled: not paid in time");
        assert_eq!(lamps(shop).await, 3);

        ada_pays(shop).await;
        let refund = Asked::Refund {
            order: "1".to_owned(),
        };
        assert!(world.payments.requests().contains(&refund));
    });
}

/// A store on disk, which is opened anew for each shop.
fn on_disk(scratch: &tempfile::TempDir, world: &World) -> LogStore {
    let builder = LogStore::builder(scratch.path().join("store"));
    let clock = Arc::new(world.time.clone());
    builder.clock(clock).open_or_create().unwrap()
}

#[test]
fn three_days_may_go_by_while_the_shop_is_closed() {
    let world = World::default();
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let shop = world.open(on_disk(&scratch, &world)).await;
        shop.receive("lamp", 3).await.unwrap();
        ada_orders(&shop).await;
        let head = shop.head().await.unwrap();
        shop.close().await.unwrap();

        world.time.skip(PAYMENT_TERM);
        let shop = world.open(on_disk(&scratch, &world)).await;
        shop.settled_after(&head).await.unwrap();
        assert_eq!(state(&shop, "1"), "cancelled: not paid in time");
        shop.close().await.unwrap();
    });
}

#[test]
fn while_the_payment_service_is_down_its_orders_wait_and_the_others_go_on() {
    play(async |world, shop| {
        shop.receive("chair", 1).await.unwrap();
        world.payments.set_down(true);
        shop.place("2", "Ben", (7, "chair"), 84_000).await.unwrap();
        ada_orders(shop).await;
        assert_eq!(state(shop, "2"), "cancelled: out of stock");
        // Paid in cash meanwhile: what comes later of the order waits behind it.
        ada_pays(shop).await;
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
        assert_eq!(state(shop, "1"), "completed");
        assert_eq!(world.payments.requests().len(), 1);
        assert_eq!(world.payments.calls(), 3);
    });
}

/// Orders of a lamp each, paid or not.
async fn place(shop: &Shop, numbers: Range<u32>) {
    for number in numbers {
        let number = number.to_string();
        shop.place(&number, "Ada", (1, "lamp"), 100).await.unwrap();
    }
}

async fn pay(shop: &Shop, numbers: Range<u32>) {
    shop.settled().await.unwrap();
    for number in numbers {
        shop.pay(&number.to_string(), 100).await.unwrap();
    }
    shop.settled().await.unwrap();
}

/// Has the next version of the read model take over, while orders are placed.
async fn rebuild(shop: &Shop, orders: Range<u32>) {
    let versions = shop.versions();
    let plan = versions.plan().await.unwrap().unwrap();
    assert_eq!(plan.version(), NEXT);
    let (applied, ()) = join(versions.apply(&plan), place(shop, orders)).await;
    let comparison = applied.unwrap().unwrap();
    assert!(comparison.is_passed(), "{comparison}");
}

/// What Ada spent, as the version that is shown has it.
fn spent(shop: &Shop) -> Option<u64> {
    shop.orders().unwrap().spent.get("Ada").copied()
}

#[test]
fn the_read_model_is_rebuilt_while_orders_flow() {
    play(async |_, shop| {
        shop.receive("lamp", 20).await.unwrap();
        place(shop, 0..5).await;
        pay(shop, 0..5).await;
        assert_eq!(spent(shop), None);
        let before = shop.versions().status().await.unwrap().unwrap();
        assert!(before.building.is_none());
        rebuild(shop, 5..10).await;
        let after = shop.versions().status().await.unwrap().unwrap();
        assert_eq!(after.recorded.to_string(), "v1 kept, v2 live");
        pay(shop, 5..10).await;
        assert_eq!(shop.orders().unwrap().by_number.len(), 10);
        assert_eq!((spent(shop), paid(shop)), (Some(1_000), 1_000));
    });
}

#[test]
fn the_old_version_is_fed_on_and_can_be_shown_again() {
    play(async |_, shop| {
        ada_orders(shop).await;
        let early = shop.versions().roll_back(NEXT).await.unwrap_err();
        assert_eq!(early.kind(), ErrorKind::Invalid);
        rebuild(shop, 2..3).await;
        ada_pays(shop).await;
        assert_eq!(spent(shop), Some(9_000));
        shop.versions().roll_back(FIRST).await.unwrap();
        assert_eq!(
            (state(shop, "1").as_str(), spent(shop)),
            ("completed", None)
        );
        pay(shop, 2..3).await;
        assert_eq!(state(shop, "2"), "completed");
        shop.versions().roll_back(NEXT).await.unwrap();
        assert_eq!(spent(shop), Some(9_100));
    });
}

#[test]
fn a_shop_that_is_opened_anew_shows_the_version_that_took_over() {
    let world = World::default();
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let shop = world.open(on_disk(&scratch, &world)).await;
        shop.receive("lamp", 3).await.unwrap();
        ada_orders(&shop).await;
        rebuild(&shop, 2..3).await;
        shop.close().await.unwrap();

        let shop = world.open(on_disk(&scratch, &world)).await;
        assert_eq!(shop.versions().plan().await.unwrap(), None);
        ada_pays(&shop).await;
        assert_eq!(spent(&shop), Some(9_000));
        shop.versions().roll_back(FIRST).await.unwrap();
        assert_eq!(spent(&shop), None);
        shop.close().await.unwrap();
    });
}

/// What the completed orders cost in all.
fn paid(shop: &Shop) -> u64 {
    let orders = shop.orders().unwrap();
    let lines = orders.by_number.values();
    let completed = lines.filter(|line| line.state == "completed");
    completed.map(|line| line.cents).sum()
}
