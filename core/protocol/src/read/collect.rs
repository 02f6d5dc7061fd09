//! Puts an answer's body together: one piece passes through, several are copied once
//! into a buffer that is used again when the caller has let go of its batch. There are two, for
//! a caller still at work on a batch while the next one arrives. A caller who copies anyway
//! may have the pieces as they come instead.

use bytes::{Bytes, BytesMut};

/// Largest buffer reserved on the word of a `Content-Length`.
const MAX_RESERVE_BYTES: usize = 64 << 20;
/// A smaller lone piece is copied: it must not keep the transport's read buffer alive.
const COPY_UP_TO_BYTES: usize = 1024;

/// A smaller piece is copied even for a caller who takes pieces: each may keep a read buffer of
/// the transport alive, whatever its own size.
const PIECE_BYTES: usize = 16 << 10;

#[derive(Debug, Default)]
pub(super) struct Collector {
    expected: Option<usize>,
    /// Whether the body is wanted in pieces.
    vectored: bool,
    first: Bytes,
    /// What follows `first`, of a body that is wanted in pieces; its end may be in `buffer`.
    rest: Vec<Bytes>,
    rest_bytes: usize,
    buffer: BytesMut,
    /// The buffer of the batch before the last.
    spare: BytesMut,
}

/// A body, or a part of it.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) data: Bytes,
    /// What follows `data`; empty unless the body was wanted in pieces.
    pub(super) rest: Vec<Bytes>,
}

impl Collector {
    /// Forgets what was collected and starts a body of this length, if it is known, in pieces
    /// if so wanted.
    pub(super) fn start(&mut self, expected: Option<usize>, vectored: bool) {
        self.expected = expected;
        self.vectored = vectored;
        self.first = Bytes::new();
        self.rest.clear();
        self.rest_bytes = 0;
        self.buffer.clear();
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if self.vectored {
            return self.push_piece(piece);
        }
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

    fn push_piece(&mut self, piece: Bytes) {
        if piece.len() < PIECE_BYTES {
            self.buffer.extend_from_slice(&piece);
            return;
        }
        self.end_small_pieces();
        self.append(piece);
    }

    fn end_small_pieces(&mut self) {
        if !self.buffer.is_empty() {
            let piece = self.buffer.split().freeze();
            self.append(piece);
        }
    }

    fn append(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.rest_bytes += piece.len();
            self.rest.push(piece);
        }
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
        self.first.len() + self.rest_bytes + self.buffer.len()
    }

    /// The body so far; what follows starts anew.
    pub(super) fn take(&mut self) -> Collected {
        if self.vectored {
            self.end_small_pieces();
            self.rest_bytes = 0;
            return Collected { data: std::mem::take(&mut self.first), rest: std::mem::take(&mut self.rest) };
        }
        Collected { data: self.take_whole(), rest: Vec::new() }
    }

    fn take_whole(&mut self) -> Bytes {
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
        collector.start(Some(5000), false);
        collector.push(piece.clone());
        assert_eq!(collector.take().data.as_ptr(), piece.as_ptr());
    }

    #[test]
    fn pieces_arrive_in_order_and_the_buffer_is_used_again() {
        let mut collector = Collector::default();
        let mut addresses = Vec::new();
        for _ in 0..3 {
            collector.start(Some(6000), false);
            for byte in 1..=3 {
                collector.push(Bytes::from(vec![byte; 2000]));
            }
            let body = collector.take().data;
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
            collector.start(Some(6000), false);
            for byte in 1..=3 {
                collector.push(Bytes::from(vec![byte; 2000]));
            }
            held = collector.take().data;
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
        collector.start(None, false);
        collector.push(Bytes::from_static(b"x"));
        assert_eq!(collector.take().data, "x");
        assert_eq!(collector.len(), 0);
    }

    #[test]
    fn wanted_pieces_are_handed_out_where_they_are() {
        let pieces = [1, 2, 3].map(|byte| Bytes::from(vec![byte; PIECE_BYTES]));
        let mut collector = Collector::default();
        for _ in 0..2 {
            collector.start(Some(3 * PIECE_BYTES), true);
            for piece in &pieces {
                collector.push(piece.clone());
            }
            assert_eq!(collector.len(), 3 * PIECE_BYTES);
            let Collected { data, rest } = collector.take();
            assert_eq!(collector.len(), 0);
            let taken: Vec<_> = std::iter::once(&data).chain(&rest).map(|piece| piece.as_ptr()).collect();
            assert_eq!(taken, pieces.each_ref().map(|piece| piece.as_ptr()));
        }
    }

    #[test]
    fn small_pieces_are_joined_so_that_none_keeps_a_buffer_alive() {
        let mut collector = Collector::default();
        collector.start(None, true);
        for _ in 0..1000 {
            collector.push(Bytes::from_static(b"a"));
        }
        collector.push(Bytes::from(vec![b'b'; PIECE_BYTES]));
        collector.push(Bytes::from_static(b"c"));
        collector.push(Bytes::from_static(b"d"));
        let Collected { data, rest } = collector.take();
        assert_eq!(data, vec![b'a'; 1000]);
        assert_eq!(rest, [Bytes::from(vec![b'b'; PIECE_BYTES]), Bytes::from_static(b"cd")]);
    }
}
