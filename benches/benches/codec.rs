//! Size, encoding and decoding of every codec, beside `serde_json` on the bare struct and a copy of the
//! bytes of JSON.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed run")]

use std::hint::black_box;
use std::time::Duration;

use annals_benches::shop::{ShopEvent, line, order, paid};
use annals_codec::{
    BincodeCodec, CborCodec, Compressed, Dictionary, EventCodec, EventCodecExt, JsonCodec,
    MessagePackCodec, PostcardCodec,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The event of each size that is measured; its like train the dictionary.
const NUMBER: u32 = 424_242;

type Codec = Box<dyn EventCodec<ShopEvent>>;

fn dictionary() -> Dictionary {
    let events = (0..2_000).flat_map(|number| {
        let order = number % 20 == 0;
        let order = order.then(|| ShopEvent::OrderFiled(self::order(number)));
        [
            ShopEvent::Paid(paid(number)),
            ShopEvent::LineAdded(line(number)),
        ]
        .into_iter()
        .chain(order)
    });
    let payloads = events.map(|event| JsonCodec.encode(&event).unwrap().payload().to_vec());
    Dictionary::train(payloads, 16 << 10).unwrap()
}

fn codecs() -> Vec<(&'static str, Codec)> {
    let trained = Compressed::new(JsonCodec).threshold_bytes(64);
    vec![
        ("json", Box::new(JsonCodec) as Codec),
        ("messagepack", Box::new(MessagePackCodec)),
        ("cbor", Box::new(CborCodec)),
        ("bincode", Box::new(BincodeCodec)),
        ("postcard", Box::new(PostcardCodec)),
        ("json+zstd", Box::new(Compressed::new(JsonCodec))),
        (
            "json+zstd, dictionary",
            Box::new(trained.writing(dictionary())),
        ),
    ]
}

fn bench(criterion: &mut Criterion) {
    let codecs = codecs();
    let paid = paid(NUMBER);
    measure(
        criterion,
        &codecs,
        "tiny",
        &ShopEvent::Paid(paid.clone()),
        &paid,
    );
    let line = line(NUMBER);
    measure(
        criterion,
        &codecs,
        "typical",
        &ShopEvent::LineAdded(line.clone()),
        &line,
    );
    let order = order(NUMBER);
    measure(
        criterion,
        &codecs,
        "large",
        &ShopEvent::OrderFiled(order.clone()),
        &order,
    );
}

/// One event in every codec, and the struct that it holds in the limits.
fn measure<T: Serialize + DeserializeOwned>(
    criterion: &mut Criterion,
    codecs: &[(&'static str, Codec)],
    size: &str,
    event: &ShopEvent,
    bare: &T,
) {
    let json = serde_json::to_vec(bare).unwrap();
    let named = |name: &str, bytes: usize| BenchmarkId::new(name, format!("{bytes} bytes"));
    let mut group = criterion.benchmark_group(format!("codec/encode/{size}"));
    group.bench_function(named("limit: copy of the bytes", json.len()), |bencher| {
        bencher.iter(|| black_box(&json[..]).to_vec());
    });
    group.bench_function(named("limit: serde_json", json.len()), |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(bare)));
    });
    for (name, codec) in codecs {
        let bytes = codec.encode(event).unwrap().payload().len();
        group.bench_function(named(name, bytes), |bencher| {
            bencher.iter(|| codec.encode(black_box(event)));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group(format!("codec/decode/{size}"));
    group.bench_function(named("limit: serde_json", json.len()), |bencher| {
        bencher.iter(|| serde_json::from_slice::<T>(black_box(&json)));
    });
    for (name, codec) in codecs {
        let content = codec.encode(event).unwrap();
        group.bench_function(named(name, content.payload().len()), |bencher| {
            bencher.iter(|| codec.decode_one(black_box(&content).content()));
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
}

criterion_group! {
    name = benches;
    config = quick();
    targets = bench
}
criterion_main!(benches);
