//! One connection: HTTP/1.1 or HTTP/2, from the first byte to the last.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::Instant,
};

use super::{
    answer::Answer, listener::Ticket, live, origin::Peer, request_body::RequestBody, service::Dropped, site::Site,
};

/// How far the server has got in stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// Answering what was asked, then closing.
    Draining,
    /// Out of patience.
    Killed,
}

/// What requests and the connection under them tell each other.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Both ends.
    pub(crate) peer: Peer,
    requests: AtomicU64,
    live_reads: AtomicUsize,
    is_write_blocked: AtomicBool,
    had_body: AtomicBool,
}

/// What a connection holds on to, whoever serves it at the moment.
pub(super) struct Shared {
    pub(super) connection: Arc<Connection>,
    pub(super) site: Arc<Site>,
    pub(super) stop: watch::Receiver<Phase>,
    /// Counts the connection until dropped.
    pub(super) _ticket: Ticket,
}

/// Who serves a plain HTTP/1.1 connection next.
pub(super) enum Transition {
    /// The general HTTP machine; `unread` comes before what the socket gives.
    General {
        /// The socket.
        socket: TcpStream,
        /// Read but not yet served.
        unread: Bytes,
        /// Whether live reads may be taken out again.
        may_take_live: bool,
    },
    /// [`live::serve`], with the head of a live read.
    Live {
        /// The socket.
        socket: TcpStream,
        /// The request's head.
        head: Bytes,
    },
}

/// How often a connection checks on itself; also how long a client may take to send its
/// first request.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// Checks without a new request until a connection is closed as idle.
const IDLE_CHECKS: u32 = 6;
/// Checks in a row that find a client not reading until it is cut off.
const BLOCKED_CHECKS: u32 = 3;
/// Streams one HTTP/2 connection may have open.
const MAX_H2_STREAMS: u32 = 1000;
/// First bytes of an HTTP/2 connection; no HTTP/1 method starts like this.
const H2_PREFACE_START: &[u8] = b"PRI ";

impl Connection {
    /// A connection without requests.
    pub(crate) const fn new(peer: Peer) -> Self {
        Self {
            peer,
            requests: AtomicU64::new(0),
            live_reads: AtomicUsize::new(0),
            is_write_blocked: AtomicBool::new(false),
            had_body: AtomicBool::new(false),
        }
    }

    /// Notes that a request has arrived.
    pub(super) fn note_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a live read until the guard is dropped: meanwhile a client that hangs up is
    /// noticed at once, not at the next write.
    pub(crate) fn live_read(self: &Arc<Self>) -> LiveRead {
        self.live_reads.fetch_add(1, Ordering::Relaxed);
        LiveRead(self.clone())
    }
}

/// A live read in progress on a connection.
#[derive(Debug)]
pub(crate) struct LiveRead(Arc<Connection>);

impl Drop for LiveRead {
    fn drop(&mut self) {
        self.0.live_reads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a plain connection: HTTP/1.1, or HTTP/2 when the client starts with its preface.
pub(super) async fn serve_plain(socket: TcpStream, shared: Shared) {
    let begun = tokio::time::timeout(CHECK_EVERY, first_bytes(&socket, shared.stop.clone())).await;
    let Ok(Some(unread)) = begun else { return };
    if unread.starts_with(H2_PREFACE_START) {
        let wire = Wire::new(socket, shared.connection.clone(), unread);
        return serve_h2(wire, shared).await;
    }
    if live::is_live_request(&unread) {
        return transition(shared, Transition::Live { socket, head: unread });
    }
    general(socket, unread, true, shared).await;
}

/// Goes on in a task of its own, whose size is that of the serving to come.
pub(super) fn transition(shared: Shared, next: Transition) {
    match next {
        Transition::General { socket, unread, may_take_live } => {
            tokio::spawn(general(socket, unread, may_take_live, shared));
        }
        Transition::Live { socket, head } => {
            let mut stop = shared.stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    // A server that is let go has told its live reads to end: they do so properly.
                    biased;
                    () = live::serve(socket, head, shared) => {}
                    // One of several sockets of an engine was closed: the engine goes on, so
                    // nothing else would wake this reader.
                    _ = stop.wait_for(|phase| *phase == Phase::Killed) => {}
                }
            });
        }
    }
}

/// Serves an encrypted connection after its handshake.
pub(super) async fn serve_tls(socket: tokio_rustls::server::TlsStream<TcpStream>, shared: Shared) {
    let is_h2 = socket.get_ref().1.alpn_protocol() == Some(b"h2");
    let wire = Wire::new(Box::new(socket), shared.connection.clone(), Bytes::new());
    if is_h2 {
        serve_h2(wire, shared).await;
    } else {
        // Hanging up shows as TLS records, which only reading tells from data.
        let served = h1(wire, &shared, false);
        drive(std::pin::pin!(served), |served| served.graceful_shutdown(), &shared).await;
    }
}

/// The first bytes, enough to tell HTTP/2; `None` when the client leaves first.
async fn first_bytes(socket: &TcpStream, mut stop: watch::Receiver<Phase>) -> Option<Bytes> {
    let mut start = Vec::new();
    loop {
        tokio::select! {
            ready = socket.readable() => ready.ok()?,
            _ = stop.wait_for(|phase| *phase != Phase::Running) => return None,
        }
        start.reserve(live::MAX_HEAD);
        match socket.try_read_buf(&mut start) {
            Ok(0) => return None,
            Ok(_) if start.len() < H2_PREFACE_START.len() && H2_PREFACE_START.starts_with(&start) => {}
            Ok(_) => return Some(start.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

/// Serves HTTP/1.1 with the general machine, until the connection ends or a live read
/// comes.
async fn general(socket: TcpStream, unread: Bytes, may_take_live: bool, shared: Shared) {
    let mut wire = Wire::new(socket, shared.connection.clone(), unread);
    wire.may_take_live = may_take_live && shared.site.only_streams().is_some();
    let mut served = h1(wire, &shared, true);
    if !drive(Pin::new(&mut served), |served| served.graceful_shutdown(), &shared).await {
        return;
    }
    let wire = served.into_parts().io.into_inner();
    if let Some(head) = wire.taken {
        transition(shared, Transition::Live { socket: wire.socket, head });
    }
}

fn h1<S: Socket>(
    wire: Wire<S>,
    shared: &Shared,
    half_close: bool,
) -> http1::Connection<
    TokioIo<Wire<S>>,
    impl Service<http::Request<Incoming>, Response = Answer, Error = Dropped, Future: Send> + Send,
> {
    let (site, connection) = (shared.site.clone(), shared.connection.clone());
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (site, connection) = (site.clone(), connection.clone());
        connection.note_request();
        if !request.body().is_end_stream() {
            connection.had_body.store(true, Ordering::Relaxed);
        }
        async move { site.handle(&connection, request.map(RequestBody::Wire)).await }
    });
    // Without pipeline_flush, which would copy large bodies into one buffer first.
    http1::Builder::new().half_close(half_close).auto_date_header(true).serve_connection(TokioIo::new(wire), service)
}

async fn serve_h2<S: Socket>(wire: Wire<S>, shared: Shared) {
    let (site, connection) = (shared.site.clone(), shared.connection.clone());
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (site, connection) = (site.clone(), connection.clone());
        connection.note_request();
        async move { site.handle(&connection, request.map(RequestBody::Wire)).await }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_H2_STREAMS)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .keep_alive_interval(CHECK_EVERY)
        .serve_connection(TokioIo::new(wire), service);
    drive(std::pin::pin!(served), |served| served.graceful_shutdown(), &shared).await;
}

/// Polls a connection to its end, closing it when it is idle, blocked, or the server stops.
/// Tells whether it ended properly.
async fn drive<C, E>(mut served: Pin<&mut C>, close: impl Fn(Pin<&mut C>), shared: &Shared) -> bool
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let connection = &*shared.connection;
    let mut stop = shared.stop.clone();
    let mut check = std::pin::pin!(tokio::time::sleep(CHECK_EVERY));
    let (mut requests_before, mut idle_checks, mut blocked_checks) = (0, 0, 0);
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            ended = served.as_mut() => {
                if let Err(error) = &ended {
                    tracing::debug!(%error, peer = %connection.peer.ip, "connection broke");
                }
                return ended.is_ok();
            }
            phase = stop.wait_for(|phase| if is_closing { *phase == Phase::Killed } else { *phase != Phase::Running }) => {
                match phase.map(|phase| *phase) {
                    Ok(Phase::Running | Phase::Draining) => {
                        is_closing = true;
                        close(served.as_mut());
                    }
                    // The server is gone altogether when the sender is.
                    Ok(Phase::Killed) | Err(_) => return false,
                }
            }
            () = check.as_mut() => {
                let requests = connection.requests.load(Ordering::Relaxed);
                if requests == 0 {
                    return false;
                }
                let is_busy = requests != requests_before || connection.live_reads.load(Ordering::Relaxed) > 0;
                idle_checks = if is_busy { 0 } else { idle_checks + 1 };
                requests_before = requests;
                if idle_checks == IDLE_CHECKS {
                    // An answer still under way is finished first.
                    close(served.as_mut());
                }
                let is_blocked = connection.is_write_blocked.load(Ordering::Relaxed);
                blocked_checks = if is_blocked { blocked_checks + 1 } else { 0 };
                if blocked_checks == BLOCKED_CHECKS {
                    tracing::debug!(peer = %connection.peer.ip, "client does not read; connection cut");
                    return false;
                }
                check.as_mut().reset(Instant::now() + CHECK_EVERY);
            }
        }
    }
}

/// A socket that tells its connection when writing is blocked and when the client hangs
/// up during a live read, and that keeps the heads of live reads to itself.
#[derive(Debug)]
struct Wire<S> {
    socket: S,
    connection: Arc<Connection>,
    /// Comes before what the socket gives.
    unread: Bytes,
    /// Whether every byte so far was part of whole requests without a body, so that the
    /// next one starts a request. Nothing is taken otherwise: bytes of a body or of half
    /// a head must never be read as a request.
    is_at_boundary: bool,
    /// Whether heads of live reads are taken.
    may_take_live: bool,
    /// The head that was taken. The reader is told that the connection has ended.
    taken: Option<Bytes>,
}

/// What a [`Wire`] wraps.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The bare socket, when looking at it tells that the client hung up.
    fn bare(&self) -> Option<&TcpStream>;
}

impl Socket for TcpStream {
    fn bare(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Socket for Box<tokio_rustls::server::TlsStream<TcpStream>> {
    fn bare(&self) -> Option<&TcpStream> {
        None
    }
}

impl<S: Socket> Wire<S> {
    const fn new(socket: S, connection: Arc<Connection>, unread: Bytes) -> Self {
        Self { socket, connection, unread, is_at_boundary: true, may_take_live: false, taken: None }
    }

    fn note_blocked<T>(&self, polled: Poll<T>) -> Poll<T> {
        let is_blocked = polled.is_pending();
        if is_blocked != self.connection.is_write_blocked.load(Ordering::Relaxed) {
            self.connection.is_write_blocked.store(is_blocked, Ordering::Relaxed);
        }
        polled
    }

    /// Whether the bytes just read are a live read to be taken.
    fn takes(&mut self, read: &[u8]) -> bool {
        if !self.may_take_live {
            return false;
        }
        self.is_at_boundary &= !self.connection.had_body.load(Ordering::Relaxed);
        if self.is_at_boundary && live::is_live_request(read) {
            return true;
        }
        self.is_at_boundary &= read.is_empty() || live::is_one_head(read);
        false
    }
}

impl<S: Socket> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.taken.is_some() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if this.unread.is_empty() {
            std::task::ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        } else {
            let len = this.unread.len().min(buf.remaining());
            buf.put_slice(&this.unread[..len]);
            this.unread.advance(len);
        }
        if this.takes(&buf.filled()[before..]) {
            this.taken = Some(Bytes::copy_from_slice(&buf.filled()[before..]));
            buf.set_filled(before);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.note_blocked(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.note_blocked(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The HTTP/1 machine does not read while an answer is under way when clients may
        // half-close, but it flushes on every turn.
        if self.connection.live_reads.load(Ordering::Relaxed) > 0
            && let Some(socket) = self.socket.bare()
            && let Poll::Ready(Ok(0) | Err(_)) = socket.poll_peek(cx, &mut ReadBuf::new(&mut [0]))
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The general machine thinks the connection has ended; it goes on elsewhere.
        if self.taken.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
