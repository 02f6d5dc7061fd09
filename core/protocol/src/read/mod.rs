//! The read machine: catch up, go live, stay live, stop at closure (protocol.md §10 to
//! §18, §25.1 to §25.3). It asks for requests and is told what came back; sockets, clocks
//! and randomness stay with the driver.
//!
//! Read next: [`machine`] for the rules, [`options`] for what a caller chooses; `events`
//! pairs SSE data with its control event, `pace` decides how soon to ask again.

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    Time,
    error::{ErrorCode, Facts},
    offset::Offset,
    request::RequestPlan,
    response::{Refusal, TransportFailure},
};

mod collect;
mod events;
pub mod fallback;
pub mod json;
pub mod machine;
pub mod options;
mod pace;
#[cfg(test)]
mod tests;

pub use fallback::{SseFallback, SseFallbackNumbers};
pub use machine::ReadMachine;
pub use options::{LiveMode, ReadOptions};

/// The driver's next move, from [`ReadMachine::poll`].
#[derive(Debug)]
pub enum Step {
    /// Open an exchange. Any exchange still open is over: drop it first.
    Send(Box<RequestPlan>),
    /// Open a second exchange and go on at once. When the current one is over, the next
    /// [`Step::AwaitReply`] means this one.
    SendAhead(Box<RequestPlan>),
    /// Report what the open exchange brings next: head, piece of body, end of body or failure.
    AwaitReply,
    /// Nothing to do before this moment.
    WaitUntil(Time),
    /// Hand this to the caller. Asking again is what "the caller took it" means.
    Emit(ReadEvent),
    /// The read is over; no request will follow.
    End,
}

/// What a read has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadEvent {
    /// The read went on, with data or without.
    Batch(Batch),
    /// A failure the machine will not repeat by itself. Nothing is lost: polling on asks
    /// again from the same offset.
    Failed(ReadFailure),
    /// For the log.
    Notice(Notice),
}

/// One answer, or one SSE data and control group: what came and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The bytes. Shape: on a JSON stream one JSON array, else plain bytes; empty when
    /// `is_empty`, except that a JSON stream says `[]`.
    pub data: Bytes,
    /// What follows `data`, of a byte stream read with [`ReadOptions::vectored`]; else empty.
    pub rest: Vec<Bytes>,
    /// Whether `data` is a JSON array; known once the stream's content type is.
    pub is_json: bool,
    /// Whether there is nothing to deliver: no byte, or no array element.
    pub is_empty: bool,
    /// Where to resume after this batch. The pieces of one answer larger than
    /// [`ReadOptions::max_batch_bytes`] all carry the offset before it, but the last.
    pub next_offset: Offset,
    /// Everything available has been read.
    pub up_to_date: bool,
    /// The stream is closed and this is its end.
    pub stream_closed: bool,
    /// Token to echo in the next live read.
    pub cursor: Option<String>,
    /// HTTP status of the answer.
    pub status: u16,
}

impl Batch {
    /// The bytes in their order: `data`, then `rest`.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.data).chain(&self.rest)
    }

    /// How many bytes there are. Units: bytes.
    pub fn byte_len(&self) -> usize {
        self.pieces().map(Bytes::len).sum()
    }
}

/// Why a read stopped for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFailure {
    /// What went wrong.
    pub cause: FailureCause,
    /// How many times in a row the request failed, this one included.
    pub attempts: u32,
}

/// What went wrong with a request of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureCause {
    /// The server answered, and refused or broke the protocol.
    Refused {
        /// What the answer means.
        refusal: Box<Refusal>,
        /// The answer's headers.
        headers: Box<HeaderMap>,
        /// The start of the answer's text, for people only.
        server_text: String,
    },
    /// No whole answer arrived.
    Transport(TransportFailure),
}

/// What happened on the way without stopping the read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// SSE does not work here; long-poll for the rest of the read.
    SseGivenUp {
        /// Why, for people.
        reason: &'static str,
    },
}

impl FailureCause {
    /// The code callers branch on.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused { refusal, .. } => refusal.code,
            Self::Transport(failure) => failure.kind.code(),
        }
    }

    /// An accepted answer turned out to break the protocol.
    fn broken(code: ErrorCode, status: u16, detail: impl Into<String>) -> Self {
        let facts = Facts { status: Some(status), ..Facts::default() };
        Self::Refused {
            refusal: Box::new(Refusal { code, facts, detail: detail.into() }),
            headers: Box::default(),
            server_text: String::new(),
        }
    }

    fn parse(status: u16, detail: impl Into<String>) -> Self {
        Self::broken(ErrorCode::ParseError, status, detail)
    }
}
