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
    bytes: Vec<u8>,
    /// Where in the text the next piece starts.
    next: usize,
}

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
    #[inline]
    fn gap(&mut self, text: &[u8], from: usize, to: usize) {
        let start = self.from;
        let output =
            self.output.get_or_insert_with(|| Output { bytes: Vec::with_capacity(text.len() + 1), next: start });
        output.bytes.extend_from_slice(&text[output.next..from]);
        output.next = to;
    }
}

impl Output {
    /// Copies the rest and puts the comma behind the last message, in place of the
    /// bracket if there is one.
    pub(super) fn finish(mut self, text: &[u8], is_array: bool) -> Bytes {
        self.bytes.extend_from_slice(&text[self.next..text.len() - usize::from(is_array)]);
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
