//! Output of the splitter: nothing is copied until the first white space is met.

use bytes::{BufMut, Bytes};

use super::scan::Gaps;

/// Copies a text without its insignificant white space, from the first such on.
pub(super) struct Compact {
    output: Option<Output>,
    from: usize,
}

/// The copy so far.
pub(super) struct Output {
    /// As long as the text and [`SHORT`] bytes more; what lies behind `len` is scratch.
    bytes: Vec<u8>,
    len: usize,
    /// Where in the text the next piece starts.
    next: usize,
}

/// Most pieces between white space are shorter than this; they are copied with this fixed
/// length, which is two instructions, and the surplus is overwritten by the next piece.
const SHORT: usize = 32;

impl Compact {
    /// Leaves out the first `from` bytes.
    pub(super) const fn starting_at(from: usize) -> Self {
        Self { output: None, from }
    }

    /// The copy, if there was anything to leave out.
    pub(super) fn into_output(self) -> Option<Output> {
        self.output
    }
}

impl Gaps for Compact {
    #[inline(always)]
    fn gap(&mut self, text: &[u8], from: usize, to: usize) {
        let start = self.from;
        let output = self.output.get_or_insert_with(|| Output::new(text, start));
        output.copy(text, from);
        output.next = to;
    }
}

impl Output {
    #[cold]
    fn new(text: &[u8], next: usize) -> Self {
        Self { bytes: vec![0; text.len() + SHORT], len: 0, next }
    }

    /// Copies the text from `next` to `end`.
    #[inline(always)]
    fn copy(&mut self, text: &[u8], end: usize) {
        let len = end - self.next;
        let output = &mut self.bytes[self.len..];
        match (text[self.next..].first_chunk::<SHORT>(), output.first_chunk_mut::<SHORT>()) {
            (Some(piece), Some(output)) if len <= SHORT => *output = *piece,
            _ => output[..len].copy_from_slice(&text[self.next..end]),
        }
        self.len += len;
    }

    /// Copies the rest and puts the comma behind the last message, in place of the
    /// bracket if there is one.
    pub(super) fn finish(mut self, text: &[u8], is_array: bool) -> Bytes {
        self.copy(text, text.len() - usize::from(is_array));
        self.bytes.truncate(self.len);
        self.bytes.push(b',');
        // Kept in memory by readers, so without the room of what was left out.
        self.bytes.shrink_to_fit();
        self.bytes.into()
    }
}

/// The stored form of compact text: `[a,b]` to `a,b,`, `a` to `a,`. In place when no one
/// else holds the bytes.
pub(super) fn with_comma(text: Bytes, is_array: bool) -> Bytes {
    let (from, to) = if is_array { (1, text.len() - 1) } else { (0, text.len()) };
    match text.try_into_mut() {
        Ok(mut text) => {
            text.truncate(to);
            text.put_u8(b',');
            text.freeze().slice(from..)
        }
        Err(text) => {
            let mut stored = Vec::with_capacity(to - from + 1);
            stored.extend_from_slice(&text[from..to]);
            stored.push(b',');
            stored.into()
        }
    }
}
