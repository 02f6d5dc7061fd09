//! Passing one answer on, whole or not.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Shared,
    http1::{Framing, Head, Peer},
    rule::{How, Point},
};

/// How an exchange ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Everything was passed on.
    Whole,
    /// The fault ended it.
    Faulted,
    /// The client went away.
    ClientGone,
    /// The server broke off.
    ServerGone,
}

/// What an answer looks like on its way to the client.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    /// It ends or stops here.
    pub(super) stop: Option<(Point, Stop)>,
    /// The rule that the stop belongs to.
    pub(super) rule: Option<u64>,
    /// So many bytes at a time, with a pause between.
    pub(super) trickle: Option<(usize, Duration)>,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    /// The connection ends.
    Cut(How),
    /// Nothing comes for a while, or ever.
    Stall(Option<Duration>),
}

/// Writes to one client, and does what the shape says at its point.
struct Writer<'w> {
    shared: &'w Shared,
    shape: Shape,
    /// Bytes until the stop, while it lies ahead.
    until_stop: Option<usize>,
}

impl Told {
    /// For people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Faulted => "ended by the fault",
            Self::ClientGone => "the client went away",
            Self::ServerGone => "the server broke off",
        }
    }
}

impl Writer<'_> {
    async fn write(&mut self, client: &mut Option<Peer>, mut piece: Bytes) -> Told {
        match self.until_stop {
            Some(left) if left > piece.len() => self.until_stop = Some(left - piece.len()),
            Some(left) => {
                let before = piece.split_to(left);
                self.until_stop = None;
                let told = self.put(client, &before).await;
                if told != Told::Whole {
                    return told;
                }
                // Before the client can know: whoever asks it has heard of this.
                if let Some(rule) = self.shape.rule {
                    self.shared.fire(rule);
                }
                let told = self.stop(client).await;
                if told != Told::Whole {
                    return told;
                }
            }
            None => {}
        }
        self.put(client, &piece).await
    }

    async fn put(&self, client: &mut Option<Peer>, bytes: &[u8]) -> Told {
        let Some(peer) = client.as_mut() else { return Told::ClientGone };
        match put(&mut peer.socket, bytes, self.shape.trickle).await {
            Ok(()) => Told::Whole,
            Err(_) => Told::ClientGone,
        }
    }

    async fn stop(&self, client: &mut Option<Peer>) -> Told {
        match self.shape.stop {
            Some((_, Stop::Cut(how))) => {
                hang_up(self.shared, client, how).await;
                Told::Faulted
            }
            Some((_, Stop::Stall(span))) => {
                let Some(peer) = client.as_mut() else { return Told::ClientGone };
                if stays(peer, span).await { Told::Whole } else { Told::ClientGone }
            }
            None => Told::Whole,
        }
    }
}

/// Passes an answer on as it comes.
pub(super) async fn relay(
    shared: &Shared,
    server: &mut Peer,
    head: &Head,
    mut framing: Framing,
    client: &mut Option<Peer>,
    shape: Shape,
) -> Told {
    let until_stop = shape.stop.map(|(point, _)| match point {
        Point::Head(bytes) => bytes.min(head.raw.len()),
        Point::Body(bytes) => head.raw.len() + bytes,
    });
    let mut writer = Writer { shared, shape, until_stop };
    let mut piece = head.raw.clone();
    let told = loop {
        let told = writer.write(client, piece).await;
        let Some(peer) = client.as_mut().filter(|_| told == Told::Whole) else { break told };
        piece = tokio::select! {
            piece = server.piece(&mut framing) => match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => break Told::Whole,
                Err(_) => break Told::ServerGone,
            },
            () = gone(peer) => break Told::ClientGone,
        };
    };
    if told != Told::Whole || framing == Framing::UntilClose {
        hang_up(shared, client, How::Close).await;
    }
    told
}

/// Writes bytes, few at a time if asked.
pub(super) async fn put(socket: &mut TcpStream, bytes: &[u8], trickle: Option<(usize, Duration)>) -> io::Result<()> {
    let Some((few, pause)) = trickle else {
        return socket.write_all(bytes).await;
    };
    for piece in bytes.chunks(few.max(1)) {
        socket.write_all(piece).await?;
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

/// Ends a connection in this way.
pub(super) async fn hang_up(shared: &Shared, client: &mut Option<Peer>, how: How) {
    let Some(mut peer) = client.take() else { return };
    match how {
        // The client may be gone already, which is as good.
        How::Close => drop(peer.socket.shutdown().await),
        How::Reset => drop(peer.socket.set_zero_linger()),
        How::Silence => shared.silent.lock().push(peer.socket),
    }
}

/// Waits; `false` when the client went away meanwhile. Without a span it waits for that.
pub(super) async fn stays(peer: &mut Peer, span: Option<Duration>) -> bool {
    let Some(span) = span else {
        gone(peer).await;
        return false;
    };
    tokio::select! {
        () = tokio::time::sleep(span) => true,
        () = gone(peer) => false,
    }
}

/// Resolves when the client ended the connection. What it sends is kept.
pub(super) async fn gone(peer: &mut Peer) {
    while peer.socket.read_buf(&mut peer.buffer).await.is_ok_and(|read| read > 0) {}
}
