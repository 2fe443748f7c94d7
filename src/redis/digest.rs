//! Names of fixed length and no character that means anything, whatever a token's issuer made up.

use sha2::{Digest as _, Sha256};

use crate::stream::hex;

/// A name for these parts. No two lists of parts are alike, since lengths are part of it.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize()[..16])
}
