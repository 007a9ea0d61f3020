//! The searches over bytes that every step down a trie makes.
//!
//! Written without a branch for each byte: which byte matches is different at every step, so the
//! processor guesses such branches wrongly. That costs a fifth of a lookup in a million keys.

/// How many bytes are searched at once.
pub(super) const WORD_BYTES: usize = size_of::<u128>();
const LOW_BITS: u128 = u128::from_ne_bytes([0x01; WORD_BYTES]);
const HIGH_BITS: u128 = u128::from_ne_bytes([0x80; WORD_BYTES]);

/// The place of the first `byte` in `words`, taken one behind the other.
pub(super) fn position(words: impl Iterator<Item = [u8; WORD_BYTES]>, byte: u8) -> Option<usize> {
    let pattern = LOW_BITS * u128::from(byte);
    for (place, word) in words.enumerate() {
        // A byte is zero where it was the wanted one. Subtracting one from each byte borrows from
        // the sign bit of a zero byte; the borrow may mark a byte above the first zero wrongly,
        // never one below it, and only the first is asked for.
        let differing = u128::from_le_bytes(word) ^ pattern;
        let found = differing.wrapping_sub(LOW_BITS) & !differing & HIGH_BITS;
        if found != 0 {
            return Some(place * WORD_BYTES + found.trailing_zeros() as usize / 8);
        }
    }
    None
}

/// `key` without the `prefix` it must begin with.
///
/// Most inner nodes have no prefix: asking first spares them the call that compares bytes.
pub(super) fn strip<'k>(key: &'k [u8], prefix: &[u8]) -> Option<&'k [u8]> {
    if prefix.is_empty() {
        Some(key)
    } else {
        key.strip_prefix(prefix)
    }
}

/// How many bytes `left` and `right` have in common from their beginning.
pub(super) fn common_len(left: &[u8], right: &[u8]) -> usize {
    let (left_words, _) = left.as_chunks::<8>();
    let (right_words, _) = right.as_chunks::<8>();
    let words = left_words
        .iter()
        .zip(right_words)
        .take_while(|(left, right)| left == right);
    let sure = words.count() * 8;
    let rest = left[sure..].iter().zip(&right[sure..]);
    sure + rest.take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_agrees_with_a_plain_search() {
        // 0x00, 0x01, 0x7f, 0x80 and 0xff are where borrows and sign bits could mislead.
        let alphabet = [0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xfe, 0xff];
        for len in [0, 16, 32, 48, 64] {
            for step in 1..=7 {
                let bytes: Vec<u8> = (0..len).map(|i| alphabet[i * step / 2 % 8]).collect();
                let (words, _) = bytes.as_chunks::<WORD_BYTES>();
                for byte in 0..=u8::MAX {
                    let plain = bytes.iter().position(|&candidate| candidate == byte);
                    let found = position(words.iter().copied(), byte);
                    assert_eq!(found, plain, "{byte} in {bytes:?}");
                }
            }
        }
    }

    #[test]
    fn common_len_finds_the_first_difference() {
        for len in 0..40 {
            let left = vec![7; len];
            assert_eq!(common_len(&left, &vec![7; len + 3]), len);
            assert_eq!(common_len(&vec![7; len + 3], &left), len);
            for at in 0..len {
                let mut right = left.clone();
                right[at] = 8;
                assert_eq!(common_len(&left, &right), at);
            }
        }
    }
}
