//! The two searches over bytes that every step down a trie makes.

const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The place of the first `byte` in `bytes`.
///
/// Looks at eight bytes at once where there are eight: a wide node's index is 8, 16 or 32 long.
pub(super) fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let wanted = LOW_BITS * u64::from(byte);
    for (place, word) in words.iter().enumerate() {
        // A byte is zero where it was the wanted one. Subtracting one from each byte borrows from
        // the sign bit of a zero byte; the borrow may mark a byte above the first zero wrongly,
        // never one below it, and only the first is asked for.
        let differing = u64::from_le_bytes(*word) ^ wanted;
        let found = differing.wrapping_sub(LOW_BITS) & !differing & HIGH_BITS;
        if found != 0 {
            return Some(place * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let place = tail.iter().position(|&candidate| candidate == byte)?;
    Some(words.len() * 8 + place)
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
        for len in 0..=34 {
            for step in 1..=7 {
                let bytes: Vec<u8> = (0..len).map(|i| alphabet[i * step / 2 % 8]).collect();
                for byte in 0..=u8::MAX {
                    let plain = bytes.iter().position(|&candidate| candidate == byte);
                    assert_eq!(position(&bytes, byte), plain, "{byte} in {bytes:?}");
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
