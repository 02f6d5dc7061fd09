//! Live readers: plain sockets that follow one stream from its beginning, check every
//! message, and resume from the last confirmed offset as any client does.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use durable_streams::{Client, LiveMode};
use durable_streams_protocol::{
    offset::BEGINNING,
    query,
    sse::{
        control::ControlEvent,
        decoder::{Decoder, DecoderLimits, EventKind},
    },
};
use tokio::sync::Semaphore;

use crate::{ledger::Ledger, load::stream_path, message::follow, wire::Wire};

/// How a reader ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its live answer ended as an answer should.
    Answered,
    /// It left before the server stopped, with all messages.
    Left,
}

/// A reader and where it is.
pub(crate) struct Reader {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) server: SocketAddr,
    /// Number of the reader; names its stream.
    pub(crate) index: usize,
    /// Connections are opened so many at once.
    pub(crate) gate: Arc<Semaphore>,
}

impl Reader {
    /// Follows the stream until the server stops.
    /// Errors: an answer that broke off or was refused, or a message that was not due.
    pub(crate) async fn run(self) -> Result<End, String> {
        let is_sse = self.ledger.mode_of(self.index) == LiveMode::Sse;
        let path = stream_path(self.ledger.stream_of(self.index));
        let ended = if is_sse { self.events(&path).await } else { self.long_polls(&path).await };
        ended.map_err(|failure| format!("reader {} of {path}: {failure}", self.index))
    }

    async fn first(&self, target: &str) -> io::Result<Wire> {
        let _turn = self.gate.acquire().await;
        let mut wire = Wire::open(self.server).await?;
        wire.ask(target).await?;
        self.ledger.connected.fetch_add(1, Ordering::Relaxed);
        Ok(wire)
    }

    async fn events(&self, path: &str) -> Result<End, String> {
        let target = |offset: &str| format!("{path}?{}={offset}&{}={}", query::OFFSET, query::LIVE, query::SSE);
        let (mut offset, mut confirmed) = (BEGINNING.to_owned(), 0);
        let mut wire = self.first(&target(&offset)).await.map_err(text)?;
        loop {
            let head = wire.head().await.map_err(text)?;
            if head.status != 200 {
                return Err(format!("status {}", head.status));
            }
            let (mut decoder, mut due) = (Decoder::new(DecoderLimits::default()), confirmed);
            while let Some(piece) = wire.piece().await.map_err(text)? {
                decoder.feed(piece);
                while let Some(event) = decoder.next_event() {
                    let event = event.map_err(|error| error.to_string())?;
                    match event.kind {
                        EventKind::Data => due = follow(due, &event.data)?,
                        EventKind::Control => {
                            let control = ControlEvent::parse(&event.data).map_err(|error| error.to_string())?;
                            (offset, confirmed) = (control.next_offset.into_owned(), due);
                            self.ledger.set_delivered(self.index, confirmed);
                        }
                    }
                }
            }
            if self.ledger.is_draining() {
                return Ok(End::Answered);
            }
            self.ledger.reconnects.fetch_add(1, Ordering::Relaxed);
            wire.ask(&target(&offset)).await.map_err(text)?;
        }
    }

    async fn long_polls(&self, path: &str) -> Result<End, String> {
        let target = |offset: &str, cursor: &str| {
            let live = query::LONG_POLL;
            format!("{path}?{}={offset}&{}={live}{cursor}", query::OFFSET, query::LIVE)
        };
        let (mut due, mut body) = (0, Vec::new());
        let mut wire = self.first(&target(BEGINNING, "")).await.map_err(text)?;
        loop {
            let head = wire.head().await.map_err(text)?;
            body.clear();
            while let Some(piece) = wire.piece().await.map_err(text)? {
                body.extend_from_slice(&piece);
            }
            match head.status {
                200 => due = follow(due, &body)?,
                204 => {}
                other => return Err(format!("status {other}")),
            }
            self.ledger.set_delivered(self.index, due);
            if self.ledger.is_draining() {
                return Ok(End::Answered);
            }
            let offset = head.next_offset.ok_or("an answer without an offset")?;
            let cursor = head.cursor.map(|cursor| format!("&{}={cursor}", query::CURSOR)).unwrap_or_default();
            wire.ask(&target(&offset, &cursor)).await.map_err(text)?;
        }
    }
}

/// A reader of the Rust client; leaves before the server stops, since it would only try to
/// reach it again.
pub(crate) async fn with_client(ledger: Arc<Ledger>, client: Client, index: usize) -> Result<End, String> {
    let stream = ledger.stream_of(index);
    let failed = |failure: String| format!("client reader {index} of stream {stream}: {failure}");
    let handle = client.stream(&crate::load::stream_name(stream));
    let reader = handle.read().live_mode(ledger.mode_of(index)).build();
    let mut reader = reader.map_err(|error| failed(error.to_string()))?;
    ledger.connected.fetch_add(1, Ordering::Relaxed);
    let mut due = 0;
    loop {
        let next = tokio::select! {
            next = reader.next_chunk() => next,
            () = ledger.draining() => return Ok(End::Left),
        };
        match next {
            Ok(Some(chunk)) => due = follow(due, &chunk.data).map_err(failed)?,
            Ok(None) => return Err(failed("the read ended, and nobody closed the stream".to_owned())),
            Err(error) => return Err(failed(error.to_string())),
        }
        ledger.set_delivered(index, due);
    }
}

fn text(error: io::Error) -> String {
    error.to_string()
}
