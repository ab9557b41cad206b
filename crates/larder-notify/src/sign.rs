//! Signatures of the robots and of webhooks: HMAC-SHA256, each over what its receiver wants.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// HMAC-SHA256 in base64.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(message);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// `DingTalk`'s: the time, in milliseconds, and the secret are signed with the secret.
pub(crate) fn dingtalk(secret: &str, millis: i64) -> String {
    hmac(secret.as_bytes(), format!("{millis}\n{secret}").as_bytes())
}

/// Feishu's: the time, in seconds, and the secret are the key; nothing is signed with it.
pub(crate) fn feishu(secret: &str, seconds: i64) -> String {
    hmac(format!("{seconds}\n{secret}").as_bytes(), b"")
}

/// A webhook's, as the Standard Webhooks specification has it: id, time and body, a dot between
/// them, with the bytes of the secret; where that begins with `whsec_`, the rest is base64.
pub(crate) fn webhook(secret: &str, id: &str, seconds: i64, body: &[u8]) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|rest| STANDARD.decode(rest).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    let message = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    format!("v1,{}", hmac(&key, &message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_robots_vectors() {
        let sign = dingtalk("SECtest", 1_700_000_000_000);
        let query: String = url::form_urlencoded::byte_serialize(sign.as_bytes()).collect();
        assert_eq!(query, "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D");
        assert_eq!(
            feishu("SECtest", 1_700_000_000),
            "G7XpBpG8NgG02fJOAhX6FRAObIljmFoxVReo8I62pEk="
        );
    }

    #[test]
    fn a_webhook_secret_in_base64_is_decoded() {
        let plain = webhook("hello", "id", 1, b"{}");
        assert_eq!(webhook("whsec_aGVsbG8=", "id", 1, b"{}"), plain);
        assert_ne!(webhook("hello", "id", 2, b"{}"), plain);
        assert_ne!(webhook("hello", "other", 1, b"{}"), plain);
        assert_ne!(webhook("hello", "id", 1, b"{ }"), plain);
    }
}
