//! A record: what a member stores under a key, a versioned value or a versioned tombstone.
//!
//! Members never look inside a value. They keep its bytes, how to read them, and when it expires;
//! brokers turn the bytes into a [`crate::value::Value`] and back.

use bytes::Bytes;

use crate::version::{UnixMillis, Version};

/// A versioned value or tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Orders this record among all others of its key.
    pub version: Version,
    /// The value, or that there is none.
    pub body: Body,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The key was deleted, or its value expired.
    Tombstone,
    /// The key has a value.
    Value {
        /// How to read the payload and until when.
        meta: ValueMeta,
        /// The value's bytes, or where they were staged.
        payload: Payload,
    },
}

/// What is known of a value without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueMeta {
    /// How the payload is encoded.
    pub format: Format,
    /// Opaque to Kvasir: 32 bits that memcached clients store with a value.
    pub flags: u32,
    /// When the value expires; `None` is never.
    pub expires_at: Option<UnixMillis>,
    /// Bytes of the whole payload, at most [`crate::limits::VALUE_BYTES_MAX`].
    pub length: u32,
}

/// How a payload is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// The client's own bytes.
    Raw = 0,
    /// A document in `MessagePack`.
    Document = 1,
}

impl TryFrom<u8> for Format {
    type Error = u8;
    fn try_from(number: u8) -> Result<Self, u8> {
        match number {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Document),
            other => Err(other),
        }
    }
}

/// The bytes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// All of them, at most [`crate::limits::CHUNK_BYTES`] where they travel in one frame.
    Whole(Bytes),
    /// They are stored, or were sent, as chunks under this id.
    Chunked(UploadId),
}

/// Names one set of chunks; random, chosen by whoever sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub u128);

impl Record {
    /// A tombstone with this version.
    pub fn tombstone(version: Version) -> Self {
        Self {
            version,
            body: Body::Tombstone,
        }
    }

    /// The value's description, `None` for a tombstone.
    pub fn meta(&self) -> Option<&ValueMeta> {
        match &self.body {
            Body::Tombstone => None,
            Body::Value { meta, .. } => Some(meta),
        }
    }
}

impl ValueMeta {
    /// Whether the value has expired at `now`.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
