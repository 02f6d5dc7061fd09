//! `Native::Mock`: a transport for tests. It writes down every request, answers those that were
//! given an answer, and brings all others to the embedded server, whatever host they name.

use std::sync::Arc;

use durable_streams::transport::reqwest::{ReqwestTransport, client_builder};
use durable_streams_bindings::{
    BoxFuture, Bytes, ErrorInfo, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind,
    client::header_map,
    error::header_pairs,
    http::{HeaderMap, Request, StatusCode, Uri, uri::PathAndQuery},
    runtime,
};
use magnus::{Error, Module, Object, RArray, RHash, RModule, RString, Ruby, function, method};
use parking_lot::Mutex;

use crate::{
    convert::{Fields, copied},
    error::raised,
};

/// The transport.
#[magnus::wrap(class = "DurableStreams::Native::Mock", free_immediately)]
pub(crate) struct NativeMock(pub(crate) Arc<Mock>);

/// What is behind it.
pub(crate) struct Mock {
    server: ReqwestTransport,
    /// Origin of the embedded server.
    origin: Uri,
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<Vec<Answer>>,
}

struct Seen {
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    status: u16,
}

struct Answer {
    method: String,
    path: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

struct Once(Option<Bytes>);

pub(crate) fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Mock", ruby.class_object())?;
    class.define_singleton_method("new", function!(NativeMock::new, 1))?;
    class.define_method("on", method!(NativeMock::on, 5))?;
    class.define_method("requests", method!(NativeMock::requests, 0))?;
    class.define_method("clear", method!(NativeMock::clear, 0))
}

impl NativeMock {
    fn new(ruby: &Ruby, origin: String) -> Result<Self, Error> {
        let refuse = |what: String| raised(ruby, &ErrorInfo::invalid("origin", what));
        let origin = origin.parse::<Uri>().map_err(|error| refuse(error.to_string()))?;
        let _entered = runtime::handle().map_err(|error| raised(ruby, &error))?.enter();
        let client = client_builder().build().map_err(|error| refuse(error.to_string()))?;
        let mock =
            Mock { server: ReqwestTransport::new(client), origin, seen: Mutex::default(), answers: Mutex::default() };
        Ok(Self(Arc::new(mock)))
    }

    fn on(
        ruby: &Ruby,
        this: &Self,
        method: String,
        path: String,
        status: u16,
        headers: Vec<(String, String)>,
        body: RString,
    ) -> Result<(), Error> {
        let status = StatusCode::from_u16(status)
            .map_err(|_| raised(ruby, &ErrorInfo::invalid("status", format!("{status} is no HTTP status"))))?;
        let headers = header_map(&headers).map_err(|error| raised(ruby, &error))?;
        let mut answers = this.0.answers.lock();
        answers.retain(|answer| !answer.is_for(&method, &path));
        answers.push(Answer { method, path, status, headers, body: copied(body) });
        Ok(())
    }

    fn requests(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        let requests = ruby.ary_new();
        for seen in this.0.seen.lock().iter() {
            let fields = Fields::new(ruby)
                .set("method", seen.method.as_str())?
                .set("url", seen.uri.to_string())?
                .set("path", seen.uri.path())?
                .set("headers", ruby.hash_from_iter(header_pairs(&seen.headers)))?
                .set("body", ruby.enc_str_new(&seen.body, ruby.ascii8bit_encoding()))?
                .set("status", seen.status)?;
            requests.push::<RHash>(fields.done())?;
        }
        Ok(requests)
    }

    fn clear(&self) {
        self.0.seen.lock().clear();
        self.0.answers.lock().clear();
    }
}

impl Transport for Mock {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        Box::pin(async move {
            let number = self.note(&request);
            let answer = self.answer(&request);
            let reply = match answer {
                Some(reply) => reply,
                None => self.server.send(self.redirected(request)?).await?,
            };
            if let Some(seen) = self.seen.lock().get_mut(number) {
                seen.status = reply.head.status.as_u16();
            }
            Ok(reply)
        })
    }
}

impl Mock {
    fn note(&self, request: &Request<Bytes>) -> usize {
        let mut seen = self.seen.lock();
        seen.push(Seen {
            method: request.method().to_string(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: request.body().clone(),
            status: 0,
        });
        seen.len() - 1
    }

    fn answer(&self, request: &Request<Bytes>) -> Option<Reply> {
        let answers = self.answers.lock();
        let answer = answers.iter().find(|answer| answer.is_for(request.method().as_str(), request.uri().path()))?;
        let head = ReplyHead { status: answer.status, headers: answer.headers.clone() };
        Some(Reply { head, body: Box::new(Once(Some(answer.body.clone()))) })
    }

    /// The same request, for the embedded server.
    fn redirected(&self, mut request: Request<Bytes>) -> Result<Request<Bytes>, TransportFailure> {
        let mut parts = self.origin.clone().into_parts();
        let whole = request.uri().path_and_query().cloned();
        parts.path_and_query = Some(whole.unwrap_or(PathAndQuery::from_static("/")));
        *request.uri_mut() = Uri::from_parts(parts)
            .map_err(|error| TransportFailure::new(TransportFailureKind::Local, error.to_string()))?;
        Ok(request)
    }
}

impl Answer {
    fn is_for(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

impl ReplyBody for Once {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        Box::pin(async move { Ok(self.0.take().filter(|body| !body.is_empty())) })
    }
}
