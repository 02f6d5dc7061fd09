//! Byte searches of the scanner: 64 bytes of text are classified at once, and the
//! end of a string or number is then a bit to look up.

/// The classes of 64 bytes of text. Looking one up costs a shift; a search of its own
/// would cost a load and four more steps that the next token has to wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Place of the byte that bit 0 stands for.
    base: usize,
    classes: Classes,
}

/// One bit per byte, the first byte lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Classes {
    /// `"`, `\` and control characters: what ends a run of plain string text.
    string_ends: u64,
    /// Everything but `0` to `9`.
    digit_ends: u64,
}

impl Window {
    /// The window that starts at `at`.
    #[inline(always)]
    pub(super) fn new(text: &[u8], at: usize) -> Self {
        let classes = match text.get(at..).and_then(<[u8]>::first_chunk) {
            Some(block) => Classes::of(block),
            None => Classes::of_last(text.get(at..).unwrap_or_default()),
        };
        Self { base: at, classes }
    }

    /// Place of the first byte at or after `at` that ends a run of plain string text; the
    /// text's length if there is none. `at` must not lie before the last place asked for.
    #[inline(always)]
    pub(super) fn string_end(&mut self, text: &[u8], at: usize) -> usize {
        self.find(text, at, |classes| classes.string_ends)
    }

    /// The same for the first byte that is not a digit.
    #[inline(always)]
    pub(super) fn digits_end(&mut self, text: &[u8], at: usize) -> usize {
        self.find(text, at, |classes| classes.digit_ends)
    }

    #[inline(always)]
    fn find(&mut self, text: &[u8], mut at: usize, class: impl Fn(Classes) -> u64) -> usize {
        loop {
            let skip = at - self.base;
            if skip < 64 {
                let rest = class(self.classes) >> skip;
                if rest != 0 {
                    return at + rest.trailing_zeros() as usize;
                }
                at = self.base + 64;
            }
            // Ends: behind the text every bit is set.
            *self = Self::new(text, at);
        }
    }
}

impl Classes {
    #[inline(always)]
    fn of(block: &[u8; 64]) -> Self {
        #[cfg(target_arch = "x86_64")]
        return sse2::classes(block);
        #[cfg(not(target_arch = "x86_64"))]
        return words::classes(block);
    }

    /// Of fewer than 64 bytes: what is missing counts as control characters.
    #[inline(never)]
    fn of_last(rest: &[u8]) -> Self {
        let mut block = [0; 64];
        block[..rest.len()].copy_from_slice(rest);
        Self::of(&block)
    }
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

/// Sixteen bytes at a time, with instructions that every x86-64 processor has. AVX2 was
/// measured and gains 5 % here: the scanner waits for places, not for this.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_sub_epi8,
    };

    use super::Classes;

    #[inline(always)]
    pub(super) fn classes(block: &[u8; 64]) -> Classes {
        // SAFETY: SSE2 belongs to the x86-64 baseline. The function has no other demand; it
        // reads memory through its reference only.
        unsafe { with_sse2(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn with_sse2(block: &[u8; 64]) -> Classes {
        let (mut string_ends, mut digits) = (0, 0);
        for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
            let part = u128::from_le_bytes(*part);
            let bytes = _mm_set_epi64x((part >> 64) as i64, part as i64);
            let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            // Unsigned "not above": the smaller of both is the byte itself.
            let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            let ends = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, escapes), controls));
            let values = _mm_sub_epi8(bytes, _mm_set1_epi8(b'0' as i8));
            let digit = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values));
            string_ends |= u64::from(ends as u16) << (16 * index);
            digits |= u64::from(digit as u16) << (16 * index);
        }
        Classes { string_ends, digit_ends: !digits }
    }
}

/// Eight bytes at a time, in a plain integer: for every other processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    use super::Classes;

    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;

    #[inline]
    pub(super) fn classes(block: &[u8; 64]) -> Classes {
        let (mut string_ends, mut digits) = (0, 0);
        for (index, part) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*part);
            let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
            let escapes = below(word ^ (ONES * u64::from(b'\\')), 1);
            let ends = quotes | escapes | below(word, 0x20);
            let digit = below(word ^ (ONES * u64::from(b'0')), 10);
            string_ends |= gather(ends) << (8 * index);
            digits |= gather(digit) << (8 * index);
        }
        Classes { string_ends, digit_ends: !digits }
    }

    /// Top bit set in each byte that is smaller than `limit`, which is at most 0x80.
    #[inline(always)]
    const fn below(word: u64, limit: u64) -> u64 {
        // Seven bits plus at most 0x80 stay within their byte.
        !(((word & !TOPS) + ONES * (0x80 - limit)) | word) & TOPS
    }

    /// The eight top bits, side by side.
    #[inline(always)]
    const fn gather(tops: u64) -> u64 {
        (tops >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_way_to_classify_agrees_with_the_definition(block in prop::collection::vec(any::<u8>(), 64)) {
            let block: [u8; 64] = block.try_into().expect("64 bytes");
            let bits = |holds: fn(u8) -> bool| {
                block.iter().enumerate().fold(0, |bits, (index, &byte)| bits | u64::from(holds(byte)) << index)
            };
            let expected = Classes {
                string_ends: bits(|byte| byte == b'"' || byte == b'\\' || byte < 0x20),
                digit_ends: bits(|byte| !byte.is_ascii_digit()),
            };
            prop_assert_eq!(Classes::of(&block), expected);
            prop_assert_eq!(words::classes(&block), expected);
        }

        #[test]
        fn a_window_finds_what_a_plain_search_finds(text in "[a-z0-9]{0,70}[\"\\\\]?[a-z0-9]{0,140}", start in 0usize..40) {
            let (text, start) = (text.as_bytes(), start.min(text.len()));
            let plain = |ends: fn(u8) -> bool| {
                text[start..].iter().position(|&byte| ends(byte)).map_or(text.len(), |index| start + index)
            };
            prop_assert_eq!(Window::new(text, 0).string_end(text, start), plain(|byte| byte == b'"' || byte == b'\\'));
            prop_assert_eq!(Window::new(text, 0).digits_end(text, start), plain(|byte| !byte.is_ascii_digit()));
        }
    }
}
