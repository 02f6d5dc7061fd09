//! The transport behind the option `fetch`: every request goes out through the caller's own
//! function, its body comes back piece by piece as the core asks for it.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams::transport::BodyStream;
use durable_streams_bindings::{
    BoxFuture, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind,
    error::{HostError, header_pairs},
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header},
};

use crate::{
    answer::{Answer, FetchRequest, JsFailure, Question},
    js_loop::Link,
    payload::Payload,
};

/// The `fetch` that JavaScript keeps under the number `source`.
#[derive(Debug)]
pub(crate) struct JsFetch {
    pub(crate) link: Arc<Link>,
    pub(crate) source: u32,
}

impl Transport for JsFetch {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        let exchange = Exchange { link: Arc::clone(&self.link), source: self.source, token: self.link.next_token() };
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let request = FetchRequest {
                method: parts.method.as_str().to_owned(),
                url: parts.uri.to_string(),
                headers: header_pairs(&parts.headers),
                body: Payload::bytes(body),
            };
            match exchange.ask(exchange.token, Question::Fetch(request)).await? {
                Answer::Head(status, headers) => {
                    let head = head(status, &headers)?;
                    Ok(Reply { head, body: Box::new(JsBody(exchange)) })
                }
                Answer::Values(..) | Answer::Chunk(_) | Answer::Failed(_) => Err(out_of_order()),
            }
        })
    }
}

/// One request and its answer; JavaScript aborts it when this is dropped.
struct Exchange {
    link: Arc<Link>,
    source: u32,
    token: u32,
}

impl Exchange {
    async fn ask(&self, token: u32, question: Question) -> Result<Answer, TransportFailure> {
        match self.link.ask_as(self.source, token, question).await {
            Some(Answer::Failed(failure)) => Err(failed(failure)),
            Some(answer) => Ok(answer),
            None => Err(TransportFailure::new(TransportFailureKind::Local, "the JavaScript environment has ended")),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.link.tell(self.source, self.token, Question::Abort(self.token));
    }
}

struct JsBody(Exchange);

impl ReplyBody for JsBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        Box::pin(async move {
            let token = self.0.link.next_token();
            match self.0.ask(token, Question::Chunk(self.0.token)).await? {
                Answer::Chunk(chunk) => Ok(chunk),
                Answer::Values(..) | Answer::Head(..) | Answer::Failed(_) => Err(out_of_order()),
            }
        })
    }
}

/// A body that JavaScript makes, asked for piece by piece.
pub(crate) fn pieces(link: Arc<Link>, source: u32) -> BodyStream {
    Box::pin(futures_util::stream::unfold(Some(link), move |link: Option<Arc<Link>>| async move {
        let link = link?;
        match link.ask(source, Question::Piece).await {
            Some(Answer::Chunk(chunk)) => chunk.map(|piece| (Ok(piece), Some(link))),
            Some(Answer::Failed(failure)) => Some((Err(HostError::new(failure.text, failure.number).boxed()), None)),
            Some(Answer::Values(..) | Answer::Head(..)) | None => {
                Some((Err("the JavaScript environment has ended".into()), None))
            }
        }
    }))
}

fn head(status: u16, headers: &[(String, String)]) -> Result<ReplyHead, TransportFailure> {
    let unusable =
        |what: String| TransportFailure::new(TransportFailureKind::Broken, format!("fetch answered with {what}"));
    let status = StatusCode::from_u16(status).map_err(|_| unusable(format!("status {status}")))?;
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable(format!("header {name:?}")))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unusable(format!("a bad {name}")))?;
        map.append(name, value);
    }
    // `fetch` decodes bodies and leaves the headers of the encoded form.
    if map.remove(header::CONTENT_ENCODING).is_some() {
        map.remove(header::CONTENT_LENGTH);
    }
    Ok(ReplyHead { status, headers: map })
}

fn failed(failure: JsFailure) -> TransportFailure {
    let kind = if failure.is_connect { TransportFailureKind::Connect } else { TransportFailureKind::Broken };
    TransportFailure::new(kind, failure.text.clone()).caused_by(HostError::new(failure.text, failure.number))
}

fn out_of_order() -> TransportFailure {
    TransportFailure::new(TransportFailureKind::Local, "JavaScript answered another question")
}
