//! Two hashes side by side where the processor can, one after the other where it cannot.

use sha2::block_api::compress256;

use crate::Block;

/// Hashes blocks into two states, as many into one as into the other.
pub(crate) fn compress_pair(states: &mut [&mut [u32; 8]; 2], blocks: [&[Block]; 2]) {
    debug_assert_eq!(blocks[0].len(), blocks[1].len());
    #[cfg(target_arch = "x86_64")]
    if crate::x86::compress_pair(states, blocks) {
        return;
    }
    for (state, blocks) in states.iter_mut().zip(blocks) {
        compress256(state, blocks);
    }
}
