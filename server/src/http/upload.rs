//! Taking in a request body, up to the limit.

use std::{
    future::poll_fn,
    pin::Pin,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Version, header, request::Parts};
use http_body::Body as _;
use tokio::time::timeout;

use super::request_body::RequestBody;

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
pub(crate) async fn collect(body: RequestBody, request: &Parts, limit: u64) -> Result<Bytes, UploadError> {
    let mut body = Pieces { body, is_multiplexed: request.version == Version::HTTP_2 };
    let announced = body.body.size_hint().exact();
    if announced.is_some_and(|len| len > limit) {
        // A client that waits for "100 Continue" has sent nothing yet.
        if !request.headers.contains_key(header::EXPECT) {
            drain(body, DRAIN).await;
        }
        return Err(UploadError::TooLarge { limit });
    }
    let Some(first) = body.next().await? else { return Ok(Bytes::new()) };
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
        match body.next().await? {
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

/// A body, piece by piece.
struct Pieces {
    body: RequestBody,
    /// HTTP/2: nobody but a timer looks again at a body that stalls.
    is_multiplexed: bool,
}

impl Pieces {
    /// The next data; `None` at the end. Trailers are skipped.
    async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        if self.is_multiplexed {
            return timeout(PAUSE, self.arriving()).await.unwrap_or(Err(UploadError::Stalled));
        }
        self.arriving().await
    }

    /// HTTP/1: the first look nearly always finds the body on its way, so no timer is
    /// set for it; the connection looks again at least every 30 s (`connection::drive`).
    async fn arriving(&mut self) -> Result<Option<Bytes>, UploadError> {
        let mut waiting_since = None;
        loop {
            let frame = poll_fn(|cx| {
                let polled = Pin::new(&mut self.body).poll_frame(cx);
                if polled.is_pending() && waiting_since.get_or_insert_with(Instant::now).elapsed() > PAUSE {
                    return Poll::Ready(Err(UploadError::Stalled));
                }
                polled.map(Ok)
            });
            match frame.await? {
                None => return Ok(None),
                Some(Err(_)) => return Err(UploadError::Broken),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.has_remaining() => return Ok(Some(data)),
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }
}

/// Reads and drops up to `most` bytes.
async fn drain(mut body: Pieces, most: u64) {
    let mut dropped = 0;
    while dropped < most {
        match body.next().await {
            Ok(Some(piece)) => dropped += piece.len() as u64,
            Ok(None) | Err(_) => return,
        }
    }
}
