//! One HTTP attempt: fresh dynamic headers and parameters, sorted query, redirects, time
//! limits, and one renewal of credentials after a 401.

use std::{error::Error, sync::Arc, time::Duration};

use durable_streams_protocol::{
    request::{InvalidArgument, RequestPlan},
    response::redirect,
    retry::RetryPolicy,
};
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{AUTHORIZATION, DATE, RETRY_AFTER},
};
use url::Url;

use super::{
    limits::{TimedBody, Timeouts},
    url::{Params, StreamUrl, refuse_reserved},
};
use crate::{
    host::Host,
    transport::{BodyStream, BoxFuture, Reply, ReplyBody, Transport, TransportFailure, TransportFailureKind},
};

/// Any error of a provider.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What every request of a client shares.
pub(crate) struct Exchange {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) headers: HeaderMap,
    pub(crate) header_providers: Vec<Provider<HeaderMap>>,
    pub(crate) params: Params,
    pub(crate) param_providers: Vec<Provider<Params>>,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: RetryPolicy,
}

/// A source of values that is asked before every HTTP request.
pub(crate) type Provider<T> = Arc<dyn Fn() -> Provided<T> + Send + Sync>;

/// What a provider gives: values at once, or a promise of them.
pub(crate) enum Provided<T> {
    Now(T),
    Later(BoxFuture<'static, Result<T, BoxError>>),
}

/// What one call adds to the client's own headers, parameters and limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    pub(crate) headers: HeaderMap,
    pub(crate) params: Params,
    /// Replaces the limit of the plan's [`TimeoutClass`](durable_streams_protocol::request::TimeoutClass).
    pub(crate) timeout: Option<Duration>,
}

impl Exchange {
    /// Sends a request once and resolves with the answer's head. Whether to send it again
    /// is the caller's decision.
    pub(crate) async fn send(
        &self,
        url: &StreamUrl,
        plan: &RequestPlan,
        extras: &Extras,
    ) -> Result<Reply, TransportFailure> {
        let limits = self.timeouts.limits(plan, extras.timeout);
        let started = self.host.now();
        let mut reply = tokio::select! {
            biased;
            reply = self.send_with_renewal(url, plan, extras) => reply?,
            () = self.host.sleep(limits.head) => {
                let detail = format!("no answer within {:?}", limits.head);
                return Err(TransportFailure::new(TransportFailureKind::Timeout, detail));
            }
        };
        self.date_retry_after(&mut reply.head.headers);
        reply.body = TimedBody::guard(reply.body, &self.host, limits, started);
        Ok(reply)
    }

    /// Sends a request whose body is still being made, once: what was given out cannot be
    /// given again, neither to a redirect's target nor with other credentials. It takes as
    /// long as the body takes.
    pub(crate) async fn send_streaming(
        &self,
        url: &StreamUrl,
        plan: &RequestPlan,
        extras: &Extras,
        body: BodyStream,
    ) -> Result<Reply, TransportFailure> {
        let params = self.all_params(extras).await?;
        let target = url.target(&params, &plan.query).map_err(local)?;
        let mut request = http::Request::new(());
        *request.method_mut() = plan.method.clone();
        *request.headers_mut() = self.all_headers(url, plan, extras).await?;
        *request.uri_mut() = target;
        let reply = self.transport.send_streaming(request, body).await?;
        if let Some(location) = redirect::target(&plan.method, &reply.head) {
            let detail = format!("the server redirects to {location}, and a streamed body cannot be sent twice");
            return Err(TransportFailure::new(TransportFailureKind::Local, detail));
        }
        Ok(reply)
    }

    /// A 401 with providers: they are asked again and the request is sent once more. A
    /// refused request was not carried out, so this is safe for every operation.
    async fn send_with_renewal(
        &self,
        url: &StreamUrl,
        plan: &RequestPlan,
        extras: &Extras,
    ) -> Result<Reply, TransportFailure> {
        let mut reply = self.send_following(url, plan, extras).await?;
        if reply.head.status == StatusCode::UNAUTHORIZED && !self.header_providers.is_empty() {
            self.drain(reply.body.as_mut()).await;
            reply = self.send_following(url, plan, extras).await?;
        }
        Ok(reply)
    }

    /// Follows redirects with the same method and body. The protocol's headers always go
    /// along; everything the user set may be a credential and stays with its origin.
    async fn send_following(
        &self,
        url: &StreamUrl,
        plan: &RequestPlan,
        extras: &Extras,
    ) -> Result<Reply, TransportFailure> {
        let params = self.all_params(extras).await?;
        let mut target = url.target(&params, &plan.query).map_err(local)?;
        let mut headers = self.all_headers(url, plan, extras).await?;
        for _ in 0..=redirect::MAX_REDIRECTS {
            let mut request = http::Request::new(plan.body.clone());
            *request.method_mut() = plan.method.clone();
            *request.uri_mut() = target.clone();
            *request.headers_mut() = headers.clone();
            let mut reply = self.transport.send(request).await?;
            let Some(location) = redirect::target(&plan.method, &reply.head) else {
                return Ok(reply);
            };
            let next = resolve(&target, location)?;
            tracing::debug!(from = %target, to = %next, "following a redirect");
            self.drain(reply.body.as_mut()).await;
            if origin(&next) != origin(&target) {
                headers = plan.headers.clone();
            }
            target = next;
        }
        let detail = format!("more than {} redirects, the last to {target}", redirect::MAX_REDIRECTS);
        Err(TransportFailure::new(TransportFailureKind::Local, detail))
    }

    /// Static headers, then dynamic ones, then the call's, then the protocol's.
    async fn all_headers(
        &self,
        url: &StreamUrl,
        plan: &RequestPlan,
        extras: &Extras,
    ) -> Result<HeaderMap, TransportFailure> {
        let mut headers = self.headers.clone();
        if let Some(credentials) = url.authorization() {
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        for provider in &self.header_providers {
            overlay(&mut headers, &ask(provider, "header provider").await?);
        }
        overlay(&mut headers, &extras.headers);
        overlay(&mut headers, &plan.headers);
        Ok(headers)
    }

    async fn all_params(&self, extras: &Extras) -> Result<Params, TransportFailure> {
        let mut params = Params::new();
        let mut add = |more: &Params| {
            params.retain(|(key, _)| !more.iter().any(|(name, _)| name == key));
            params.extend_from_slice(more);
        };
        add(&self.params);
        for provider in &self.param_providers {
            let more = ask(provider, "param provider").await?;
            refuse_reserved(&more).map_err(local)?;
            add(&more);
        }
        add(&extras.params);
        Ok(params)
    }

    /// Ends an answer whose body does not matter, or only for its words: gives its start
    /// back. Never waits long for it.
    pub(crate) async fn drain(&self, body: &mut dyn ReplyBody) -> Vec<u8> {
        let mut kept = Vec::new();
        tokio::select! {
            biased;
            () = read_rest(body, &mut kept) => {}
            () = self.host.sleep(REST_TIME) => {}
        }
        kept
    }

    /// Gives an answer its time of arrival when it asks for a wait by date but does not say
    /// its own (RFC 9110 §6.6.1: the recipient records it).
    fn date_retry_after(&self, headers: &mut HeaderMap) {
        if headers.contains_key(RETRY_AFTER) && !headers.contains_key(DATE) {
            let date = httpdate::fmt_http_date(self.host.wall_clock());
            if let Ok(value) = HeaderValue::try_from(date) {
                headers.insert(DATE, value);
            }
        }
    }
}

/// Reads a small rest of a body so that its connection can be used again, into `kept` as
/// far as its start fits; a large or broken rest is left alone.
async fn read_rest(body: &mut dyn ReplyBody, kept: &mut Vec<u8>) {
    let mut read = 0;
    while let Ok(Some(piece)) = body.chunk().await {
        read += piece.len();
        kept.extend_from_slice(&piece[..piece.len().min(KEPT_REST - kept.len())]);
        if read > MAX_REST {
            return;
        }
    }
}

/// How much of a rest is worth reading. Units: bytes.
const MAX_REST: usize = 64 * 1024;
/// How much of it is kept. Units: bytes.
const KEPT_REST: usize = 1024;
/// How long a rest may take.
const REST_TIME: Duration = Duration::from_secs(2);

async fn ask<T>(provider: &Provider<T>, name: &str) -> Result<T, TransportFailure> {
    match provider() {
        Provided::Now(values) => Ok(values),
        Provided::Later(promise) => promise.await.map_err(|error| TransportFailure {
            kind: TransportFailureKind::Local,
            detail: format!("a {name} failed: {error}"),
            source: Some(Arc::from(error)),
        }),
    }
}

/// Replaces headers by those of the same name; repeated names of `more` are kept.
fn overlay(headers: &mut HeaderMap, more: &HeaderMap) {
    for name in more.keys() {
        headers.remove(name);
    }
    for (name, value) in more {
        headers.append(name, value.clone());
    }
}

fn resolve(base: &Uri, location: &str) -> Result<Uri, TransportFailure> {
    let unusable = || {
        let detail = format!("{base} redirects to {location:?}, which is not an http or https URL");
        TransportFailure::new(TransportFailureKind::Local, detail)
    };
    let mut url = Url::parse(&base.to_string()).and_then(|base| base.join(location)).map_err(|_| unusable())?;
    url.set_fragment(None);
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable());
    }
    url.as_str().parse().map_err(|_| unusable())
}

fn origin(uri: &Uri) -> (Option<&str>, Option<&str>, Option<u16>) {
    let default = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    (uri.scheme_str(), uri.host(), uri.port_u16().or(Some(default)))
}

fn local(invalid: InvalidArgument) -> TransportFailure {
    TransportFailure::new(TransportFailureKind::Local, invalid.to_string())
}
