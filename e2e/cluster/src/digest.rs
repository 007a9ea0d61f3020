//! Names for contents.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Twelve letters that are others for other texts.
pub(crate) fn short_digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // With their lengths, so that what ends one text does not begin the next.
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let mut name = String::new();
    for byte in hash.finalize().iter().take(6) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_have_other_names() {
        assert_eq!(short_digest(["a", "b"]), short_digest(["a", "b"]));
        assert_ne!(short_digest(["a", "b"]), short_digest(["a", "c"]));
        assert_ne!(short_digest(["ab", "c"]), short_digest(["a", "bc"]));
        assert_eq!(short_digest([]).len(), 12);
    }
}
