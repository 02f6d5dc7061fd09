//! Taking in a request body, up to the limit.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

/// How long a client may pause within a body.
const PAUSE: Duration = Duration::from_secs(30);
/// How much of a body over the limit is read and dropped, so that the client gets to
/// read its 413 instead of a connection reset. Units: bytes.
const DRAIN: u64 = 64 * 1024 * 1024;
/// First buffer of a body whose length is announced; announcing costs a client nothing.
const FIRST_BUFFER: usize = 1024 * 1024;
/// Pieces up to here may be much smaller than the buffer they arrived in. Units: bytes.
const SMALL: usize = 64 * 1024;

/// Why a body was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadError {
    /// 413: the body is longer than the limit. Units: bytes.
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The client went away or broke the framing; there is nobody to answer.
    Broken,
    /// 408: the client paused for too long.
    Stalled,
}

/// Reads a body to its end.
/// Units: `limit` in bytes, inclusive.
pub(crate) async fn collect(mut body: Incoming, headers: &HeaderMap, limit: u64) -> Result<Bytes, UploadError> {
    let announced = body.size_hint().exact();
    if announced.is_some_and(|len| len > limit) {
        // A client that waits for "100 Continue" has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            drain(body, DRAIN).await;
        }
        return Err(UploadError::TooLarge { limit });
    }
    let Some(first) = next_piece(&mut body).await? else { return Ok(Bytes::new()) };
    if announced == Some(first.len() as u64) {
        return Ok(detached(first));
    }
    let capacity = announced.map_or(0, |len| usize::try_from(len).unwrap_or(FIRST_BUFFER)).min(FIRST_BUFFER);
    let mut whole = BytesMut::with_capacity(capacity.max(2 * first.len()));
    let mut piece = first;
    loop {
        if whole.len() as u64 + piece.len() as u64 > limit {
            drain(body, DRAIN).await;
            return Err(UploadError::TooLarge { limit });
        }
        whole.extend_from_slice(&piece);
        match next_piece(&mut body).await? {
            Some(next) => piece = next,
            None => return Ok(whole.freeze()),
        }
    }
}

/// The piece in memory of its own. As it arrives it holds on to the connection's whole
/// read buffer, which would multiply what the newest data of a stream costs in memory.
fn detached(piece: Bytes) -> Bytes {
    if piece.len() <= SMALL { Bytes::copy_from_slice(&piece) } else { piece }
}

/// The next data of a body; `None` at its end. Trailers are skipped.
async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, UploadError> {
    loop {
        match tokio::time::timeout(PAUSE, body.frame()).await {
            Err(_) => return Err(UploadError::Stalled),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(UploadError::Broken),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.has_remaining() => return Ok(Some(data)),
                Ok(_) | Err(_) => {}
            },
        }
    }
}

/// Reads and drops up to `most` bytes.
async fn drain(mut body: Incoming, most: u64) {
    let mut dropped = 0;
    while dropped < most {
        match next_piece(&mut body).await {
            Ok(Some(piece)) => dropped += piece.len() as u64,
            Ok(None) | Err(_) => return,
        }
    }
}
