//! Documents: nested maps, lists and scalars, with one depth limit everywhere.

mod serde;

use indexmap::IndexMap;

use crate::limits::DOCUMENT_DEPTH_MAX;

/// A map of a document. It keeps the order in which its keys came; equality does not see it.
pub type Map = IndexMap<String, Document>;

/// A nested value.
///
/// Containers nest at most [`DOCUMENT_DEPTH_MAX`] levels and floats are finite; everything that
/// makes a document out of bytes checks both, and [`Document::check`] does for one built by hand.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// Nothing, said explicitly.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A finite number of IEEE 754 double precision.
    Float(f64),
    /// Text.
    String(String),
    /// Values in order.
    List(Vec<Document>),
    /// Values under distinct names.
    Map(Map),
}

/// Why something is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Containers nest too deeply.
    #[error("documents nest at most {DOCUMENT_DEPTH_MAX} levels, this one goes deeper")]
    TooDeep,
    /// A float that is no number.
    #[error("floats are finite: not a number and the infinities are no values")]
    NotFinite,
    /// The bytes are not what they should be; the parser's own words.
    #[error("{0}")]
    Malformed(String),
}

impl Document {
    /// Checks depth and floats of a document built by hand.
    pub fn check(&self) -> Result<(), DocumentError> {
        self.check_below(0)
    }

    fn check_below(&self, depth: usize) -> Result<(), DocumentError> {
        match self {
            Self::Float(number) if !number.is_finite() => Err(DocumentError::NotFinite),
            Self::List(_) | Self::Map(_) if depth >= DOCUMENT_DEPTH_MAX => {
                Err(DocumentError::TooDeep)
            }
            Self::List(items) => items
                .iter()
                .try_for_each(|item| item.check_below(depth + 1)),
            Self::Map(map) => map
                .values()
                .try_for_each(|item| item.check_below(depth + 1)),
            _ => Ok(()),
        }
    }

    /// Reads one JSON value (RFC 8259); integers beyond 64 bits and keys twice are refused.
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        // The depth is counted while reading, with a message that names our limit.
        deserializer.disable_recursion_limit();
        let malformed = |error: serde_json::Error| DocumentError::Malformed(error.to_string());
        let document = serde::read(&mut deserializer).map_err(malformed)?;
        deserializer.end().map_err(malformed)?;
        Ok(document)
    }

    /// The document as JSON on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("finite floats and string keys always serialise")
    }

    /// Reads what [`Document::to_message_pack`] wrote.
    pub fn from_message_pack(bytes: &[u8]) -> Result<Self, DocumentError> {
        let mut rest = bytes;
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        // More than our own limit, so that ours is the one that speaks.
        deserializer.set_max_depth(DOCUMENT_DEPTH_MAX + 8);
        let document = serde::read(&mut deserializer)
            .map_err(|error| DocumentError::Malformed(error.to_string()))?;
        if rest.is_empty() {
            Ok(document)
        } else {
            Err(DocumentError::Malformed(
                "bytes follow the end of the document".to_owned(),
            ))
        }
    }

    /// The document as `MessagePack`, the form in which it is stored.
    pub fn to_message_pack(&self) -> Vec<u8> {
        rmp_serde::to_vec(self).expect("every document serialises")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Documents of all kinds, a few levels deep.
    pub(crate) fn documents() -> impl Strategy<Value = Document> {
        let finite = any::<f64>().prop_filter("finite", |number| number.is_finite());
        let leaf = prop_oneof![
            Just(Document::Null),
            any::<bool>().prop_map(Document::Bool),
            any::<i64>().prop_map(Document::Int),
            finite.prop_map(Document::Float),
            any::<String>().prop_map(Document::String),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Document::List),
                vec((any::<String>(), inner), 0..6)
                    .prop_map(|pairs| Document::Map(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_and_message_pack_round_trip(document in documents()) {
            prop_assert_eq!(Document::from_json(document.to_json().as_bytes()), Ok(document.clone()));
            let packed = document.to_message_pack();
            prop_assert_eq!(Document::from_message_pack(&packed), Ok(document));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = Document::from_message_pack(&bytes);
            let _ = Document::from_json(&bytes);
        }
    }

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn depth_is_limited_in_every_form() {
        let deepest = Document::from_json(nested(DOCUMENT_DEPTH_MAX).as_bytes()).expect("allowed");
        assert!(deepest.check().is_ok());
        assert!(Document::from_message_pack(&deepest.to_message_pack()).is_ok());
        for levels in [DOCUMENT_DEPTH_MAX + 1, 1_000_000] {
            let error = Document::from_json(nested(levels).as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.contains("at most 128 levels"), "{error}");
        }
        let too_deep = Document::List(vec![deepest]);
        assert_eq!(too_deep.check(), Err(DocumentError::TooDeep));
        // 0x91 is a list of one.
        let error = Document::from_message_pack(&[0x91; 5000])
            .unwrap_err()
            .to_string();
        assert!(error.contains("at most 128 levels"), "{error}");
    }

    #[test]
    fn doubtful_json_is_refused_in_words() {
        let refuse = |text: &str| {
            Document::from_json(text.as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert!(refuse(r#"{"a":1,"a":2}"#).contains("key \"a\" comes twice"));
        assert!(refuse("18446744073709551615").contains("beyond 64 bits"));
        assert!(refuse("1 2").contains("trailing"));
        assert!(refuse("NaN").contains("line 1 column 1"));
        assert!(refuse("").contains("EOF"));
        // MessagePack can carry a NaN, JSON cannot.
        let packed = [0xCB, 0x7F, 0xF8, 0, 0, 0, 0, 0, 0];
        let error = Document::from_message_pack(&packed)
            .unwrap_err()
            .to_string();
        assert!(error.contains("finite"), "{error}");
    }
}
