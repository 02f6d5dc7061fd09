//! What is kept between commands: the client, content types, producers, dynamic values.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use durable_streams::{
    Client, DurableStream, Producer,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::{
    command::Command,
    outcome::{Outcome, Problem, success},
};

/// Names a producer between commands.
pub(crate) type ProducerKey = (String, String, u64);

/// Everything kept between commands.
#[derive(Default)]
pub(crate) struct Session {
    client: Option<Client>,
    server_url: String,
    content_types: HashMap<String, String>,
    pub(crate) producers: HashMap<ProducerKey, Producer>,
    headers: Vec<Dynamic>,
    params: Vec<Dynamic>,
}

/// A header or parameter whose value changes.
#[derive(Clone)]
struct Dynamic {
    name: String,
    kind: Kind,
    count: u64,
}

#[derive(Clone)]
enum Kind {
    /// Counts commands.
    Counter,
    /// Counts HTTP requests.
    RequestCounter,
    Timestamp,
    Token(String),
    /// Fails with this reason instead of giving a value.
    Failing(String),
}

/// What a provider gives, or why it cannot.
type Given<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Dynamic values of one command: what is sent, and what was.
#[derive(Default)]
pub(crate) struct Sent(Arc<Mutex<Values>>);

#[derive(Default)]
struct Values {
    headers: Vec<Dynamic>,
    params: Vec<Dynamic>,
    headers_sent: Vec<(String, String)>,
    params_sent: Vec<(String, String)>,
}

impl Session {
    pub(crate) fn init(&mut self, command: &Command) -> Outcome {
        *self = Self { server_url: command.server_url.trim_end_matches('/').to_owned(), ..Self::default() };
        self.client = Some(Client::builder().base_url(&self.server_url).build()?);
        Ok(json!({
            "type": "init",
            "success": true,
            "clientName": "durable-streams (Rust)",
            "clientVersion": env!("CARGO_PKG_VERSION"),
            "features": {
                "batching": true, "sse": true, "longPoll": true, "auto": true, "streaming": true,
                "dynamicHeaders": true, "retryOptions": true, "batchItems": true, "strictZeroValidation": true,
                "configure": true, "etag": true, "cursor": true, "fork": true, "producerRestart": true,
                "requestCounter": true, "errorDetails": true, "appendProducer": true, "readers": true,
                "failingProvider": true, "sseIdle": true,
            },
        }))
    }

    /// Time limits of the client.
    pub(crate) fn configure(&mut self, command: &Command) -> Outcome {
        let mut builder = Client::builder().base_url(&self.server_url);
        if let Some(ms) = command.long_poll_timeout_ms {
            builder = builder.long_poll_timeout(Duration::from_millis(ms));
        }
        if let Some(ms) = command.request_timeout_ms {
            builder = builder.timeout(Duration::from_millis(ms));
        }
        if let Some(ms) = command.sse_idle_timeout_ms {
            builder = builder.sse_idle_timeout(Duration::from_millis(ms));
        }
        self.client = Some(builder.build()?);
        Ok(success("configure"))
    }

    /// The stream of a command, with the content type known from earlier ones.
    pub(crate) fn stream(&self, command: &Command) -> Result<DurableStream, Problem> {
        self.stream_of(self.client()?, command)
    }

    /// The same, sending dynamic values.
    pub(crate) fn dynamic_stream(&mut self, command: &Command) -> Result<(DurableStream, Sent), Problem> {
        if self.headers.is_empty() && self.params.is_empty() {
            return Ok((self.stream(command)?, Sent::default()));
        }
        for dynamic in self.headers.iter_mut().chain(&mut self.params) {
            if !matches!(dynamic.kind, Kind::RequestCounter) {
                dynamic.count += 1;
            }
        }
        let is_dynamic =
            |dynamic: &&Dynamic| !command.headers.keys().any(|name| name.eq_ignore_ascii_case(&dynamic.name));
        let values = Arc::new(Mutex::new(Values {
            headers: self.headers.iter().filter(is_dynamic).cloned().collect(),
            params: self.params.clone(),
            ..Values::default()
        }));
        let (for_headers, for_params) = (Arc::clone(&values), Arc::clone(&values));
        let client = self.client()?.to_builder();
        let client = client.header_provider_async(move || std::future::ready(lock(&for_headers).next_headers()));
        let client = client.param_provider_async(move || std::future::ready(lock(&for_params).next_params()));
        let client = client.build()?;
        Ok((self.stream_of(&client, command)?, Sent(values)))
    }

    /// Keeps the counts of values that count requests.
    pub(crate) fn keep_counts(&mut self, sent: &Sent) {
        let values = lock(&sent.0);
        for (kept, used) in [(&mut self.headers, &values.headers), (&mut self.params, &values.params)] {
            for dynamic in kept.iter_mut().filter(|dynamic| matches!(dynamic.kind, Kind::RequestCounter)) {
                if let Some(used) = used.iter().find(|used| used.name == dynamic.name) {
                    dynamic.count = used.count;
                }
            }
        }
    }

    /// Remembers or forgets the content type of a path.
    pub(crate) fn learn(&mut self, path: &str, content_type: Option<&str>) {
        match content_type {
            Some(content_type) => self.content_types.insert(path.to_owned(), content_type.to_owned()),
            None => self.content_types.remove(path),
        };
    }

    /// Whether the path is known to hold JSON.
    pub(crate) fn is_json(&self, path: &str) -> bool {
        self.content_types.get(path).is_some_and(|content_type| {
            content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        })
    }

    pub(crate) fn set_dynamic_header(&mut self, command: &Command) -> Outcome {
        set(&mut self.headers, command)?;
        Ok(success("set-dynamic-header"))
    }

    pub(crate) fn set_dynamic_param(&mut self, command: &Command) -> Outcome {
        set(&mut self.params, command)?;
        Ok(success("set-dynamic-param"))
    }

    pub(crate) fn clear_dynamic(&mut self) -> Outcome {
        self.headers.clear();
        self.params.clear();
        Ok(success("clear-dynamic"))
    }

    fn client(&self) -> Result<&Client, Problem> {
        self.client.as_ref().ok_or_else(|| Problem::invalid("init must come first"))
    }

    fn stream_of(&self, client: &Client, command: &Command) -> Result<DurableStream, Problem> {
        // A path starts with `/` and follows the server's URL (adapter-protocol §1).
        let mut stream = client.stream(&format!("{}{}", self.server_url, command.path));
        if let Some(content_type) = self.content_types.get(&command.path) {
            stream.set_content_type(content_type);
        }
        Ok(stream)
    }
}

fn set(all: &mut Vec<Dynamic>, command: &Command) -> Result<(), Problem> {
    let kind = match command.value_type.as_str() {
        "counter" => Kind::Counter,
        "request-counter" => Kind::RequestCounter,
        "timestamp" => Kind::Timestamp,
        "token" => Kind::Token(command.initial_value.clone().unwrap_or_default()),
        "failing" => Kind::Failing(command.initial_value.clone().unwrap_or_default()),
        other => return Err(Problem::not_supported(format!("there is no valueType {other:?}"))),
    };
    all.retain(|dynamic| dynamic.name != command.name);
    all.push(Dynamic { name: command.name.clone(), kind, count: 0 });
    Ok(())
}

impl Sent {
    /// Adds what was sent to a result.
    pub(crate) fn tell(&self, result: &mut Value) {
        let values = lock(&self.0);
        for (key, sent) in [("headersSent", &values.headers_sent), ("paramsSent", &values.params_sent)] {
            if !sent.is_empty() {
                result[key] = sent.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
            }
        }
    }
}

impl Values {
    fn next_headers(&mut self) -> Given<HeaderMap> {
        self.headers_sent = self.headers.iter_mut().map(Dynamic::next).collect::<Given<_>>()?;
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers_sent {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                map.insert(name, value);
            }
        }
        Ok(map)
    }

    fn next_params(&mut self) -> Given<Vec<(String, String)>> {
        self.params_sent = self.params.iter_mut().map(Dynamic::next).collect::<Given<_>>()?;
        Ok(self.params_sent.clone())
    }
}

impl Dynamic {
    fn next(&mut self) -> Given<(String, String)> {
        let value = match &self.kind {
            Kind::Counter => self.count.to_string(),
            Kind::RequestCounter => {
                self.count += 1;
                self.count.to_string()
            }
            Kind::Timestamp => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                now.as_millis().to_string()
            }
            Kind::Token(token) => token.clone(),
            Kind::Failing(reason) => return Err(reason.as_str().into()),
        };
        Ok((self.name.clone(), value))
    }
}

fn lock(values: &Mutex<Values>) -> std::sync::MutexGuard<'_, Values> {
    values.lock().unwrap_or_else(PoisonError::into_inner)
}
