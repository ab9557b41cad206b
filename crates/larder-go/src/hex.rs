//! Hexadecimal digits without an allocation.

/// Each byte as two lower-case digits.
pub(crate) const PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut at = 0;
    while at < 256 {
        pairs[at] = [digits[at / 16], digits[at % 16]];
        at += 1;
    }
    pairs
};
