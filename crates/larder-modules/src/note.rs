//! Signed notes: a text, an empty line, and lines of signatures
//! (`golang.org/x/mod/sumdb/note`).
//!
//! Promises: a note that is answered was signed by the key asked for; nothing in a note makes
//! this panic or take long. Leaves out signing, and keys other than Ed25519.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Base64 as Go's `StdEncoding` reads it: padded, spare bits not looked at.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The number of the one kind of key there is.
const ED25519: u8 = 1;
/// A note with more signatures than this is malformed.
const MAX_SIGNATURES: usize = 100;

/// A key that notes are checked with: `name+hash+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    hash: u32,
    key: VerifyingKey,
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form `name+hash+key`.
    #[error("malformed verifier id")]
    Malformed,
    /// A kind of key that is not known.
    #[error("unknown verifier algorithm")]
    Algorithm,
    /// The hash is not that of name and key.
    #[error("invalid verifier hash")]
    Hash,
}

/// Why a note is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a note.
    #[error("malformed note")]
    Malformed,
    /// No signature by the key.
    #[error("note has no verifiable signatures")]
    Unsigned,
    /// A signature that claims to be by the key and is not.
    #[error("invalid signature for key {name}+{hash:08x}")]
    Invalid {
        /// The key's name.
        name: String,
        /// The key's hash.
        hash: u32,
    },
}

impl VerifierKey {
    /// The server's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a note that this key has signed, its last newline included.
    pub fn open<'a>(&self, note: &'a [u8]) -> Result<&'a str, NoteError> {
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let mut signed = false;
        for (number, line) in signatures.split('\n').enumerate() {
            let (name, hash, signature) = parse_signature(line).ok_or(NoteError::Malformed)?;
            if number >= MAX_SIGNATURES {
                return Err(NoteError::Malformed);
            }
            // Of several by the same key only the first is looked at.
            if name != self.name || hash != self.hash || signed {
                continue;
            }
            if !self.verifies(text.as_bytes(), &signature) {
                return Err(NoteError::Invalid { name: name.to_owned(), hash });
            }
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned) }
    }

    fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|it| self.key.verify(text, &it).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.hash, BASE64.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Malformed)?;
        let (hex, key) = rest.split_once('+').ok_or(KeyError::Malformed)?;
        if hex.len() != 8 || !hex.bytes().all(|c| c.is_ascii_hexdigit()) || !is_name(name) {
            return Err(KeyError::Malformed);
        }
        let hash = u32::from_str_radix(hex, 16).map_err(|_| KeyError::Malformed)?;
        let key = BASE64.decode(key).map_err(|_| KeyError::Malformed)?;
        let (kind, bytes) = key.split_first().ok_or(KeyError::Malformed)?;
        if key_hash(name, &key) != hash {
            return Err(KeyError::Hash);
        }
        if *kind != ED25519 {
            return Err(KeyError::Algorithm);
        }
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Malformed)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?;
        Ok(Self { name: name.to_owned(), hash, key })
    }
}

/// The first four bytes of the SHA-256 over name, newline and key.
fn key_hash(name: &str, key: &[u8]) -> u32 {
    let mut sha = Sha256::new();
    sha.update(name);
    sha.update("\n");
    sha.update(key);
    let [a, b, c, d, ..] = <[u8; 32]>::from(sha.finalize());
    u32::from_be_bytes([a, b, c, d])
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// `— name base64`, where the first four of the bytes are the key's hash.
fn parse_signature(line: &str) -> Option<(&str, u32, Vec<u8>)> {
    let (name, code) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = BASE64.decode(code).ok()?;
    let (hash, signature) = bytes.split_first_chunk::<4>()?;
    if signature.is_empty() || !is_name(name) {
        return None;
    }
    Some((name, u32::from_be_bytes(*hash), signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the notes that `note_test.go` of golang.org/x/mod has in its examples.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const ENIGMA: &str = "EnigmaNote+dead+beef";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNED: &str = "— PeterNeumann \
        x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn peter() -> VerifierKey {
        PETER.parse().unwrap()
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        assert_eq!(peter().to_string(), PETER);
        assert_eq!(peter().name(), "PeterNeumann");
    }

    #[test]
    fn broken_keys_say_what_is_wrong() {
        let other_hash = PETER.replace("c74f", "c74e");
        for (text, error) in [
            ("", KeyError::Malformed),
            (ENIGMA, KeyError::Malformed),
            ("PeterNeumann+c74f20a3", KeyError::Malformed),
            ("Peter Neumann+c74f20a3+ARpc2Q==", KeyError::Malformed),
            (other_hash.as_str(), KeyError::Hash),
            (&PETER[..PETER.len() - 4], KeyError::Hash),
        ] {
            assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
        }
        let odd = [9, 1, 2, 3];
        let text = format!("x+{:08x}+{}", key_hash("x", &odd), BASE64.encode(odd));
        assert_eq!(text.parse::<VerifierKey>(), Err(KeyError::Algorithm));
        let short = [1, 1, 2, 3];
        let text = format!("x+{:08x}+{}", key_hash("x", &short), BASE64.encode(short));
        assert_eq!(text.parse::<VerifierKey>(), Err(KeyError::Malformed));
    }

    #[test]
    fn a_signed_note_is_opened_and_others_are_not() {
        let note = format!("{TEXT}\n{SIGNED}");
        assert_eq!(peter().open(note.as_bytes()), Ok(TEXT));
        let twice = format!("{TEXT}\n{SIGNED}{SIGNED}");
        assert_eq!(peter().open(twice.as_bytes()), Ok(TEXT));
        let forged = note.replace("cryptography", "steganography");
        let invalid = NoteError::Invalid { name: "PeterNeumann".to_owned(), hash: 0xc74f_20a3 };
        assert_eq!(peter().open(forged.as_bytes()), Err(invalid.clone()));
        let stranger = note.replace("PeterNeumann", "Somebody");
        assert_eq!(peter().open(stranger.as_bytes()), Err(NoteError::Unsigned));
        let short =
            format!("{TEXT}\n— PeterNeumann {}\n", BASE64.encode([0xc7, 0x4f, 0x20, 0xa3, 1]));
        assert_eq!(peter().open(short.as_bytes()), Err(invalid));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let many = format!("{TEXT}\n{}", "— Other AAAAAAAAAAA=\n".repeat(101));
        let hundred = format!("{TEXT}\n{}", "— Other AAAAAAAAAAA=\n".repeat(100));
        assert_eq!(peter().open(hundred.as_bytes()), Err(NoteError::Unsigned));
        for note in [
            "",
            "\n\n",
            TEXT,
            &format!("{TEXT}\n"),
            &format!("{TEXT}\n{}", SIGNED.trim_end()),
            &format!("{TEXT}\n{SIGNED}\u{1}\n"),
            &format!("{TEXT}\r\n\n{SIGNED}"),
            &format!("{TEXT}\n- PeterNeumann AAAAAAAA\n"),
            &format!("{TEXT}\n— PeterNeumann\n"),
            &format!("{TEXT}\n— PeterNeumann \n"),
            &format!("{TEXT}\n— PeterNeumann AAAA\n"),
            &format!("{TEXT}\n—  AAAAAAAA\n"),
            &format!("{TEXT}\n{SIGNED}\n{SIGNED}x"),
            &many,
        ] {
            assert_eq!(peter().open(note.as_bytes()), Err(NoteError::Malformed), "{note:?}");
        }
        let not_text = [TEXT.as_bytes(), b"\xff\n\n", SIGNED.as_bytes()].concat();
        assert_eq!(peter().open(&not_text), Err(NoteError::Malformed));
    }
}
