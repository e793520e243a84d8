//! Which partition a key belongs to.

use std::num::NonZeroU16;

/// The number of the partition, from 0, that this key belongs to in a store of so many.
///
/// A part of the format of a partitioned store, so it is the same in every release: FNV-1a of 64 bits over the bytes of
/// the key, mixed by the last step of `SplitMix64`, scaled to the number of partitions by the high half of their product.
///
/// ```
/// use std::num::NonZeroU16;
///
/// use annals_core::StreamId;
/// use annals_partitioned::partition_of;
///
/// let partitions = NonZeroU16::new(3).unwrap();
/// let stream = StreamId::parse("order-{acme}17")?;
/// assert_eq!(partition_of(stream.partition_key(), partitions), partition_of("acme", partitions));
/// # Ok::<(), annals_core::Error>(())
/// ```
pub fn partition_of(key: &str, partitions: NonZeroU16) -> u16 {
    let scaled = u128::from(mixed(fnv_1a(key.as_bytes()))) * u128::from(partitions.get());
    u16::try_from(scaled >> 64).unwrap_or(partitions.get() - 1)
}

/// FNV-1a of 64 bits, by Fowler, Noll and Vo.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The mixing of `SplitMix64`, by Steele, Lea and Flood: FNV-1a leaves the high bits of short keys alike.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, partitions: u16) -> u16 {
        partition_of(key, NonZeroU16::new(partitions).unwrap())
    }

    /// Computed apart from this code. A change here would lose the streams of every store there is.
    #[test]
    fn a_key_is_in_its_partition_for_good() {
        for (key, hash, expected) in [
            ("", 0xf52a_15e9_a9b5_e89b, [1, 2, 7, 980]),
            ("a", 0x02c0_bdbf_4814_20f8, [0, 0, 0, 11]),
            ("a-1", 0x5772_b2c7_8911_0f8d, [0, 1, 2, 349]),
            ("account-42", 0xcba6_4e19_043c_ae63, [1, 2, 6, 814]),
            ("acme", 0x130a_7622_2d44_27ef, [0, 0, 0, 76]),
            ("order-{}17", 0xef8e_bea6_20dc_11b9, [1, 2, 7, 958]),
            ("stra\u{df}e-1", 0x9268_f477_52a5_0a45, [1, 1, 4, 585]),
        ] {
            assert_eq!(mixed(fnv_1a(key.as_bytes())), hash, "{key:?}");
            let found = [2, 3, 8, 1024].map(|partitions| of(key, partitions));
            assert_eq!(found, expected, "{key:?}");
        }
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0_u32; 8];
        for number in 0..8000 {
            let partition = of(&format!("account-{number}"), 8);
            counts[usize::from(partition)] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_store_of_one_has_all() {
        assert_eq!(of("account-1", 1), 0);
    }
}
