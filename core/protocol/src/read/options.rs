//! What a caller chooses about a read, with the defaults of every language.

use super::fallback::SseFallback;
use crate::{content_type::Framing, offset::Offset, query, retry::RetryPolicy, sse::decoder::DecoderLimits};

/// How a read goes on once it is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LiveMode {
    /// It ends.
    #[default]
    Off,
    /// It repeats requests that wait for data.
    LongPoll,
    /// It holds one answer open that data is sent into; where that does not work, as
    /// [`LiveMode::LongPoll`].
    Sse,
    /// Server-sent events for `text/*` and `application/json`, long-poll for other types.
    Auto,
}

impl LiveMode {
    /// The `live` parameter this mode asks for; `Auto` decides per stream.
    pub const fn to_query_value(self) -> Option<&'static str> {
        match self {
            Self::Off | Self::Auto => None,
            Self::LongPoll => Some(query::LONG_POLL),
            Self::Sse => Some(query::SSE),
        }
    }

    /// Whether the read waits for future data.
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Off)
    }
}

/// How to read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Where to start.
    pub offset: Offset,
    /// How to go on at the tail.
    pub live: LiveMode,
    /// Cursor of an earlier live read.
    pub cursor: Option<String>,
    /// How the stream's payload travels, if the caller knows; answers correct it.
    pub framing: Option<Framing>,
    /// Entity tag of data the caller already holds for `offset`; sent once.
    pub etag: Option<String>,
    /// Whether a live read from `now` first asks where that is, which an answer tells at once,
    /// and only then waits: for callers who want an answer before there is data.
    pub settle_now: bool,
    /// Whether a catch-up asks for the next part while the current one is still coming.
    /// At most one answer ahead. Off means: a part is fetched once the one before was taken.
    pub prefetch: bool,
    /// Answers of byte streams larger than this are handed out in pieces, of
    /// [`ReadOptions::PIECE_BYTES`] if this is more. Units: bytes.
    pub max_batch_bytes: usize,
    /// Whether batches of byte streams come in the pieces in which they arrived, `rest` after
    /// `data`: for callers who copy them into memory of their own, and need no copy before.
    pub vectored: bool,
    /// How often and how fast to repeat.
    pub retry: RetryPolicy,
    /// How much one SSE line and event may hold.
    pub sse: DecoderLimits,
    /// When server-sent events give way to long-poll.
    pub sse_fallback: SseFallback,
}

impl ReadOptions {
    /// Largest batch made from one answer of a byte stream. Well above what servers put into
    /// one answer, so the pieces of a stream end where answers end.
    pub const MAX_BATCH_BYTES: usize = 16 << 20;

    /// How much of an answer that is handed out in pieces is collected before a piece is: little
    /// enough to be in the processor's cache still when the caller gets it.
    pub const PIECE_BYTES: usize = 1 << 20;

    /// A read of everything that exists, or of everything for ever.
    pub fn new(offset: Offset, live: LiveMode) -> Self {
        Self {
            offset,
            live,
            cursor: None,
            framing: None,
            etag: None,
            settle_now: false,
            prefetch: !live.is_live(),
            max_batch_bytes: Self::MAX_BATCH_BYTES,
            vectored: false,
            retry: RetryPolicy::DEFAULT,
            sse: DecoderLimits::default(),
            sse_fallback: SseFallback::DEFAULT,
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self::new(Offset::Beginning, LiveMode::Off)
    }
}
