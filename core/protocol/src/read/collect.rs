//! Puts an answer's body together: one piece passes through, several are copied once
//! into a buffer that is used again when the caller has let go of its batch. There are two, for
//! a caller still at work on a batch while the next one arrives.

use bytes::{Bytes, BytesMut};

/// Largest buffer reserved on the word of a `Content-Length`.
const MAX_RESERVE_BYTES: usize = 64 << 20;
/// A smaller lone piece is copied: it must not keep the transport's read buffer alive.
const COPY_UP_TO_BYTES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Collector {
    expected: Option<usize>,
    first: Bytes,
    buffer: BytesMut,
    /// The buffer of the batch before the last.
    spare: BytesMut,
}

impl Collector {
    /// Forgets what was collected and starts a body of this length, if it is known.
    pub(super) fn start(&mut self, expected: Option<usize>) {
        self.expected = expected;
        self.first = Bytes::new();
        self.buffer.clear();
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        let expected = self.expected.unwrap_or_default();
        if self.len() == 0 && piece.len() >= expected {
            self.first = piece;
            return;
        }
        // A piece known to be the first of several is copied at once: while it is held, the
        // transport cannot use its read buffer again and has to get a new one.
        let first = std::mem::take(&mut self.first);
        if self.buffer.is_empty() {
            self.make_room(expected.min(MAX_RESERVE_BYTES).max(first.len() + piece.len()));
            self.buffer.extend_from_slice(&first);
        }
        self.buffer.extend_from_slice(&piece);
    }

    /// Takes whichever buffer is free again: new memory is zeroed page by page on first use,
    /// which costs as much as filling it.
    fn make_room(&mut self, bytes: usize) {
        if self.buffer.try_reclaim(bytes) {
            return;
        }
        std::mem::swap(&mut self.buffer, &mut self.spare);
        self.buffer.reserve(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.buffer.len()
    }

    /// The body so far; what follows starts anew.
    pub(super) fn take(&mut self) -> Bytes {
        if self.first.is_empty() {
            return self.buffer.split().freeze();
        }
        let first = std::mem::take(&mut self.first);
        if first.len() <= COPY_UP_TO_BYTES { Bytes::copy_from_slice(&first) } else { first }
    }

    /// Gives the buffers back to the allocator, before a long wait.
    pub(super) fn release(&mut self) {
        self.buffer = BytesMut::new();
        self.spare = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 5000]);
        let mut collector = Collector::default();
        collector.start(Some(5000));
        collector.push(piece.clone());
        assert_eq!(collector.take().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn pieces_arrive_in_order_and_the_buffer_is_used_again() {
        let mut collector = Collector::default();
        let mut addresses = Vec::new();
        for _ in 0..3 {
            collector.start(Some(6000));
            for byte in 1..=3 {
                collector.push(Bytes::from(vec![byte; 2000]));
            }
            let body = collector.take();
            assert_eq!((body.len(), body[0], body[2000], body[5999]), (6000, 1, 2, 3));
            addresses.push(body.as_ptr());
        }
        assert_eq!(addresses[0], addresses[2]);
    }

    #[test]
    fn two_buffers_take_turns_while_the_caller_holds_one_batch() {
        let mut collector = Collector::default();
        let mut held = Bytes::new();
        let mut addresses = Vec::new();
        for _ in 0..4 {
            collector.start(Some(6000));
            for byte in 1..=3 {
                collector.push(Bytes::from(vec![byte; 2000]));
            }
            held = collector.take();
            assert_eq!((held.len(), held[0], held[2000], held[5999]), (6000, 1, 2, 3));
            addresses.push(held.as_ptr());
        }
        drop(held);
        assert_ne!(addresses[0], addresses[1]);
        assert_eq!(addresses[0], addresses[2]);
        assert_eq!(addresses[1], addresses[3]);
    }

    #[test]
    fn starting_again_forgets_the_unfinished_body() {
        let mut collector = Collector::default();
        for piece in ["ab", "cd"] {
            collector.push(Bytes::from_static(piece.as_bytes()));
        }
        collector.start(None);
        collector.push(Bytes::from_static(b"x"));
        assert_eq!(collector.take(), "x");
        assert_eq!(collector.len(), 0);
    }
}
