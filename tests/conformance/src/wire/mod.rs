//! The wire between the client under test and the server: a proxy that records every
//! exchange, and does what [`rules`] tell it to do to them.

pub mod body;
pub mod record;
pub mod rules;

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use self::{
    body::{Flow, WireBody},
    record::{Asked, By, End, Ending, Record},
    rules::{Answer, Edit, Effect, Piece, Rule},
};
use crate::breaks::{Break, Mutant};

type Upstream = Client<HttpConnector, Full<Bytes>>;

/// A proxy on loopback in front of one server.
pub struct Wire {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: tokio::task::JoinHandle<Infallible>,
}

struct Shared {
    /// The server, without a slash at its end.
    server: String,
    /// The path part of it.
    prefix: String,
    client: Upstream,
    record: Record,
    rules: Mutex<Vec<Rule>>,
    mutant: Option<Mutant>,
}

/// An answer read whole.
#[derive(Debug)]
pub struct Whole {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The wire was told to cut this connection.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

impl Wire {
    /// Starts a proxy in front of a server's URL. A break makes the client behind it look
    /// broken.
    pub async fn start(server: &str, broken: Option<&'static Break>) -> Result<Self, String> {
        let server = server.trim_end_matches('/').to_owned();
        let uri: Uri = server.parse().map_err(|error| format!("{server:?} is not a URL: {error}"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("{server:?}: only http servers can be tested"));
        }
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| format!("no port: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared {
            prefix: uri.path().trim_end_matches('/').to_owned(),
            server,
            client: upstream(),
            record: Record::default(),
            rules: Mutex::default(),
            mutant: broken.map(Mutant::new),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, accepting })
    }

    /// The URL the client is given.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.shared.prefix)
    }

    /// What went over the wire.
    pub fn record(&self) -> &Record {
        &self.shared.record
    }

    /// Adds a rule; earlier ones come first.
    pub fn add_rule(&self, mut rule: Rule) {
        rule.since = self.shared.record.len();
        self.shared.rules.lock().push(rule);
    }

    /// Forgets all rules.
    pub fn clear_rules(&self) {
        self.shared.rules.lock().clear();
    }

    /// The mutation in force, if any.
    pub fn mutant(&self) -> Option<&Mutant> {
        self.shared.mutant.as_ref()
    }

    /// Sends a request of the runner's own past the wire, and records it.
    pub async fn ask(&self, method: &str, path: &str, headers: HeaderMap, body: Bytes) -> Result<Whole, String> {
        let (record, shared) = (&self.shared.record, &self.shared);
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let id = record.asked(&Asked { by: By::Runner, method, path: bare, query, headers: &headers, body: &body });
        let mut ending = Ending::new(record.clone(), id);
        ending.set(End::ServerGone);
        let mut request = Request::builder().method(method).uri(format!("{}{path}", shared.server));
        if let Some(map) = request.headers_mut() {
            *map = headers;
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let failed = |error: &dyn std::fmt::Display| format!("{method} {}{path}: {error}", shared.server);
        let reply = shared.client.request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = reply.into_parts();
        record.answered(id, head.status.as_u16(), &head.headers);
        let body = body.collect().await.map_err(|error| failed(&error))?.to_bytes();
        ending.piece(&body);
        ending.set(End::Complete);
        Ok(Whole { status: head.status.as_u16(), headers: head.headers, body })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn upstream() -> Upstream {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // A connection of its own for each request: a reused one that the server just closed
    // would look like a fault.
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).retry_canceled_requests(false).build(connector)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> Infallible {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        // Small pieces must travel on their own.
        let _ = socket.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| serve(Arc::clone(&shared), request));
            // How it ended is in the record.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<WireBody>, Cut> {
    let (mut parts, body) = request.into_parts();
    let mut body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    if let Some(mutant) = &shared.mutant {
        mutant.request(&mut parts, &mut body);
    }
    let full_path = parts.uri.path();
    let path = full_path.strip_prefix(shared.prefix.as_str()).unwrap_or(full_path).to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let method = parts.method.as_str().to_owned();
    let asked =
        Asked { by: By::Client, method: &method, path: &path, query: &query, headers: &parts.headers, body: &body };
    let id = shared.record.asked(&asked);
    let mut ending = Ending::new(shared.record.clone(), id);
    let rule = shared.take_rule(&method, &path, &query, &parts.headers);
    let rule = rule.unwrap_or_else(|| Rule::on(path.as_str(), Effect::Pass));
    tokio::time::sleep(rule.delay).await;
    shared.record.until_answered(&path, rule.since, rule.until_answered).await;
    match rule.effect {
        Effect::Pass => shared.forward(&parts, body, id, ending, Edit::default()).await,
        Effect::Edit(edit) => shared.forward(&parts, body, id, ending, edit).await,
        Effect::Answer(answer) => Ok(shared.canned(&parts, id, ending, answer)),
        Effect::Hold => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Effect::Drop => {
            ending.set(End::Cut);
            Err(Cut)
        }
        Effect::Lose => {
            let reply = shared.send(&parts, body).await.map_err(|_| Cut)?;
            let (head, body) = reply.into_parts();
            shared.record.answered(id, head.status.as_u16(), &head.headers);
            let _ = body.collect().await;
            ending.set(End::Cut);
            Err(Cut)
        }
    }
}

impl Shared {
    fn take_rule(&self, method: &str, path: &str, query: &str, headers: &HeaderMap) -> Option<Rule> {
        let params = record::params(query);
        let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut rules = self.rules.lock();
        let index = rules.iter_mut().position(|rule| {
            let is_met = rule.path == path
                && rule.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && rule.query.iter().all(|(key, wanted)| {
                    params.iter().find(|(name, _)| name == key).map(|(_, value)| value) == wanted.as_ref()
                })
                && rule.headers.iter().all(|(name, wanted)| header(name).as_deref() == wanted.as_deref());
            if is_met && rule.skip > 0 {
                rule.skip -= 1;
                return false;
            }
            is_met && (rule.probability >= 1.0 || crate::random() < rule.probability)
        })?;
        let rule = rules.get_mut(index)?;
        rule.count = rule.count.saturating_sub(1);
        let taken = rule.clone();
        if taken.count == 0 {
            rules.remove(index);
        }
        Some(taken)
    }

    async fn send(&self, parts: &http::request::Parts, body: Bytes) -> Result<Response<Incoming>, Cut> {
        let authority = self.server.strip_suffix(self.prefix.as_str()).unwrap_or(&self.server);
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::builder().method(&parts.method).uri(format!("{authority}{target}"));
        if let Some(headers) = request.headers_mut() {
            *headers = parts.headers.clone();
            for hop in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
                headers.remove(hop);
            }
        }
        let request = request.body(Full::new(body)).map_err(|_| Cut)?;
        self.client.request(request).await.map_err(|_| Cut)
    }

    async fn forward(
        &self,
        parts: &http::request::Parts,
        body: Bytes,
        id: u64,
        mut ending: Ending,
        edit: Edit,
    ) -> Result<Response<WireBody>, Cut> {
        let Ok(reply) = self.send(parts, body).await else {
            ending.set(End::ServerGone);
            return Err(Cut);
        };
        let (mut head, body) = reply.into_parts();
        head.headers.remove(header::CONNECTION);
        head.headers.remove(header::TRANSFER_ENCODING);
        if let Some(status) = edit.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            head.status = status;
        }
        for name in &edit.remove {
            head.headers.remove(name);
        }
        for (name, value) in &edit.set {
            head.headers.insert(name, value.clone());
        }
        let is_sse = head.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "text/event-stream");
        if head.status != StatusCode::OK || is_sse || (edit.truncate.is_none() && !edit.corrupt) {
            return Ok(self.respond(parts, id, ending, head, Flow::server(body, &edit, is_sse)));
        }
        let Ok(whole) = body.collect().await else {
            ending.set(End::ServerGone);
            return Err(Cut);
        };
        let mut whole = whole.to_bytes().to_vec();
        whole.truncate(edit.truncate.unwrap_or(usize::MAX));
        if edit.corrupt {
            corrupt(&mut whole);
        }
        head.headers.remove(header::CONTENT_LENGTH);
        let flow = Flow::canned(vec![Piece::Data(whole.into())]);
        Ok(self.respond(parts, id, ending, head, flow))
    }

    fn canned(&self, parts: &http::request::Parts, id: u64, ending: Ending, answer: Answer) -> Response<WireBody> {
        let mut head = Response::new(()).into_parts().0;
        head.status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        head.headers = answer.headers;
        self.respond(parts, id, ending, head, Flow::canned(answer.pieces))
    }

    fn respond(
        &self,
        parts: &http::request::Parts,
        id: u64,
        ending: Ending,
        mut head: http::response::Parts,
        mut flow: Flow,
    ) -> Response<WireBody> {
        self.record.answered(id, head.status.as_u16(), &head.headers);
        if let Some(mutant) = &self.mutant {
            mutant.reply(parts, &mut head, &mut flow);
        }
        let is_empty = parts.method == http::Method::HEAD || matches!(head.status.as_u16(), 204 | 304);
        if is_empty {
            flow.expect(0);
        } else if flow.changes_length() {
            // hyper measures what it sends.
            head.headers.remove(header::CONTENT_LENGTH);
        } else if let Some(length) = content_length(&head.headers) {
            flow.expect(length);
        }
        Response::from_parts(head, flow.into_body(ending))
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Overwrites the first two bytes and about a tenth of the rest.
fn corrupt(bytes: &mut [u8]) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        match index {
            0 => *byte = b'X',
            1 => *byte = b'Y',
            _ if crate::random() < 0.1 => *byte = b'Z',
            _ => {}
        }
    }
}
