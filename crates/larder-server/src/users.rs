//! The users of the web settings file, with passwords as bcrypt hashes.
//!
//! Promises: a hash is slow on purpose, so a password that was right is remembered, and a scrape
//! waits for its hash once. What is remembered is keyed with a secret of this process and compared
//! in constant time; it lies in memory only. A name that is not known takes as long as a wrong
//! password, and wrong ones are never remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::crypto::GetRandomFailed;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// All users of one version of the file.
pub(crate) struct Users {
    hashes: BTreeMap<String, String>,
    /// Makes the marks.
    key: [u8; 64],
    /// The mark of the last right password of each user.
    proven: Mutex<HashMap<String, [u8; 32]>>,
}

/// What a client says of itself.
#[derive(Clone)]
pub(crate) struct Claim {
    user: String,
    password: Vec<u8>,
}

impl Claim {
    /// The name and password of a request, where it has them.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, coded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let plain = STANDARD.decode(coded.trim()).ok()?;
        let colon = plain.iter().position(|byte| *byte == b':')?;
        let user = String::from_utf8(plain[..colon].to_vec()).ok()?;
        Some(Self { user, password: plain[colon + 1..].to_vec() })
    }
}

impl Users {
    pub(crate) fn new(hashes: BTreeMap<String, String>) -> Result<Self, GetRandomFailed> {
        let mut key = [0; 64];
        rustls::crypto::ring::default_provider().secure_random.fill(&mut key)?;
        Ok(Self { hashes, key, proven: Mutex::default() })
    }

    /// Whether anybody may ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this claim was right before. Fast.
    pub(crate) fn remembers(&self, claim: &Claim) -> bool {
        let mark = self.mark(claim);
        let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        proven.get(&claim.user).is_some_and(|known| known.ct_eq(&mark).into())
    }

    /// Whether this claim is right. Slow, and as slow for a name that is not known.
    pub(crate) fn verify(&self, claim: &Claim) -> bool {
        let own = self.hashes.get(&claim.user);
        let Some(hash) = own.or_else(|| self.hashes.values().next()) else { return false };
        let right = bcrypt::verify(&claim.password, hash).unwrap_or(false) && own.is_some();
        if right {
            let mark = self.mark(claim);
            let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
            proven.insert(claim.user.clone(), mark);
        }
        right
    }

    fn mark(&self, claim: &Claim) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(&(claim.user.len() as u64).to_le_bytes());
        mac.update(claim.user.as_bytes());
        mac.update(&claim.password);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(user: &str, password: &str) -> Claim {
        Claim { user: user.to_owned(), password: password.into() }
    }

    #[test]
    fn only_a_right_password_is_remembered() {
        let hash = bcrypt::hash("right", 4).unwrap();
        let users = Users::new(BTreeMap::from([("a".to_owned(), hash)])).unwrap();
        for wrong in [claim("a", "wrong"), claim("b", "right"), claim("", "")] {
            assert!(!users.verify(&wrong) && !users.remembers(&wrong));
        }
        let right = claim("a", "right");
        assert!(!users.remembers(&right));
        assert!(users.verify(&right) && users.remembers(&right));
        for wrong in [claim("a", "righ"), claim("b", "right"), claim("", "aright")] {
            assert!(!users.remembers(&wrong));
        }
        assert_eq!(users.proven.lock().unwrap().len(), 1);
    }

    #[test]
    fn claims_of_headers() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            Claim::of(&headers).map(|claim| (claim.user, claim.password))
        };
        let coded = STANDARD.encode("a:b:c");
        assert_eq!(of(&format!("basic {coded}")), Some(("a".to_owned(), b"b:c".to_vec())));
        for bad in ["Basic", "Basic %%%", "Bearer YTpi", &format!("Basic {}", STANDARD.encode("a"))]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
