//! A key: 1 to 1,024 bytes, any bytes.

use std::fmt;

use bytes::Bytes;

use crate::{
    limits::{KEY_BYTES_MAX, KEY_BYTES_MIN},
    slot::Slot,
};

/// A key whose length has been checked; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

/// Why bytes cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No bytes at all.
    #[error("a key has at least {KEY_BYTES_MIN} byte, this one is empty")]
    Empty,
    /// More than [`KEY_BYTES_MAX`] bytes.
    #[error("a key has at most {KEY_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// Length of the rejected key, in bytes.
        bytes: usize,
    },
}

impl Key {
    /// Checks the length of `bytes` and makes them a key.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(KeyError::Empty),
            length if length > KEY_BYTES_MAX => Err(KeyError::TooLong { bytes: length }),
            _ => Ok(Self(bytes)),
        }
    }

    /// Copies `bytes` into a key of its own.
    pub fn copy_from(bytes: &[u8]) -> Result<Self, KeyError> {
        // Checked before the copy, so that an oversized input allocates nothing.
        if bytes.len() > KEY_BYTES_MAX {
            return Err(KeyError::TooLong { bytes: bytes.len() });
        }
        Self::new(Bytes::copy_from_slice(bytes))
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key's bytes, shared.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The slot that holds this key.
    pub fn slot(&self) -> Slot {
        Slot::of(&self.0)
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

impl fmt::Display for Key {
    /// The key as text where it is UTF-8 without control characters, else escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked_at_both_ends() {
        assert_eq!(Key::copy_from(b""), Err(KeyError::Empty));
        assert!(Key::copy_from(&[0; KEY_BYTES_MAX]).is_ok());
        let error = Key::copy_from(&[0; KEY_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a key has at most 1024 bytes, this one has 1025"
        );
    }
}
