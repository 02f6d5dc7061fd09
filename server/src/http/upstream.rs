//! Another HTTP server this one asks: whether a request may pass, or for the answer.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{
    answer::{self, Answer},
    body::{Body, BodyError},
    origin::Peer,
    request_body::RequestBody,
};

/// A server reached over plain HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    authority: Authority,
    client: Client<HttpConnector, Either<RequestBody, Empty<Bytes>>>,
}

/// Asks an upstream whether a request may pass.
#[derive(Debug, Clone)]
pub(crate) struct ForwardAuth {
    /// Whom to ask.
    pub(crate) upstream: Upstream,
    /// Path and query to ask at; empty = the request's own.
    pub(crate) uri: Option<PathAndQuery>,
    /// Headers of a yes that are handed on with the request.
    pub(crate) copy_headers: Vec<HeaderName>,
}

/// Headers that concern one hop only (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

impl Upstream {
    /// A server by host and port.
    pub(crate) fn new(authority: Authority) -> Self {
        Self { authority, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Passes a request on and its answer back.
    pub(crate) async fn proxy(&self, peer: &Peer, request: Request<RequestBody>) -> Answer {
        let (mut parts, body) = request.into_parts();
        let target = self.uri(parts.uri.path_and_query().cloned());
        forwarded(&mut parts.headers, peer, &parts.uri);
        parts.uri = target;
        parts.version = http::Version::HTTP_11;
        match self.client.request(Request::from_parts(parts, Either::Left(body))).await {
            Ok(response) => passed_back(response),
            Err(error) => self.unreachable(&error),
        }
    }

    fn uri(&self, target: Option<PathAndQuery>) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Uri::from_parts(parts).unwrap_or_default()
    }

    fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Answer {
        tracing::warn!(upstream = %self.authority, %error, "upstream failed");
        answer::refuse(StatusCode::BAD_GATEWAY, "the server behind this one does not answer")
    }
}

impl ForwardAuth {
    /// Lets a request pass, with the headers of the yes, or gives the answer of the no.
    pub(crate) async fn judge<B>(&self, peer: &Peer, mut request: Request<B>) -> Result<Request<B>, Answer> {
        // A client must not bring the headers that only a yes may set.
        for name in &self.copy_headers {
            request.headers_mut().remove(name);
        }
        let mut headers = request.headers().clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::EXPECT);
        forwarded(&mut headers, peer, request.uri());
        let method = HeaderValue::from_str(request.method().as_str());
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        for (name, value) in [("x-forwarded-method", method), ("x-forwarded-uri", HeaderValue::from_str(target))] {
            if let Ok(value) = value {
                headers.insert(name, value);
            }
        }
        let path = self.uri.clone().or_else(|| request.uri().path_and_query().cloned());
        let mut question = Request::new(Either::Right(Empty::new()));
        *question.method_mut() = Method::GET;
        *question.uri_mut() = self.upstream.uri(path);
        *question.headers_mut() = headers;
        match self.upstream.client.request(question).await {
            Ok(response) if response.status().is_success() => {
                for name in &self.copy_headers {
                    for value in response.headers().get_all(name) {
                        request.headers_mut().append(name, value.clone());
                    }
                }
                Ok(request)
            }
            Ok(response) => Err(passed_back(response)),
            Err(error) => Err(self.upstream.unreachable(&error)),
        }
    }
}

fn passed_back(response: Response<Incoming>) -> Answer {
    let (mut parts, body) = response.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    let body = Body::Other(Box::pin(body.map_err(|error| Box::new(error) as BodyError)));
    Answer::from_parts(parts, body)
}

/// Tells the upstream whose request it is. What the client claimed about itself goes.
fn forwarded(headers: &mut HeaderMap, peer: &Peer, uri: &Uri) {
    remove_hop_by_hop(headers);
    let host = uri
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
        .or_else(|| headers.get(header::HOST).cloned());
    headers.remove("x-forwarded-host");
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host.clone());
        headers.insert(header::HOST, host);
    }
    if let Ok(ip) = HeaderValue::from_str(&peer.ip.to_string()) {
        headers.insert("x-forwarded-for", ip);
    }
    let scheme = if peer.is_tls { "https" } else { "http" };
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}
