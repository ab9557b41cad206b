//! Hash slots: which of a cluster's 16,384 parts a key lies in
//! (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

/// The slot of a key: CRC16 (XMODEM) of its hash tag, or of all of it.
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What stands between the first `{` and the next `}`, where that is not nothing.
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|&byte| byte == b'}')?;
    (close > 0).then(|| &rest[..close])
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        let mixed = crc ^ u16::from(byte) << 8;
        (0..8).fold(mixed, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(hash_tag(b"foo{}{bar}"), None);
        assert_eq!(hash_tag(b"foo{{bar}}zap"), Some(b"{bar".as_slice()));
        assert_eq!(hash_tag(b"foo{bar}{zap}"), Some(b"bar".as_slice()));
    }
}
