//! Documents by serde, with the depth counted on the way in.

use std::fmt;

use serde::{
    Serialize, Serializer,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};

use super::{Document, DocumentError, Map};
use crate::limits::DOCUMENT_DEPTH_MAX;

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(map) => serializer.collect_map(map),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

/// Reads a document, refusing depth beyond the limit, keys twice, and floats that are no number.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
    AtDepth(0).deserialize(deserializer)
}

/// Reads a value that lies inside this many containers.
#[derive(Clone, Copy)]
struct AtDepth(usize);

impl AtDepth {
    /// What reads the items of a container found here.
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.0 < DOCUMENT_DEPTH_MAX {
            Ok(Self(self.0 + 1))
        } else {
            Err(E::custom(DocumentError::TooDeep))
        }
    }
}

impl<'de> DeserializeSeed<'de> for AtDepth {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AtDepth {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document: null, bool, number, string, list or map with string keys")
    }

    fn visit_unit<E: Error>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Document, E> {
        Ok(Document::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Document, E> {
        Ok(Document::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Document, E> {
        let whole = i64::try_from(number);
        whole.map(Document::Int).map_err(|_| {
            E::custom(format_args!(
                "whole number {number} is beyond 64 bits with sign"
            ))
        })
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Document, E> {
        if number.is_finite() {
            Ok(Document::Float(number))
        } else {
            Err(E::custom(DocumentError::NotFinite))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Document, E> {
        Ok(Document::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Document, E> {
        Ok(Document::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let inner = self.inner()?;
        // The announced size is a stranger's word; the list grows as items really come.
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Document::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "key {key:?} comes twice in one map"
                )));
            }
            map.insert(key, value);
        }
        Ok(Document::Map(map))
    }
}
