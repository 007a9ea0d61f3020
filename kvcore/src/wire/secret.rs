//! The cluster's secret, and proofs that one knows it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of a proof.
pub const PROOF_BYTES: usize = 32;

/// Shortest secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;

/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;

/// What all processes of one cluster share. Never printed, never sent.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// The secret's length is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, this one has {0}")]
pub struct SecretLength(pub usize);

impl Secret {
    /// A secret of these bytes; white space around them does not count, so that a file made by
    /// an editor works.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretLength> {
        let bytes = bytes.trim_ascii();
        if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(SecretLength(bytes.len()))
        }
    }

    /// HMAC-SHA256 (RFC 2104) of the parts, each preceded by its length so that no two lists of
    /// parts look alike.
    pub fn proof(&self, parts: &[&[u8]]) -> [u8; PROOF_BYTES] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key length");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether `proof` is the one of the parts; takes the same time for every wrong one.
    pub fn verify(&self, parts: &[&[u8]], proof: &[u8]) -> bool {
        self.proof(parts).as_slice().ct_eq(proof).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
