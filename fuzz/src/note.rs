//! Signed notes: what is opened was signed, and what is signed and well-formed is opened.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use larder_modules::note::VerifierKey;
use larder_modules::tlog::{parse_record, parse_tree};
use sha2::{Digest as _, Sha256};

const NAME: &str = "sum.example.test";

/// One input: as a note, as the text of one that is signed here, as a key, tree head and record.
pub(crate) fn run(data: &[u8]) {
    let signer = SigningKey::from_bytes(&[7; 32]);
    let mut public = vec![1];
    public.extend(signer.verifying_key().as_bytes());
    let mut sha = Sha256::new();
    sha.update(NAME);
    sha.update("\n");
    sha.update(&public);
    let hash = sha.finalize();
    let hex: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let key: VerifierKey =
        format!("{NAME}+{hex}+{}", STANDARD.encode(&public)).parse().expect("a key of our own");

    // Nobody but this function has the key.
    assert!(key.open(data).is_err());
    if let Ok(record) = parse_record(data) {
        assert!(data.ends_with(record.rest) && record.text.ends_with(b"\n"));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(tree) = parse_tree(text) {
        let again = format!("go.sum database tree\n{}\n{}\n", tree.size, tree.hash);
        assert_eq!(parse_tree(&again), Ok(tree));
        // As Go reads it, the last letter of the hash has bits that say nothing.
        let spelt = again.len() - "A=\n".len();
        assert!(text.as_bytes().starts_with(&again.as_bytes()[..spelt]), "{text:?} is {again:?}");
    }
    if let Ok(other) = text.parse::<VerifierKey>() {
        assert_eq!(
            other.to_string().parse::<VerifierKey>().expect("its own text").name(),
            other.name()
        );
    }
    let body = format!("{text}\n");
    let mut signature = hash[..4].to_vec();
    signature.extend(signer.sign(body.as_bytes()).to_bytes());
    let note = format!("{body}\n— {NAME} {}\n", STANDARD.encode(signature));
    let plain = text.chars().all(|c| c >= ' ' || c == '\n');
    match key.open(note.as_bytes()) {
        Ok(opened) => assert!(plain && opened == body),
        Err(error) => assert!(!plain, "{error}: {note}"),
    }
}
