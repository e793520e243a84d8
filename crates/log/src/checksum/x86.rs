//! CRC32C by the instructions of `x86_64`: three steps at a time, joined by carry-less multiplication.
//!
//! A step takes 8 bytes and three cycles, and a new one can begin in each cycle. So the words are cut into
//! three lanes whose steps overlap. A checksum is a remainder: what stands in front of `k` words counts
//! times x^(64 k). The multiplication needs no reduction of its own, as the last step does it.
#![expect(
    unsafe_code,
    reason = "a function compiled for more than the least processor is called after a look at this one"
)]

use std::arch::x86_64::{
    _mm_clmulepi64_si128, _mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64,
    _mm_cvtsi64_si128, _mm_cvtsi128_si64,
};

/// The words joined at a time.
const WORDS_MAX: usize = 256;

/// Fewer words than that are faster one after the other.
const LANES_WORDS_MIN: usize = 16;

/// At `k`, what moves a checksum past `k` words: x^(64 k - 33). Of the 33, 32 are what the step adds, and one
/// comes of bits that stand in reverse: their product is one place short of the word's end.
static POWERS: [u32; WORDS_MAX + 1] = powers();

/// The checksum of what `crc` is the checksum of, then of `prefix`, then of `bytes`; `None` where the
/// processor lacks an instruction.
#[inline]
pub(super) fn append<const N: usize>(crc: u32, prefix: [u8; N], bytes: &[u8]) -> Option<u32> {
    if !is_x86_feature_detected!("sse4.2") || !is_x86_feature_detected!("pclmulqdq") {
        return None;
    }
    // SAFETY: all that `append_detected` asks of its caller is that the processor has the features that it is
    // compiled for, `sse4.2` and `pclmulqdq`, and both were just detected. Its body is safe code.
    Some(unsafe { append_detected(crc, prefix, bytes) })
}

#[target_feature(enable = "sse4.2,pclmulqdq")]
fn append_detected<const N: usize>(crc: u32, prefix: [u8; N], bytes: &[u8]) -> u32 {
    let (words, rest) = prefix.as_chunks();
    let state = few_bytes(plain(u64::from(!crc), words), rest);
    let state = match bytes.first_chunk() {
        Some(first) => many_bytes(state, *first, bytes),
        None => few_bytes(state, bytes),
    };
    !low(state)
}

/// Takes in up to 8 bytes, so that whole words are left, then the words.
#[inline]
#[target_feature(enable = "sse4.2,pclmulqdq")]
fn many_bytes(state: u64, first: [u8; 8], bytes: &[u8]) -> u64 {
    let surplus = bytes.len().wrapping_neg() % 8;
    let state = begin(state, first, surplus);
    let (words, _) = bytes.get(8 - surplus..).unwrap_or_default().as_chunks();
    words.chunks(WORDS_MAX).fold(state, |state, words| {
        if words.len() < LANES_WORDS_MIN {
            plain(state, words)
        } else {
            lanes(state, words)
        }
    })
}

/// Takes in the first word less its last `surplus` bytes, at most 7, without a branch: zeros in front of a
/// message that begins with state 0 change nothing, and what of the state has no place in so few bytes comes
/// out as it is.
#[inline]
#[target_feature(enable = "sse4.2")]
fn begin(state: u64, first: [u8; 8], surplus: usize) -> u64 {
    let bits = 8 * surplus;
    let word = (state ^ u64::from_le_bytes(first)) << bits;
    _mm_crc32_u64(0, word) ^ (state >> 8 >> (56 - bits))
}

/// Takes in at most `WORDS_MAX` words. The three lanes start from nothing, so that none waits for the state:
/// that is moved like a lane of its own.
#[inline]
#[target_feature(enable = "sse4.2,pclmulqdq")]
fn lanes(state: u64, words: &[[u8; 8]]) -> u64 {
    let Some((last, others)) = words.split_last() else {
        return state;
    };
    let lane = others.len() / 3;
    let (first, rest) = others.split_at(lane);
    let (second, rest) = rest.split_at(lane);
    let (third, surplus) = rest.split_at(lane);
    let (mut a, mut b, mut c) = (0, 0, 0);
    for ((first, second), third) in first.iter().zip(second).zip(third) {
        a = step(a, *first);
        b = step(b, *second);
        c = step(c, *third);
    }
    let before =
        moved(state, words.len()) ^ moved(a, words.len() - lane) ^ moved(b, words.len() - 2 * lane);
    let last = u64::from_le_bytes(*last) ^ before;
    _mm_crc32_u64(plain(c, surplus), last)
}

/// What to mix into the last of so many words, at most `WORDS_MAX`, for a state in front of them.
#[inline]
#[target_feature(enable = "pclmulqdq")]
fn moved(state: u64, words: usize) -> u64 {
    let power = POWERS.get(words).copied().unwrap_or_default();
    let state = _mm_cvtsi64_si128(state.cast_signed());
    let power = _mm_cvtsi64_si128(i64::from(power));
    _mm_cvtsi128_si64(_mm_clmulepi64_si128::<0>(state, power)).cast_unsigned()
}

#[inline]
#[target_feature(enable = "sse4.2")]
fn plain(state: u64, words: &[[u8; 8]]) -> u64 {
    words.iter().fold(state, |state, word| step(state, *word))
}

#[inline]
#[target_feature(enable = "sse4.2")]
fn step(state: u64, word: [u8; 8]) -> u64 {
    _mm_crc32_u64(state, u64::from_le_bytes(word))
}

/// Takes in fewer than 8 bytes.
#[inline]
#[target_feature(enable = "sse4.2")]
fn few_bytes(state: u64, bytes: &[u8]) -> u64 {
    let mut state = low(state);
    let mut rest = bytes;
    if let Some((four, after)) = rest.split_first_chunk() {
        state = _mm_crc32_u32(state, u32::from_le_bytes(*four));
        rest = after;
    }
    if let Some((two, after)) = rest.split_first_chunk() {
        state = _mm_crc32_u16(state, u16::from_le_bytes(*two));
        rest = after;
    }
    if let Some(byte) = rest.first() {
        state = _mm_crc32_u8(state, *byte);
    }
    u64::from(state)
}

/// The checksum in a state, whose upper half is zero.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the instructions for 8 bytes give 32 bits in a register of 64"
)]
fn low(state: u64) -> u32 {
    state as u32
}

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which refuses a wrong index"
)]
const fn powers() -> [u32; WORDS_MAX + 1] {
    /// The polynomial of CRC32C without its highest power, the bits in reverse.
    const CASTAGNOLI: u32 = 0x82f6_3b78;
    let mut powers = [0; WORDS_MAX + 1];
    // The lowest bit stands for x^31.
    let mut power = 1;
    let mut words = 1;
    while words <= WORDS_MAX {
        powers[words] = power;
        let mut times = 0;
        while times < 64 {
            let carry = if power & 1 == 1 { CASTAGNOLI } else { 0 };
            power = power >> 1 ^ carry;
            times += 1;
        }
        words += 1;
    }
    powers
}
