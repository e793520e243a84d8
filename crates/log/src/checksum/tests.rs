//! Both ways against the crate, and against the definition.

use super::*;
use crate::vfs::SeededRng;

const SEED: u64 = 0x3282_63e9;

fn random_bytes(random: &SeededRng, length: usize) -> Vec<u8> {
    let words = (0..length.div_ceil(8)).flat_map(|_| random.bits().to_le_bytes());
    words.take(length).collect()
}

fn random_crc(random: &SeededRng) -> u32 {
    u32::try_from(random.below(1 << 32)).unwrap()
}

/// By the definition: a division, bit by bit.
fn divided(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            (crc >> 1) ^ carry
        })
    })
}

/// What is used, what other processors use and, where there is one, our own loop give the sum expected.
#[track_caller]
fn check<const N: usize>(crc: u32, prefix: [u8; N], bytes: &[u8], expected: u32) {
    let length = bytes.len();
    let found = crc32c_append_after(crc, prefix, bytes);
    assert_eq!(found, expected, "length {length}, prefix {N}, seed {SEED}");
    let found = portable(crc, prefix, bytes);
    assert_eq!(found, expected, "portable, length {length}, prefix {N}");
    #[cfg(target_arch = "x86_64")]
    if let Some(found) = x86::append(crc, prefix, bytes) {
        assert_eq!(found, expected, "x86, length {length}, prefix {N}");
    }
}

#[test]
fn known_answers() {
    check(0, [], b"", 0);
    check(0, [], b"123456789", 0xe306_9283);
    // From RFC 3720, B.4.
    check(0, [], &[0; 32], 0x8a91_36aa);
    check(0, [], &[0xff; 32], 0x62a8_ab43);
}

#[test]
fn it_is_the_division_that_it_is_defined_as() {
    let random = SeededRng::new(SEED);
    for length in (0..600).chain([2048, 2056, 4099, 9000]) {
        let (crc, bytes) = (random_crc(&random), random_bytes(&random, length));
        check(crc, [], &bytes, divided(crc, &bytes));
    }
}

#[test]
fn it_is_what_the_crate_says_at_every_length_and_alignment() {
    let random = SeededRng::new(SEED);
    let mut lengths: Vec<usize> = (0..=2200).collect();
    lengths.extend([4095, 4096, 4097, 4104, 6144, 6200, 65_543]);
    for length in lengths {
        let content = random_bytes(&random, length + 16);
        for alignment in 0..16 {
            let bytes = &content[alignment..alignment + length];
            let crc = random_crc(&random);
            check(crc, [], bytes, crc32c::crc32c_append(crc, bytes));
        }
    }
}

#[test]
fn a_prefix_is_as_if_it_stood_in_front() {
    fn with_prefix<const N: usize>(random: &SeededRng, whole: &[u8]) {
        let (prefix, bytes) = whole.split_first_chunk::<N>().unwrap();
        let crc = random_crc(random);
        check(crc, *prefix, bytes, crc32c::crc32c_append(crc, whole));
    }
    let random = SeededRng::new(SEED);
    for length in 21..2100 {
        let whole = random_bytes(&random, length);
        with_prefix::<3>(&random, &whole);
        with_prefix::<8>(&random, &whole);
        with_prefix::<12>(&random, &whole);
        with_prefix::<21>(&random, &whole);
    }
}

#[test]
fn parts_one_after_the_other_are_the_whole() {
    let random = SeededRng::new(SEED);
    for _ in 0..20_000 {
        let length = usize::try_from(random.below(5000)).unwrap();
        let whole = random_bytes(&random, length);
        let (mut rest, mut crc) = (&whole[..], 0);
        while !rest.is_empty() {
            let length = random.below(rest.len() as u64) + 1;
            let (part, after) = rest.split_at(usize::try_from(length).unwrap());
            crc = crc32c_append(crc, part);
            rest = after;
        }
        assert_eq!(crc, crc32c::crc32c(&whole), "length {length}, seed {SEED}");
    }
}
