//! Byte searches of the scanner, a block of bytes per step. The block is sixteen
//! bytes where every processor of the target has the instructions (x86-64) and
//! eight elsewhere.

/// Index of the first byte that ends a run of plain string text: `"`, `\` or a
/// control character. The length when there is none.
#[inline(always)]
pub(super) fn string_special(text: &[u8]) -> usize {
    let mut at = 0;
    #[cfg(target_arch = "x86_64")]
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let specials = sse2::string_specials(block);
        if specials != 0 {
            return at + specials.trailing_zeros() as usize;
        }
        at += 16;
    }
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let specials = word::string_specials(u64::from_le_bytes(*block));
        if specials != 0 {
            return at + specials.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| byte != b'"' && byte != b'\\' && byte >= b' ') {
        at += 1;
    }
    at
}

/// Index of the first byte that is not a decimal digit. The length when there is none.
#[inline(always)]
pub(super) fn digits_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let others = word::non_digits(u64::from_le_bytes(*block));
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Index of the first byte that is not JSON white space. The length when there is none.
#[inline(always)]
pub(super) fn space_end(text: &[u8]) -> usize {
    let mut at = 0;
    while text.get(at).copied().is_some_and(is_space) {
        at += 1;
    }
    at
}

/// Whether the byte is white space in JSON.
#[inline(always)]
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Eight bytes in a word, the first in the lowest eight bits.
mod word {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;

    /// Top bit set in the byte of the first special character, and in none before it.
    #[inline(always)]
    pub(super) const fn string_specials(word: u64) -> u64 {
        let quotes = zeros(word ^ (ONES * b'"' as u64));
        let escapes = zeros(word ^ (ONES * b'\\' as u64));
        // A byte below 0x20 borrows into its top bit.
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        (quotes | escapes | controls) & TOPS
    }

    /// Top bit set in every byte that is not a decimal digit.
    #[inline(always)]
    pub(super) const fn non_digits(word: u64) -> u64 {
        // Digits become 0 to 9; adding 0x76 carries 10 to 127 into the top bit, which is
        // set already from 128 on. No byte carries into the next.
        let value = word ^ (ONES * b'0' as u64);
        (((value & !TOPS) + ONES * 0x76) | value) & TOPS
    }

    /// Top bit of the lowest zero byte. Bytes above it may be marked wrongly, by the
    /// borrow; only the lowest mark is used.
    #[inline(always)]
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    /// Bit n set when byte n is a special character.
    #[inline(always)]
    pub(super) fn string_specials(block: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of the x86-64 baseline; the function touches memory only
        // through its reference.
        unsafe { specials(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn specials(block: &[u8; 16]) -> u32 {
        let whole = u128::from_le_bytes(*block);
        let bytes = _mm_set_epi64x((whole >> 64) as i64, whole as i64);
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, escapes), controls)) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn string_special_finds_what_a_plain_search_finds(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let plain = text.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            prop_assert_eq!(string_special(&text), plain.unwrap_or(text.len()));
        }

        #[test]
        fn words_find_what_a_plain_search_finds(block in any::<[u8; 8]>()) {
            let plain = block.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            let specials = word::string_specials(u64::from_le_bytes(block));
            prop_assert_eq!((specials != 0).then_some(specials.trailing_zeros() as usize / 8), plain);
        }
    }
}
