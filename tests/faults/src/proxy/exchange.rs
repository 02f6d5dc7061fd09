//! One request from its first byte to its end.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::oneshot};

use crate::flaws::Kind as Flaw;

use super::{
    Shared,
    http1::{First, Framing, Head, Kind, Peer},
    record::Exchange,
    relay::{Shape, Stop, Told, gone, hang_up, put, relay, stays},
    rule::{Canned, Fault, How, Keep, Outage, Point, RetryAfter, To, Way},
};

/// Serves one connection until one side ends it.
pub(super) async fn connection(shared: Arc<Shared>, peer: Peer) {
    let mut client = Some(peer);
    while let Some(peer) = client.as_mut() {
        let Ok(Some(head)) = peer.head(Kind::Request).await else { return };
        let First::Request(method, target) = head.first.clone() else { return };
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let met = shared.take(&head);
        let id = shared.record.asked(Exchange {
            at: Instant::now(),
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: head.headers.clone(),
            body: Bytes::new(),
            fault: met.as_ref().map(|(_, fault)| fault.name()),
            answered: None,
            wait: None,
            end: None,
        });
        let mut request = Request { shared: &shared, id, method, target, head, raw: Bytes::new() };
        let told = request.perform(met, &mut client).await;
        if told.is_err() {
            client = None;
        }
        let end = told.unwrap_or(Told::ServerGone).name();
        shared.record.update(id, |exchange| exchange.end = Some(end));
    }
}

struct Request<'r> {
    shared: &'r Shared,
    /// In the record.
    id: usize,
    method: String,
    target: String,
    head: Head,
    /// Head and body as they came.
    raw: Bytes,
}

/// A whole answer.
struct Whole {
    head: Head,
    framing: Framing,
    body: Bytes,
}

impl Request<'_> {
    async fn perform(&mut self, met: Option<(u64, Fault)>, client: &mut Option<Peer>) -> io::Result<Told> {
        if let Some((rule, Fault::CutRequest(point, how))) = met {
            return self.cut(rule, point, how, client).await;
        }
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        if self.head.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            peer.socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = peer.body(self.head.framing(None)?).await?;
        let mut raw = BytesMut::from(&self.head.raw[..]);
        raw.extend_from_slice(&body);
        self.raw = raw.freeze();
        self.shared.record.update(self.id, |exchange| exchange.body = body);
        self.feign(met.as_ref().map(|(_, fault)| fault)).await?;
        let Some((rule, fault)) = met else {
            return self.pass(client, Shape::default(), None).await;
        };
        match fault {
            Fault::CutRequest(..) => Ok(Told::Faulted),
            Fault::CutAnswer(point, how) => self.shaped(rule, client, point, Stop::Cut(how)).await,
            Fault::Stall(point, span) => self.shaped(rule, client, point, Stop::Stall(span)).await,
            Fault::Delay(way, span) => self.delayed(rule, client, way, span).await,
            Fault::Trickle(way, few, pause) => self.trickled(rule, client, way, (few, pause)).await,
            Fault::Twice(keep) => self.twice(rule, client, keep).await,
            Fault::Swap(within) => self.swapped(rule, client, within).await,
            Fault::Truncate(length) => self.resized(rule, client, |_| length, true).await,
            Fault::WrongLength(by) => {
                self.resized(rule, client, |length| length.saturating_add_signed(by), false).await
            }
            Fault::Answer(canned) => self.canned(rule, client, &canned).await,
            Fault::Redirect(status, to) => self.redirected(rule, client, status, to).await,
            Fault::Outage(outage) => self.outage(rule, outage).await,
        }
    }

    /// Shows a flaw that the client does not have.
    async fn feign(&mut self, met: Option<&Fault>) -> io::Result<()> {
        let is_plain_append = self.method == "POST" && self.head.get("producer-id").is_none();
        match self.shared.flaw {
            Some(Flaw::RepeatsAppends) if is_plain_append && matches!(met, Some(Fault::CutAnswer(..))) => {
                self.whole().await?;
            }
            Some(Flaw::NewNumbers) if self.shared.record.is_repeated(self.id) => {
                if let Some(id) = self.head.get("producer-id") {
                    let (old, new) = (format!(": {id}\r\n"), format!(": {id}{}\r\n", self.id));
                    self.raw = String::from_utf8_lossy(&self.raw).replacen(&old, &new, 1).into();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The server gets the request up to a point, then nobody is there any more.
    async fn cut(&self, rule: u64, point: Point, how: How, client: &mut Option<Peer>) -> io::Result<Told> {
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        let mut rest = match point {
            Point::Head(bytes) => bytes.min(self.head.raw.len()),
            Point::Body(bytes) => self.head.raw.len() + bytes,
        };
        if rest > 0 {
            let mut server = self.open().await?;
            let mut framing = self.head.framing(None)?;
            let mut piece = Some(self.head.raw.clone());
            while let Some(bytes) = piece.filter(|_| rest > 0) {
                let part = bytes.len().min(rest);
                server.socket.write_all(&bytes[..part]).await?;
                rest -= part;
                piece = if rest > 0 { peer.piece(&mut framing).await? } else { None };
            }
            server.socket.set_zero_linger()?;
        }
        // The body may have been shorter: then the server has it all. The client cannot know yet.
        if rest == 0 {
            self.shared.fire(rule);
        }
        hang_up(self.shared, client, how).await;
        Ok(Told::Faulted)
    }

    /// Sends the request to the server and its answer to the client.
    async fn pass(
        &self,
        client: &mut Option<Peer>,
        shape: Shape,
        slowly: Option<(usize, Duration)>,
    ) -> io::Result<Told> {
        let (mut server, head) = {
            let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
            tokio::select! {
                answered = self.ask(slowly) => answered?,
                () = gone(peer) => {
                    *client = None;
                    return Ok(Told::ClientGone);
                }
            }
        };
        self.tell(&head, None);
        let framing = head.framing(Some(&self.method))?;
        Ok(relay(self.shared, &mut server, &head, framing, client, shape).await)
    }

    async fn shaped(&self, rule: u64, client: &mut Option<Peer>, point: Point, stop: Stop) -> io::Result<Told> {
        let shape = Shape { stop: Some((point, stop)), rule: Some(rule), trickle: None };
        self.pass(client, shape, None).await
    }

    async fn delayed(&self, rule: u64, client: &mut Option<Peer>, way: Way, span: Duration) -> io::Result<Told> {
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        self.shared.fire(rule);
        match way {
            Way::Request => {
                if !stays(peer, Some(span)).await {
                    *client = None;
                    return Ok(Told::ClientGone);
                }
                self.pass(client, Shape::default(), None).await
            }
            Way::Answer => {
                let stop = Some((Point::Head(0), Stop::Stall(Some(span))));
                self.pass(client, Shape { stop, ..Shape::default() }, None).await
            }
        }
    }

    async fn trickled(
        &self,
        rule: u64,
        client: &mut Option<Peer>,
        way: Way,
        slowly: (usize, Duration),
    ) -> io::Result<Told> {
        self.shared.fire(rule);
        let (shape, request) = match way {
            Way::Request => (Shape::default(), Some(slowly)),
            Way::Answer => (Shape { trickle: Some(slowly), ..Shape::default() }, None),
        };
        self.pass(client, shape, request).await
    }

    async fn twice(&self, rule: u64, client: &mut Option<Peer>, keep: Keep) -> io::Result<Told> {
        let first = self.whole().await?;
        let second = self.whole().await?;
        self.shared.fire(rule);
        let kept = match keep {
            Keep::First => first,
            Keep::Second => second,
        };
        self.tell(&kept.head, None);
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        peer.socket.write_all(&kept.head.raw).await?;
        peer.socket.write_all(&kept.body).await?;
        if kept.framing == Framing::UntilClose {
            hang_up(self.shared, client, How::Close).await;
        }
        Ok(Told::Whole)
    }

    async fn swapped(&self, rule: u64, client: &mut Option<Peer>, within: Duration) -> io::Result<Told> {
        let first = self.shared.swaps.lock().remove(&rule);
        if let Some(first) = first {
            let (mut server, head) = self.ask(None).await?;
            // The first one goes as soon as the server has decided about the second.
            let _ = first.send(());
            self.tell(&head, None);
            let framing = head.framing(Some(&self.method))?;
            return Ok(relay(self.shared, &mut server, &head, framing, client, Shape::default()).await);
        }
        let (overtaken, second) = oneshot::channel();
        self.shared.swaps.lock().insert(rule, overtaken);
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        tokio::select! {
            second = tokio::time::timeout(within, second) => {
                if matches!(second, Ok(Ok(()))) {
                    self.shared.fire(rule);
                }
            }
            () = gone(peer) => *client = None,
        }
        self.shared.swaps.lock().remove(&rule);
        self.pass(client, Shape::default(), None).await
    }

    /// The whole answer under another length: with a body to match, or the wrong one.
    async fn resized(
        &self,
        rule: u64,
        client: &mut Option<Peer>,
        length: impl FnOnce(u64) -> u64 + Send,
        fits: bool,
    ) -> io::Result<Told> {
        let whole = self.whole().await?;
        let mut body = whole.framing.payload(&whole.body)?;
        let length = length(body.len() as u64);
        if fits {
            if length >= body.len() as u64 {
                // There is nothing to cut off: the fault does not happen.
                return self.answer(client, &whole.head, body).await;
            }
            body.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        }
        self.shared.fire(rule);
        self.tell(&whole.head, None);
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        peer.socket.write_all(&whole.head.with_length(length)).await?;
        peer.socket.write_all(&body).await?;
        if fits {
            return Ok(Told::Whole);
        }
        hang_up(self.shared, client, How::Close).await;
        Ok(Told::Faulted)
    }

    async fn answer(&self, client: &mut Option<Peer>, head: &Head, body: Bytes) -> io::Result<Told> {
        self.tell(head, None);
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        peer.socket.write_all(&head.with_length(body.len() as u64)).await?;
        peer.socket.write_all(&body).await?;
        Ok(Told::Whole)
    }

    async fn canned(&self, rule: u64, client: &mut Option<Peer>, canned: &Canned) -> io::Result<Told> {
        if canned.reached {
            self.whole().await?;
        }
        let mut headers = canned.headers.clone();
        let now = SystemTime::now();
        let wait = match canned.retry_after {
            None => None,
            Some(RetryAfter::Seconds(seconds)) => {
                let told = if self.shared.flaw == Some(Flaw::Impatient) { 0 } else { seconds };
                headers.push(("retry-after".to_owned(), told.to_string()));
                Some(Duration::from_secs(seconds))
            }
            Some(RetryAfter::Date(seconds)) => {
                headers.push(("date".to_owned(), httpdate::fmt_http_date(now)));
                let date = httpdate::fmt_http_date(now + Duration::from_secs(seconds));
                headers.push(("retry-after".to_owned(), date));
                Some(Duration::from_secs(seconds.saturating_sub(1)))
            }
            Some(RetryAfter::Nonsense) => {
                headers.push(("retry-after".to_owned(), "soon".to_owned()));
                None
            }
        };
        self.shared.fire(rule);
        self.own_answer(client, canned.status, &headers, &canned.body, wait).await
    }

    async fn redirected(&self, rule: u64, client: &mut Option<Peer>, status: u16, to: To) -> io::Result<Told> {
        let location = match to {
            To::Same => self.target.clone(),
            To::Foreign => format!("{}{}", self.shared.foreign.as_deref().unwrap_or_default(), self.target),
        };
        self.shared.fire(rule);
        self.own_answer(client, status, &[("location".to_owned(), location)], "", None).await
    }

    async fn own_answer(
        &self,
        client: &mut Option<Peer>,
        status: u16,
        headers: &[(String, String)],
        body: &str,
        wait: Option<Duration>,
    ) -> io::Result<Told> {
        let mut text = format!("HTTP/1.1 {status} Fault\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        if self.method != "HEAD" {
            text.push_str(body);
        }
        self.shared.record.update(self.id, |exchange| {
            exchange.answered = Some((status, Instant::now()));
            exchange.wait = wait;
        });
        let Some(peer) = client.as_mut() else { return Ok(Told::ClientGone) };
        peer.socket.write_all(text.as_bytes()).await?;
        Ok(Told::Whole)
    }

    async fn outage(&self, rule: u64, outage: Outage) -> io::Result<Told> {
        if outage.reached {
            self.whole().await?;
        }
        self.shared.fire(rule);
        // Nothing of this connection runs after the next line.
        self.shared.record.update(self.id, |exchange| exchange.end = Some("ended by the outage"));
        self.shared.outage(outage).await;
        Ok(Told::Faulted)
    }

    /// The client is about to be told this.
    fn tell(&self, head: &Head, wait: Option<Duration>) {
        let First::Answer(status) = head.first else { return };
        self.shared.record.update(self.id, |exchange| {
            exchange.answered = Some((status, Instant::now()));
            exchange.wait = wait;
        });
    }

    async fn open(&self) -> io::Result<Peer> {
        let address = *self.shared.server.lock();
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Peer::new(socket))
    }

    /// Sends the request to the server and waits for the final answer's head.
    async fn ask(&self, slowly: Option<(usize, Duration)>) -> io::Result<(Peer, Head)> {
        let mut server = self.open().await?;
        put(&mut server.socket, &self.raw, slowly).await?;
        loop {
            let head = server.head(Kind::Answer).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if !matches!(head.first, First::Answer(100..=199)) {
                return Ok((server, head));
            }
        }
    }

    async fn whole(&self) -> io::Result<Whole> {
        let (mut server, head) = self.ask(None).await?;
        let framing = head.framing(Some(&self.method))?;
        let body = server.body(framing.clone()).await?;
        Ok(Whole { head, framing, body })
    }
}
