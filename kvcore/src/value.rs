//! Values as clients see them, and the form in which members store them.

use bytes::Bytes;

use crate::{
    document::{Document, DocumentError},
    limits::VALUE_BYTES_MAX,
    record::{Format, ValueMeta},
    version::UnixMillis,
};

/// What a client stores under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// The value itself.
    pub content: Content,
    /// When it expires; `None` is never.
    pub expires_at: Option<UnixMillis>,
}

/// Bytes or a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A client's own bytes.
    Raw {
        /// 32 bits that memcached clients store with a value.
        flags: u32,
        /// The bytes.
        bytes: Bytes,
    },
    /// A nested value.
    Document(Document),
}

/// Why a value cannot be stored or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Larger than the limit in its stored form.
    #[error("a value has at most {VALUE_BYTES_MAX} bytes in its stored form, this one has {0}")]
    TooLarge(usize),
    /// No document.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Value {
    /// A document that never expires.
    pub fn document(document: Document) -> Self {
        Self {
            content: Content::Document(document),
            expires_at: None,
        }
    }

    /// The stored form, within [`VALUE_BYTES_MAX`].
    pub fn to_stored(&self) -> Result<(ValueMeta, Bytes), ValueError> {
        let (format, flags, bytes) = match &self.content {
            Content::Raw { flags, bytes } => (Format::Raw, *flags, bytes.clone()),
            Content::Document(document) => {
                document.check()?;
                (Format::Document, 0, document.to_message_pack().into())
            }
        };
        if bytes.len() > VALUE_BYTES_MAX {
            return Err(ValueError::TooLarge(bytes.len()));
        }
        let length = u32::try_from(bytes.len()).expect("the limit fits 32 bits");
        Ok((
            ValueMeta {
                format,
                flags,
                expires_at: self.expires_at,
                length,
            },
            bytes,
        ))
    }

    /// Reads the stored form.
    pub fn from_stored(meta: &ValueMeta, bytes: Bytes) -> Result<Self, ValueError> {
        let content = match meta.format {
            Format::Raw => Content::Raw {
                flags: meta.flags,
                bytes,
            },
            Format::Document => Content::Document(Document::from_message_pack(&bytes)?),
        };
        Ok(Self {
            content,
            expires_at: meta.expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_round_trip_and_large_ones_are_refused() {
        let raw = Value {
            content: Content::Raw {
                flags: 7,
                bytes: Bytes::from_static(b"\0\xFF"),
            },
            expires_at: Some(UnixMillis(5)),
        };
        for value in [raw, Value::document(Document::Int(3))] {
            let (meta, bytes) = value.to_stored().expect("small");
            assert_eq!(Value::from_stored(&meta, bytes), Ok(value));
        }
        let bytes = Bytes::from(vec![0; VALUE_BYTES_MAX + 1]);
        let value = Value {
            content: Content::Raw { flags: 0, bytes },
            expires_at: None,
        };
        assert_eq!(
            value.to_stored().unwrap_err(),
            ValueError::TooLarge(VALUE_BYTES_MAX + 1)
        );
    }
}
