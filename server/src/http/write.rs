//! PUT, POST and DELETE on a stream (protocol.md §5-§8).

use durable_streams_protocol::{
    content_type,
    expiry::Expiry,
    headers,
    offset::Position,
    produce::decide::{ProducerClaim, ProducerState},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header, request::Parts};

use super::{
    answer::{self, Answer},
    body::Body,
    origin::Peer,
    refusal,
    request_body::RequestBody,
    service::Service,
    upload,
};
use crate::{
    engine::types::{AppendKind, AppendRequest, CreateRequest, ForkRequest},
    metrics::Operation,
    path::StreamPath,
};

/// Answers PUT.
pub(crate) async fn create(service: &Service, peer: Peer, path: StreamPath, request: Request<RequestBody>) -> Answer {
    let (request, body) = request.into_parts();
    let body = upload::collect(body, &request, service.options.max_body_bytes).await;
    let plan = match create_request(&request.headers) {
        Ok(plan) => plan,
        Err(reason) => return answer::bad_request(reason),
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => return refusal::upload(error),
    };
    let body_len = body.len() as u64;
    let created = match service.engine.create(path.clone(), CreateRequest { body, ..plan }).await {
        Ok(created) => created,
        Err(error) => return refusal::create(&path, &error),
    };
    let status = if created.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut answer = answer::uncached(status, Body::Empty);
    let map = answer.headers_mut();
    if created.is_new {
        service.metrics.count_appended(body_len);
        if let Ok(location) = HeaderValue::from_str(&location(service, &peer, &request)) {
            map.insert(header::LOCATION, location);
        }
    }
    answer::set_content_type(map, &created.content_type);
    answer::set_next_offset(map, created.tail);
    answer::set_flag(map, headers::STREAM_CLOSED, created.closed);
    answer
}

/// Reads the headers of a PUT, in the order of protocol.md §5.
fn create_request(map: &HeaderMap) -> Result<CreateRequest, String> {
    let expiry = Expiry::from_headers(map).map_err(|error| error.to_string())?;
    Ok(CreateRequest {
        content_type: content_type(map).filter(|value| content_type::is_valid(value)).map(str::to_owned),
        expiry,
        closed: headers::is_true(map, &headers::STREAM_CLOSED),
        fork: fork_request(map)?,
        ..CreateRequest::default()
    })
}

fn fork_request(map: &HeaderMap) -> Result<Option<ForkRequest>, String> {
    let source = map.get(headers::STREAM_FORKED_FROM);
    let offset = map.get(headers::STREAM_FORK_OFFSET);
    let sub_offset = map.get(headers::STREAM_FORK_SUB_OFFSET);
    let Some(source) = source else {
        return match (sub_offset, offset) {
            (Some(_), _) => Err("Stream-Fork-Sub-Offset needs Stream-Forked-From, the path of the source".to_owned()),
            (None, Some(_)) => Err("Stream-Fork-Offset needs Stream-Forked-From, the path of the source".to_owned()),
            (None, None) => Ok(None),
        };
    };
    let sub_offset = match sub_offset {
        None => 0,
        Some(value) => headers::parse_canonical_integer(value.as_bytes()).ok_or_else(|| {
            format!("Stream-Fork-Sub-Offset must be a whole number without sign or leading zero, got {value:?}")
        })?,
    };
    let offset = match offset {
        None => None,
        Some(value) => Some(
            Position::parse(value.as_bytes())
                .ok_or_else(|| format!("Stream-Fork-Offset must be an offset the source returned, got {value:?}"))?,
        ),
    };
    let source = source
        .to_str()
        .map_err(|_| "Stream-Forked-From must be the path of a stream in visible ASCII".to_owned())
        .and_then(|path| StreamPath::parse(path).map_err(|error| format!("Stream-Forked-From: {error}")))?;
    Ok(Some(ForkRequest { source, offset, sub_offset }))
}

/// The absolute URL of a created stream, with the path as the client spelled it.
fn location(service: &Service, peer: &Peer, request: &Parts) -> String {
    let mut url = service.options.origin.origin_of(peer, &request.uri, &request.headers);
    url.push_str(request.uri.path());
    url
}

/// Answers POST: append, close, or both.
pub(crate) async fn append(service: &Service, path: StreamPath, request: Request<RequestBody>) -> (Operation, Answer) {
    let (request, body) = request.into_parts();
    let map = &request.headers;
    let close = headers::is_true(map, &headers::STREAM_CLOSED);
    let body = upload::collect(body, &request, service.options.max_body_bytes).await;
    let operation =
        if close && body.as_ref().is_ok_and(bytes::Bytes::is_empty) { Operation::Close } else { Operation::Append };
    let producer = match ProducerClaim::from_headers(map) {
        Ok(producer) => producer,
        Err(error) => return (operation, answer::bad_request(error)),
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            // protocol.md §6: a missing stream is reported before an oversized body.
            let refused = match service.engine.head(&path) {
                Err(missing) => refusal::lookup(&path, missing),
                Ok(_) => refusal::upload(error),
            };
            return (operation, refused);
        }
    };
    if body.is_empty() && !close {
        let reason = "the body is empty; send data, or Stream-Closed: true to close the stream";
        return (operation, answer::bad_request(reason));
    }
    let content_type = content_type(map);
    if !body.is_empty() && content_type.is_none() {
        return (operation, answer::bad_request("Content-Type is missing; send that of the stream"));
    }
    let body_len = body.len() as u64;
    let seq = map.get(headers::STREAM_SEQ);
    let append = AppendRequest {
        content_type: content_type.map(str::to_owned),
        body,
        close,
        seq: seq.map(|value| value.as_bytes().into()),
        producer,
    };
    let claim = append.producer.as_ref().map(|producer| producer.state);
    let answer = match service.engine.append(&path, append).await {
        Ok(appended) => {
            if appended.kind == AppendKind::Data {
                service.metrics.count_appended(body_len);
            }
            let is_new_data = appended.kind == AppendKind::Data && appended.producer.is_some();
            // protocol.md §6: 200 tells a producer that its data is new, 204 everything else.
            let status = if is_new_data { StatusCode::OK } else { StatusCode::NO_CONTENT };
            let mut answer = answer::uncached(status, Body::Empty);
            let map = answer.headers_mut();
            answer::set_next_offset(map, appended.tail);
            answer::set_flag(map, headers::STREAM_CLOSED, appended.closed);
            if let Some(ProducerState { epoch, seq }) = appended.producer {
                set_integer(map, headers::PRODUCER_EPOCH, epoch);
                set_integer(map, headers::PRODUCER_SEQ, seq);
            }
            answer
        }
        Err(error) => refusal::append(&path, &error, content_type, seq, claim),
    };
    (operation, answer)
}

/// Answers DELETE.
pub(crate) async fn delete(service: &Service, path: &StreamPath) -> Answer {
    match service.engine.delete(path).await {
        Ok(()) => answer::uncached(StatusCode::NO_CONTENT, Body::Empty),
        Err(error) => refusal::delete(path, &error),
    }
}

/// The content type as sent; `None` when absent, blank or not visible ASCII.
fn content_type(map: &HeaderMap) -> Option<&str> {
    map.get(header::CONTENT_TYPE)?.to_str().ok().map(str::trim).filter(|value| !value.is_empty())
}

pub(super) fn set_integer(map: &mut HeaderMap, name: HeaderName, value: u64) {
    map.insert(name, headers::integer_value(value));
}
