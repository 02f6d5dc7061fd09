//! Server-sent events (protocol.md §13).
//!
//! One small future per response produces frames; there is no task beside the
//! connection. Readers of one stream at the same position share one encoded frame.

use std::{
    borrow::Cow,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use durable_streams_protocol::{
    cursor::CursorClock,
    offset::Position,
    sse::{control::ControlEvent, encoder},
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{clock, service::LiveGuard};
use crate::engine::{
    Reader,
    types::{Change, ReadChunk, StreamInfo},
};

/// Most stored bytes per data event, unit boundaries permitting.
const MAX_EVENT: usize = 256 * 1024;
/// How often an idle connection shows a sign of life, for proxies that cut silent ones.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// What an SSE response needs to know.
pub(crate) struct SseResponse {
    /// The stream, positioned where the client asked.
    pub(crate) reader: Reader,
    /// Cursor of the request.
    pub(crate) client_cursor: Option<u64>,
    /// How cursors are numbered.
    pub(crate) cursor_clock: CursorClock,
    /// How long the response lasts.
    pub(crate) life: Duration,
    /// Frames shared with other readers.
    pub(crate) frames: Arc<FrameCache>,
    /// Sent before everything else; for tests of clients.
    pub(crate) prelude: Option<Bytes>,
    /// Counts this reader until the response ends.
    pub(crate) guard: LiveGuard,
}

/// The body of an SSE response.
pub(crate) struct SseBody {
    outlet: Outlet,
    run: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl SseBody {
    /// Starts a response.
    pub(crate) fn new(response: SseResponse) -> Self {
        let outlet = Outlet::default();
        Self { run: Some(Box::pin(run(response, outlet.clone()))), outlet }
    }

    /// The next frame; `None` ends the response.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(run) = &mut self.run else { return Poll::Ready(None) };
        let is_over = run.as_mut().poll(cx).is_ready();
        if is_over {
            self.run = None;
        }
        match self.outlet.0.lock().take() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if is_over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Where [`run`] leaves a frame for [`SseBody::poll_event`].
#[derive(Debug, Clone, Default)]
struct Outlet(Arc<Mutex<Option<Bytes>>>);

impl Outlet {
    /// Hands a frame over; resolves when the connection asks for the next one.
    async fn put(&self, frame: Bytes) {
        *self.0.lock() = Some(frame);
        let mut is_handed_over = false;
        // The one poll that follows a Pending is the connection asking for more, so no
        // waker is needed.
        poll_fn(|_| if std::mem::replace(&mut is_handed_over, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

async fn run(response: SseResponse, outlet: Outlet) {
    let SseResponse { mut reader, client_cursor, cursor_clock, life, frames, prelude, guard: _guard } = response;
    // Never below what the client holds, and the same for all readers that sent none.
    let least_cursor = cursor_clock.respond(client_cursor, clock::unix_seconds(), clock::entropy());
    let end = Instant::now() + life;
    let mut timer = std::pin::pin!(sleep_until(end.min(Instant::now() + KEEP_ALIVE_EVERY)));
    if let Some(prelude) = prelude {
        outlet.put(prelude).await;
    }
    let mut is_first = true;
    let mut was_silent = true;
    loop {
        loop {
            // A stream that fails or vanishes ends the response; the client comes back
            // and gets the reason as a status.
            let Ok(chunk) = reader.next(MAX_EVENT).await else { return };
            let says_something = is_first || !chunk.is_empty() || chunk.closed;
            if says_something {
                let cursor = least_cursor.max(cursor_clock.current(clock::unix_seconds()));
                outlet.put(frames.frame(reader.info(), &chunk, cursor)).await;
                (is_first, was_silent) = (false, false);
            }
            if chunk.closed {
                return;
            }
            if chunk.up_to_date {
                break;
            }
        }
        loop {
            tokio::select! {
                biased;
                change = reader.changed() => match change {
                    Change::Advanced => break,
                    Change::Removed | Change::SoftDeleted | Change::ShuttingDown => return,
                },
                () = &mut timer => {
                    if Instant::now() >= end {
                        return;
                    }
                    if std::mem::replace(&mut was_silent, true) {
                        outlet.put(KEEP_ALIVE).await;
                    }
                    timer.as_mut().reset(end.min(Instant::now() + KEEP_ALIVE_EVERY));
                }
            }
        }
    }
}

/// The last frame of recently active streams, so that many readers of one stream at
/// its tail cost one encoding.
#[derive(Debug)]
pub(crate) struct FrameCache {
    slots: [Mutex<Option<(FrameKey, Bytes)>>; 64],
}

/// Larger frames are not kept: together the slots stay below 16 MiB.
const MAX_KEPT: usize = 256 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameKey {
    incarnation: u64,
    from: Position,
    next: Position,
    cursor: u64,
    closed: bool,
}

impl Default for FrameCache {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| Mutex::new(None)) }
    }
}

impl FrameCache {
    /// The data event, if there is data, and its control event, as one frame.
    fn frame(&self, info: &StreamInfo, chunk: &ReadChunk, cursor: u64) -> Bytes {
        if chunk.is_empty() || !chunk.up_to_date {
            return encode(info, chunk, cursor);
        }
        let key = FrameKey {
            incarnation: info.incarnation,
            from: chunk.from,
            next: chunk.next,
            cursor,
            closed: chunk.closed,
        };
        // Held while encoding on purpose: the others waiting here want this very frame.
        let mut slot = self.slots[usize::from(info.incarnation.to_le_bytes()[0]) % self.slots.len()].lock();
        if let Some((_, frame)) = slot.as_ref().filter(|(kept, _)| *kept == key) {
            return frame.clone();
        }
        let frame = encode(info, chunk, cursor);
        *slot = (frame.len() <= MAX_KEPT).then(|| (key, frame.clone()));
        frame
    }
}

fn encode(info: &StreamInfo, chunk: &ReadChunk, cursor: u64) -> Bytes {
    let len = chunk.len();
    // Room for both events: base64 grows by a third, text by its line breaks.
    let mut frame = BytesMut::with_capacity(len + len / 3 + 192);
    encoder::encode_data(info.framing, &chunk.data, &mut frame);
    let token = chunk.next.token();
    let control = ControlEvent {
        next_offset: Cow::Borrowed(token.as_str()),
        // protocol.md §13.4: no cursor once the stream is closed.
        cursor: (!chunk.closed).then(|| Cow::Owned(cursor.to_string())),
        up_to_date: chunk.up_to_date,
        stream_closed: chunk.closed,
    };
    encoder::encode_control(&control, &mut frame);
    frame.freeze()
}
