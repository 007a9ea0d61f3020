//! The searches over bytes that every step down a trie makes.
//!
//! Written without a branch for each byte: which byte matches is different at every step, so the
//! processor guesses such branches wrongly. That costs a fifth of a lookup in a million keys.

/// How many bytes are searched at once.
pub(super) const WORD_BYTES: usize = size_of::<u128>();

/// In which places a word has a byte, for processors that `raw` has no instruction of.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) fn matches(word: [u8; WORD_BYTES], byte: u8) -> u16 {
    let places = word.iter().rev();
    places.fold(0, |bits, &present| bits << 1 | u16::from(present == byte))
}

/// `key` without the `prefix` it must begin with.
///
/// Most inner nodes have no prefix: asking first spares them the comparison.
#[inline]
pub(super) fn strip<'k>(key: &'k [u8], prefix: &[u8]) -> Option<&'k [u8]> {
    if prefix.is_empty() {
        return Some(key);
    }
    let (start, rest) = key.split_at_checked(prefix.len())?;
    same(start, prefix).then_some(rest)
}

/// Whether two pieces of the same length are equal.
///
/// Pieces are short. Their two ends, which may overlap, are compared as one word each: that is
/// sooner done than a call of a function which is made for all lengths.
#[inline]
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() > 2 * WORD_BYTES {
        left == right
    } else if left.len() >= 16 {
        same_ends::<16>(left, right)
    } else if left.len() >= 8 {
        same_ends::<8>(left, right)
    } else if left.len() >= 4 {
        same_ends::<4>(left, right)
    } else {
        let mut pairs = left.iter().zip(right);
        pairs.all(|(left, right)| left == right)
    }
}

#[inline]
fn same_ends<const N: usize>(left: &[u8], right: &[u8]) -> bool {
    left.first_chunk::<N>() == right.first_chunk() && left.last_chunk::<N>() == right.last_chunk()
}

/// How many bytes `left` and `right` have in common from their beginning.
#[inline]
pub(super) fn common_len(left: &[u8], right: &[u8]) -> usize {
    let len = left.len().min(right.len());
    let (left, right) = (&left[..len], &right[..len]);
    let (left_words, _) = left.as_chunks();
    let (right_words, _) = right.as_chunks();
    for (at, words) in left_words.iter().zip(right_words).enumerate() {
        if let Some(within) = differing(*words.0, *words.1) {
            return at * 8 + within;
        }
    }
    // What is left of the words is in the last one, as far as there is one.
    if let (Some(left), Some(right)) = (left.last_chunk(), right.last_chunk()) {
        return differing(*left, *right).map_or(len, |within| len - 8 + within);
    }
    let mut pairs = left.iter().zip(right);
    pairs.position(|(left, right)| left != right).unwrap_or(len)
}

/// The first place at which two words differ.
fn differing(left: [u8; 8], right: [u8; 8]) -> Option<usize> {
    let differing = u64::from_le_bytes(left) ^ u64::from_le_bytes(right);
    (differing != 0).then(|| differing.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::super::raw;
    use super::*;

    #[test]
    fn the_instruction_agrees_with_a_plain_search() {
        let alphabet = [0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xfe, 0xff];
        for start in 0..8 {
            for step in 0..=9 {
                let word = std::array::from_fn(|i| alphabet[(start + i * step / 2) % 8]);
                for byte in 0..=u8::MAX {
                    let plain = matches(word, byte);
                    for (place, present) in word.iter().enumerate() {
                        assert_eq!(plain >> place & 1 == 1, *present == byte);
                    }
                    assert_eq!(raw::matches(word, byte), plain, "{byte} in {word:?}");
                }
            }
        }
    }

    #[test]
    fn pieces_are_the_same_when_every_byte_is() {
        for len in 0..70 {
            let left = vec![7; len];
            assert!(same(&left, &left.clone()));
            assert_eq!(
                strip(&[&left[..], b"rest"].concat(), &left),
                Some(&b"rest"[..])
            );
            for at in 0..len {
                let mut right = left.clone();
                right[at] = 8;
                assert!(!same(&left, &right), "{len} bytes, the one at {at} differs");
                assert_eq!(strip(&left, &right), None);
            }
            assert_eq!(strip(&left, &vec![7; len + 1]), None);
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
