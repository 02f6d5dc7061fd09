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

use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::Instant,
};

use super::{origin::Peer, site::Site};

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
        }
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
pub(crate) async fn serve_plain(socket: TcpStream, peer: Peer, site: Arc<Site>, stop: watch::Receiver<Phase>) {
    let Ok(Some(is_h2)) = tokio::time::timeout(CHECK_EVERY, starts_h2(&socket, stop.clone())).await else { return };
    let connection = Arc::new(Connection::new(peer));
    let wire = Wire { socket, connection: connection.clone() };
    if is_h2 {
        serve_h2(wire, connection, site, stop).await;
    } else {
        serve_h1(wire, connection, site, stop, true).await;
    }
}

/// Serves an encrypted connection after its handshake.
pub(crate) async fn serve_tls(
    socket: tokio_rustls::server::TlsStream<TcpStream>,
    peer: Peer,
    site: Arc<Site>,
    stop: watch::Receiver<Phase>,
) {
    let is_h2 = socket.get_ref().1.alpn_protocol() == Some(b"h2");
    let connection = Arc::new(Connection::new(peer));
    let wire = Wire { socket: Box::new(socket), connection: connection.clone() };
    if is_h2 {
        serve_h2(wire, connection, site, stop).await;
    } else {
        // Hanging up shows as TLS records, which only reading tells from data.
        serve_h1(wire, connection, site, stop, false).await;
    }
}

/// Looks at the first bytes without taking them; `None` when the client leaves first.
async fn starts_h2(socket: &TcpStream, mut stop: watch::Receiver<Phase>) -> Option<bool> {
    let mut start = [0; H2_PREFACE_START.len()];
    loop {
        let seen = tokio::select! {
            seen = socket.peek(&mut start) => seen.ok().filter(|len| *len > 0)?,
            _ = stop.wait_for(|phase| *phase != Phase::Running) => return None,
        };
        if start[..seen] != H2_PREFACE_START[..seen] {
            return Some(false);
        }
        if seen == start.len() {
            return Some(true);
        }
        // The preface arrived in crumbs; readiness cannot tell when more comes.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn serve_h1<S: Socket>(
    wire: Wire<S>,
    connection: Arc<Connection>,
    site: Arc<Site>,
    stop: watch::Receiver<Phase>,
    half_close: bool,
) {
    let shared = connection.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (site, connection) = (site.clone(), shared.clone());
        connection.requests.fetch_add(1, Ordering::Relaxed);
        async move { site.handle(&connection, request).await }
    });
    let served = http1::Builder::new()
        .half_close(half_close)
        .auto_date_header(true)
        .serve_connection(TokioIo::new(wire), service);
    drive(std::pin::pin!(served), |served| served.graceful_shutdown(), &connection, stop).await;
}

async fn serve_h2<S: Socket>(
    wire: Wire<S>,
    connection: Arc<Connection>,
    site: Arc<Site>,
    stop: watch::Receiver<Phase>,
) {
    let shared = connection.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (site, connection) = (site.clone(), shared.clone());
        connection.requests.fetch_add(1, Ordering::Relaxed);
        async move { site.handle(&connection, request).await }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_H2_STREAMS)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .keep_alive_interval(CHECK_EVERY)
        .serve_connection(TokioIo::new(wire), service);
    drive(std::pin::pin!(served), |served| served.graceful_shutdown(), &connection, stop).await;
}

/// Polls a connection to its end, closing it when it is idle, blocked, or the server stops.
async fn drive<C, E>(
    mut served: Pin<&mut C>,
    close: impl Fn(Pin<&mut C>),
    connection: &Connection,
    mut stop: watch::Receiver<Phase>,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut check = std::pin::pin!(tokio::time::sleep(CHECK_EVERY));
    let (mut requests_before, mut idle_checks, mut blocked_checks) = (0, 0, 0);
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, peer = %connection.peer.ip, "connection broke");
                }
                return;
            }
            phase = stop.wait_for(|phase| if is_closing { *phase == Phase::Killed } else { *phase != Phase::Running }) => {
                match phase.map(|phase| *phase) {
                    Ok(Phase::Running | Phase::Draining) => {
                        is_closing = true;
                        close(served.as_mut());
                    }
                    // The server is gone altogether when the sender is.
                    Ok(Phase::Killed) | Err(_) => return,
                }
            }
            () = check.as_mut() => {
                let requests = connection.requests.load(Ordering::Relaxed);
                if requests == 0 {
                    return;
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
                    return;
                }
                check.as_mut().reset(Instant::now() + CHECK_EVERY);
            }
        }
    }
}

/// A socket that tells its connection when writing is blocked and when the client hangs
/// up during a live read.
#[derive(Debug)]
struct Wire<S> {
    socket: S,
    connection: Arc<Connection>,
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

impl<S: Socket> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: Socket> Wire<S> {
    fn note_blocked<T>(&self, polled: Poll<T>) -> Poll<T> {
        let is_blocked = polled.is_pending();
        if is_blocked != self.connection.is_write_blocked.load(Ordering::Relaxed) {
            self.connection.is_write_blocked.store(is_blocked, Ordering::Relaxed);
        }
        polled
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
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
