//! Answer bodies: one type, no boxing on the hot path.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};

use super::sse::SseBody;

/// The body of an answer.
#[derive(Default)]
pub(crate) enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// One piece.
    Full(Bytes),
    /// Several pieces, sent as they are; their total length is known.
    Parts(Parts),
    /// Server-sent events.
    Sse(SseBody),
    /// Anything else, such as a proxied body.
    Other(OtherBody),
}

/// A body from elsewhere, behind one allocation.
pub(crate) type OtherBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// Why a body could not be sent to its end; the connection is cut.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Pieces of a body, in order.
#[derive(Debug)]
pub(crate) struct Parts {
    pieces: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Parts {
    /// Pieces that are sent in this order.
    pub(crate) fn new(pieces: Vec<Bytes>) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into_iter(), left }
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let piece = self.pieces.next()?;
        self.left -= piece.remaining() as u64;
        Some(piece)
    }

    /// Length of the pieces still to come. Units: bytes.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }
}

impl Body {
    /// A body of one piece.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }

    /// A body of several pieces.
    pub(crate) fn parts(mut pieces: Vec<Bytes>) -> Self {
        match pieces.len() {
            0 => Self::Empty,
            1 => pieces.pop().map_or(Self::Empty, Self::full),
            _ => Self::Parts(Parts::new(pieces)),
        }
    }

    /// Takes the bytes of a body that is held in memory; `None` for streaming ones,
    /// which stay as they are.
    /// Units: exact length in bytes beside the pieces.
    pub(crate) fn into_pieces(self) -> Result<(Vec<Bytes>, u64), Self> {
        match self {
            Self::Empty => Ok((Vec::new(), 0)),
            Self::Full(bytes) => {
                let len = bytes.len() as u64;
                Ok((vec![bytes], len))
            }
            Self::Parts(parts) => Ok((parts.pieces.collect(), parts.left)),
            streaming @ (Self::Sse(_) | Self::Other(_)) => Err(streaming),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Parts(_) => "Parts",
            Self::Sse(_) => "Sse",
            Self::Other(_) => "Other",
        })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Parts(parts) => Poll::Ready(parts.next().map(|piece| Ok(Frame::data(piece)))),
            Self::Sse(events) => events.poll_event(cx).map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Other(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Parts(parts) => parts.left == 0,
            Self::Sse(_) => false,
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Parts(parts) => SizeHint::with_exact(parts.left),
            Self::Sse(_) => SizeHint::default(),
            Self::Other(body) => body.size_hint(),
        }
    }
}
