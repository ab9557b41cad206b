//! Two hashes side by side with the SHA instructions of x86-64.
//!
//! The instructions keep a state in two registers, words A, B, E, F and C, D, G, H, and make two
//! rounds at once (Intel 64 Architectures Software Developer's Manual, SHA256RNDS2, SHA256MSG1,
//! SHA256MSG2).

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use crate::Block;

/// Hashes blocks into two states; whether the processor can.
#[expect(unsafe_code, reason = "what a processor can is known only when it runs")]
pub(crate) fn compress_pair(states: &mut [&mut [u32; 8]; 2], blocks: [&[Block]; 2]) -> bool {
    let can = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    if can {
        // SAFETY: the processor has every feature that the function is compiled for.
        unsafe { compress(states, blocks) };
    }
    can
}

/// One of the two.
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
    /// The sixteen last words of the message schedule, in a ring.
    words: [__m128i; 4],
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress(states: &mut [&mut [u32; 8]; 2], [some, others]: [&[Block]; 2]) {
    let mut lanes = [load(states[0]), load(states[1])];
    for pair in some.iter().zip(others) {
        let before = [(lanes[0].abef, lanes[0].cdgh), (lanes[1].abef, lanes[1].cdgh)];
        let blocks = [pair.0, pair.1];
        sixteen_rounds::<0>(&mut lanes, blocks);
        sixteen_rounds::<4>(&mut lanes, blocks);
        sixteen_rounds::<8>(&mut lanes, blocks);
        sixteen_rounds::<12>(&mut lanes, blocks);
        for (lane, (abef, cdgh)) in lanes.iter_mut().zip(before) {
            lane.abef = _mm_add_epi32(lane.abef, abef);
            lane.cdgh = _mm_add_epi32(lane.cdgh, cdgh);
        }
    }
    for (state, lane) in states.iter_mut().zip(&lanes) {
        **state = store(lane);
    }
}

/// From a group of four rounds on. The group is known when this is compiled, so that all words
/// stay in registers.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn sixteen_rounds<const GROUP: usize>(lanes: &mut [Lane; 2], blocks: [&Block; 2]) {
    four_rounds::<GROUP, 0>(lanes, blocks);
    four_rounds::<GROUP, 1>(lanes, blocks);
    four_rounds::<GROUP, 2>(lanes, blocks);
    four_rounds::<GROUP, 3>(lanes, blocks);
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn four_rounds<const GROUP: usize, const AT: usize>(lanes: &mut [Lane; 2], blocks: [&Block; 2]) {
    let constants = words(K.as_chunks().0[GROUP + AT]);
    for (lane, block) in lanes.iter_mut().zip(blocks) {
        let w = &mut lane.words;
        w[AT] = if GROUP == 0 {
            message(block, AT)
        } else {
            let sum = _mm_sha256msg1_epu32(w[AT], w[(AT + 1) % 4]);
            let shifted = _mm_alignr_epi8(w[(AT + 3) % 4], w[(AT + 2) % 4], 4);
            _mm_sha256msg2_epu32(_mm_add_epi32(sum, shifted), w[(AT + 3) % 4])
        };
        let rounds = _mm_add_epi32(w[AT], constants);
        lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, rounds);
        let rounds = _mm_shuffle_epi32(rounds, 0b00_00_11_10);
        lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, rounds);
    }
}

/// Four words of the message, whose bytes are in the other order.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn message(block: &Block, group: usize) -> __m128i {
    let halves = block.as_chunks::<8>().0;
    let half = |at: usize| i64::from_le_bytes(halves[2 * group + at]);
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm_shuffle_epi8(_mm_set_epi64x(half(1), half(0)), order)
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn words(words: [u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_set_epi32(d, c, b, a)
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(state: &[u32; 8]) -> Lane {
    let s = state;
    Lane {
        abef: words([s[5], s[4], s[1], s[0]]),
        cdgh: words([s[7], s[6], s[3], s[2]]),
        words: [_mm_setzero_si128(); 4],
    }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store(lane: &Lane) -> [u32; 8] {
    let (abef, cdgh) = (lane.abef, lane.cdgh);
    let state = [
        _mm_extract_epi32(abef, 3),
        _mm_extract_epi32(abef, 2),
        _mm_extract_epi32(cdgh, 3),
        _mm_extract_epi32(cdgh, 2),
        _mm_extract_epi32(abef, 1),
        _mm_extract_epi32(abef, 0),
        _mm_extract_epi32(cdgh, 1),
        _mm_extract_epi32(cdgh, 0),
    ];
    state.map(i32::cast_unsigned)
}

/// The constants of the rounds (FIPS 180-4, 4.2.2).
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];
