//! Listening: sockets, TLS, the connection limit, and stopping in order.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};
use tokio_rustls::TlsAcceptor;

use super::{
    connection::{Connection, Phase, Shared, serve_plain, serve_tls},
    origin::Peer,
    site::Site,
};
use crate::metrics::Metrics;

/// Connections waiting to be accepted.
const BACKLOG: i32 = 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a client over the connection limit gets.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; \
charset=utf-8\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: \
cross-origin\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 49\r\nConnection: close\r\n\r\n\
the server holds its limit of connections; retry\n";

/// Opens the sockets of a host and port, one per address family the host has. With the
/// unspecified IPv4 address the IPv6 one is opened too, because `localhost` may resolve there.
/// Units: port 0 takes a free one, the same for all.
/// Errors: the address is taken, not local, or the name does not resolve.
pub(crate) async fn bind(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses: Vec<IpAddr> = match bare {
        // Both families, whatever the resolver knows.
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        _ => tokio::net::lookup_host((bare, port)).await?.map(|address| address.ip()).collect(),
    };
    if addresses == [IpAddr::V4(Ipv4Addr::UNSPECIFIED)] {
        addresses.push(Ipv6Addr::UNSPECIFIED.into());
    }
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup_by_key(|ip| ip.is_ipv6());
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut first_error = None;
    for ip in addresses {
        let port = listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(port, |bound| bound.port());
        match bind_one(SocketAddr::new(ip, port)) {
            Ok(listener) => listeners.push(listener),
            // The other family is welcome but not required.
            Err(error) if !listeners.is_empty() => tracing::warn!(%ip, port, %error, "not listening here, too"),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    if listeners.is_empty() {
        return Err(first_error.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")));
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What all listeners of a server share.
#[derive(Debug)]
pub(crate) struct Gate {
    open: AtomicUsize,
    max_connections: usize,
    all_closed: Notify,
    metrics: Arc<Metrics>,
}

impl Gate {
    /// A gate that admits so many connections at once.
    pub(crate) fn new(max_connections: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), max_connections, all_closed: Notify::new(), metrics })
    }

    /// Resolves once no connection is open.
    pub(crate) async fn closed(&self) {
        loop {
            let notified = self.all_closed.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }

    fn enter(self: &Arc<Self>) -> Option<Ticket> {
        let ticket = Ticket { gate: self.clone(), _gauge: self.metrics.connection() };
        (self.open.fetch_add(1, Ordering::AcqRel) < self.max_connections).then_some(ticket)
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Ticket {
    gate: Arc<Gate>,
    _gauge: crate::metrics::GaugeGuard,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.gate.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gate.all_closed.notify_waiters();
        }
    }
}

/// Accepts connections until the server stops.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    gate: Arc<Gate>,
    mut stop: watch::Receiver<Phase>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|phase| *phase != Phase::Running) => return,
        };
        let (socket, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Aborted handshakes concern one client; the rest is a shortage that passes.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    tracing::warn!(%error, "cannot accept connections for the moment");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        // Small answers must not wait for more to send.
        let _ = socket.set_nodelay(true);
        let Some(ticket) = gate.enter() else {
            tokio::spawn(turn_away(socket));
            continue;
        };
        let local = socket.local_addr().unwrap_or_else(|_| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        let peer = Peer { ip: remote.ip(), local, is_tls: tls.is_some() };
        let shared = Shared {
            connection: Arc::new(Connection::new(peer)),
            site: site.clone(),
            stop: stop.clone(),
            _ticket: ticket,
        };
        match &tls {
            None => {
                tokio::spawn(serve_plain(socket, shared));
            }
            Some(tls) => {
                let handshake = tls.accept(socket);
                tokio::spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                        Ok(Ok(socket)) => serve_tls(socket, shared).await,
                        Ok(Err(error)) => tracing::debug!(%error, peer = %peer.ip, "TLS handshake failed"),
                        Err(_) => tracing::debug!(peer = %peer.ip, "TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

/// Tells a client over the limit to come back, as far as it listens.
async fn turn_away(mut socket: TcpStream) {
    let farewell = async {
        // Reading first keeps the answer from being lost to a reset.
        let _ = socket.readable().await;
        let _ = socket.try_read(&mut [0; 4096]);
        let _ = socket.write_all(TOO_MANY).await;
        let _ = socket.shutdown().await;
        let _ = socket.readable().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farewell_announces_its_length() {
        let text = std::str::from_utf8(TOO_MANY).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }

    #[tokio::test]
    async fn port_zero_is_the_same_on_both_address_families() {
        let listeners = bind("127.0.0.1", 0).await.expect("a free port");
        assert_eq!(listeners.len(), 1);
        assert_ne!(listeners[0].local_addr().expect("bound").port(), 0);
    }
}
