//! The control API (protocol.md §23.1): takes a request apart, asks the hub, words the
//! answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{
    Subscriptions,
    ack::Ack,
    command::{Answer, Command, Reply},
    config::{self, Config, Delivery, invalid, shown},
    error::ApiError,
    machine::Fence,
    root::Root,
};

/// Longest accepted subscription id and worker name. Units: bytes.
const MAX_NAME: usize = 256;

/// What a path below `__ds/` names.
#[derive(Debug, PartialEq, Eq)]
enum Resource<'r> {
    Jwks,
    Subscription { id: &'r str },
    Streams { id: &'r str },
    Stream { id: &'r str, path: &'r str },
    Callback { id: &'r str },
    Claim { id: &'r str },
    Ack { id: &'r str },
    Release { id: &'r str },
}

impl<'r> Resource<'r> {
    fn parse(rest: &'r str) -> Option<Self> {
        if rest == "jwks.json" {
            return Some(Self::Jwks);
        }
        let rest = rest.strip_prefix("subscriptions/")?;
        let (id, action) = rest.split_once('/').map_or((rest, None), |(id, action)| (id, Some(action)));
        if id.is_empty() {
            return None;
        }
        match action {
            None => Some(Self::Subscription { id }),
            Some("streams") => Some(Self::Streams { id }),
            Some("callback") => Some(Self::Callback { id }),
            Some("claim") => Some(Self::Claim { id }),
            Some("ack") => Some(Self::Ack { id }),
            Some("release") => Some(Self::Release { id }),
            Some(other) => {
                other.strip_prefix("streams/").filter(|path| !path.is_empty()).map(|path| Self::Stream { id, path })
            }
        }
    }

    const fn allow(&self) -> &'static str {
        match self {
            Self::Jwks => "GET, HEAD",
            Self::Subscription { .. } => "GET, HEAD, PUT, DELETE",
            Self::Stream { .. } => "DELETE",
            Self::Streams { .. }
            | Self::Callback { .. }
            | Self::Claim { .. }
            | Self::Ack { .. }
            | Self::Release { .. } => "POST",
        }
    }
}

impl Subscriptions {
    /// Answers a request below `<root>/__ds/`. `rest` is the raw path after that, without
    /// query; `public_base` is the scheme and authority clients reach this server under,
    /// without a trailing slash.
    /// Source: protocol.md §23.
    pub async fn handle(
        &self,
        method: &Method,
        rest: &str,
        headers: &HeaderMap,
        body: Bytes,
        public_base: &str,
    ) -> Response<Bytes> {
        let answer = match Resource::parse(rest) {
            Some(Resource::Jwks) if is_read(method) => return self.jwks(),
            Some(resource) => self.answer(method, &resource, headers, &body, public_base).await,
            None => Err(ApiError::UnknownPath),
        };
        match answer {
            Ok(Reply::Created(value)) => json(StatusCode::CREATED, &value),
            Ok(Reply::Ok(value)) => json(StatusCode::OK, &value),
            Ok(Reply::NoContent) => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Err(error) => refusal(&error),
        }
    }

    async fn answer(
        &self,
        method: &Method,
        resource: &Resource<'_>,
        headers: &HeaderMap,
        body: &[u8],
        public_base: &str,
    ) -> Answer {
        let public_base = self.public_url().unwrap_or(public_base).to_owned();
        let command = match (resource, method.as_str()) {
            (Resource::Subscription { id }, "PUT") => {
                Command::Create { id: parse_id(id)?, config: self.parse_config(body).await?, public_base }
            }
            (Resource::Subscription { id }, "GET" | "HEAD") => Command::Get { id: parse_id(id)?, public_base },
            (Resource::Subscription { id }, "DELETE") => Command::Delete { id: parse_id(id)? },
            (Resource::Streams { id }, "POST") => {
                let fields = config::object(body)?;
                let value = fields.get("streams").ok_or_else(|| invalid("the body needs \"streams\": [path, …]"))?;
                Command::Link { id: parse_id(id)?, streams: config::parse_streams(value, self.root())? }
            }
            (Resource::Stream { id, path }, "DELETE") => {
                // protocol.md §23.1: the path is one percent-encoded piece and may hold slashes.
                let stream = config::parse_stream("path", &Value::String(decode("path", path)?), self.root())?;
                Command::Unlink { id: parse_id(id)?, stream }
            }
            (Resource::Claim { id }, "POST") => {
                Command::Claim { id: parse_id(id)?, worker: parse_worker(&config::object(body)?)? }
            }
            (Resource::Callback { id }, "POST") => self.parse_acknowledge(id, "webhook", headers, body)?,
            (Resource::Ack { id }, "POST") => self.parse_acknowledge(id, "pull-wake", headers, body)?,
            (Resource::Release { id }, "POST") => {
                let (id, generation) = self.authorise(id, headers)?;
                Command::Release { fence: parse_fence(&config::object(body)?, generation)?, id }
            }
            (resource, _) => return Err(ApiError::MethodNotAllowed { allow: resource.allow() }),
        };
        self.ask(command).await
    }

    async fn parse_config(&self, body: &[u8]) -> Result<Config, ApiError> {
        let config = Config::parse(body, self.root())?;
        if let Delivery::Webhook { url } = &config.delivery {
            if self.guard().is_off() {
                return Err(invalid(
                    "this server sends no webhooks; use type \"pull-wake\", or start it with --webhooks https",
                ));
            }
            let rejected = |reason: super::ssrf::Rejected| ApiError::WebhookUrlRejected(reason.to_string());
            let url = self.guard().check_url(url).map_err(rejected)?;
            self.guard().check_name(&url).await.map_err(rejected)?;
        }
        Ok(config)
    }

    fn parse_acknowledge(
        &self,
        id: &str,
        kind: &'static str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Command, ApiError> {
        let (id, generation) = self.authorise(id, headers)?;
        let fields = config::object(body)?;
        let done = match fields.get("done") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(done)) => *done,
            Some(other) => return Err(invalid(format!("\"done\" must be true or false, not {}", shown(other)))),
        };
        let fence = parse_fence(&fields, generation)?;
        Ok(Command::Acknowledge { id, kind, fence, acks: parse_acks(&fields, self.root())?, done })
    }

    /// The subscription's id and the generation the bearer token is good for. Needs no
    /// state: whether that generation is the current one is the hub's question.
    fn authorise(&self, id: &str, headers: &HeaderMap) -> Result<(String, u64), ApiError> {
        let id = parse_id(id)?;
        let generation = self.tokens().verify(headers, &id, self.host().now_ms())?;
        Ok((id, generation))
    }

    fn jwks(&self) -> Response<Bytes> {
        let mut response = json(StatusCode::OK, &self.published_keys());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        response
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn json(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(error: &ApiError) -> Response<Bytes> {
    let mut response = json(error.status(), &error.body());
    let headers = response.headers_mut();
    if let ApiError::MethodNotAllowed { allow } = error {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if error.status() == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn decode(what: &str, raw: &str) -> Result<String, ApiError> {
    percent_decode_str(raw)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| invalid(format!("the {what} {raw:?} is not UTF-8 once percent-decoded")))
}

fn parse_id(raw: &str) -> Result<String, ApiError> {
    let id = decode("subscription id", raw)?;
    if id.len() > MAX_NAME {
        return Err(invalid(format!("the subscription id has {} bytes; {MAX_NAME} are allowed", id.len())));
    }
    if id.chars().any(char::is_control) {
        return Err(invalid(format!("the subscription id {id:?} contains a control character")));
    }
    Ok(id)
}

fn parse_worker(fields: &Map<String, Value>) -> Result<String, ApiError> {
    match fields.get("worker") {
        Some(Value::String(worker)) if !worker.is_empty() && worker.len() <= MAX_NAME => Ok(worker.clone()),
        Some(other) => {
            Err(invalid(format!("\"worker\" must be a name of 1 to {MAX_NAME} bytes, not {}", shown(other))))
        }
        None => Err(invalid("the body needs \"worker\": the name of the claiming worker")),
    }
}

fn parse_fence(fields: &Map<String, Value>, token_generation: u64) -> Result<Fence, ApiError> {
    let missing = |name: &str| invalid(format!("the body needs \"{name}\", as the wake or the claim gave it"));
    let wake_id = match fields.get("wake_id") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => return Err(invalid(format!("\"wake_id\" must be a string, not {}", shown(other)))),
        None => return Err(missing("wake_id")),
    };
    let generation = fields.get("generation").ok_or_else(|| missing("generation"))?;
    let generation = generation
        .as_u64()
        .ok_or_else(|| invalid(format!("\"generation\" must be an integer from 0, not {}", shown(generation))))?;
    Ok(Fence { token_generation, generation, wake_id })
}

fn parse_acks(fields: &Map<String, Value>, root: &Root) -> Result<Vec<Ack>, ApiError> {
    let items = match fields.get("acks") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(invalid(format!("\"acks\" must be an array, not {}", shown(other)))),
    };
    items.iter().map(|item| parse_ack(item, root)).collect()
}

fn parse_ack(item: &Value, root: &Root) -> Result<Ack, ApiError> {
    let stream = item.get("stream").or_else(|| item.get("path"));
    match (stream, item.get("offset")) {
        (Some(stream), Some(Value::String(offset))) => {
            Ok(Ack { stream: config::parse_stream("stream", stream, root)?, offset: offset.clone() })
        }
        _ => Err(invalid(format!(
            "an item of \"acks\" must be {{\"stream\": path, \"offset\": offset}}, not {}",
            shown(item)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources() {
        for (rest, expected) in [
            ("jwks.json", Some(Resource::Jwks)),
            ("subscriptions/a", Some(Resource::Subscription { id: "a" })),
            ("subscriptions/a%2Fb", Some(Resource::Subscription { id: "a%2Fb" })),
            ("subscriptions/a/streams", Some(Resource::Streams { id: "a" })),
            ("subscriptions/a/streams/x/y", Some(Resource::Stream { id: "a", path: "x/y" })),
            ("subscriptions/a/claim", Some(Resource::Claim { id: "a" })),
            ("subscriptions/a/streams/", None),
            ("subscriptions/a/", None),
            ("subscriptions/a/other", None),
            ("subscriptions/", None),
            ("subscriptions", None),
            ("subscriptions//claim", None),
            ("", None),
            ("anything", None),
        ] {
            assert_eq!(Resource::parse(rest), expected, "{rest:?}");
        }
    }
}
