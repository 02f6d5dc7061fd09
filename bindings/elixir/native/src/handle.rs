//! What a handle of the Elixir side says, as a stream of the shared layer; and the content
//! types that streams were found to have.
//!
//! Handles over there are plain data, made anew for every pipe: what one call learned about a
//! stream must be found by the next, so it is kept here by URL.

use std::{collections::HashMap, sync::Arc};

use durable_streams_bindings::{
    ErrorCode, ErrorInfo,
    client::{ClientConfig, Dynamic, RetryNumbers},
    stream::{Batching, Stream},
};
use parking_lot::Mutex;
use rustler::{Encoder, Env, NifResult, Term, types::atom};

use crate::{error::details, options::Options, provider::Source};

/// URLs to remember, at most; then all are forgotten. Each is asked about once more.
const MOST_LEARNED: usize = 10_000;

static LEARNED: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// A stream to work on.
pub(crate) struct Handle {
    pub(crate) stream: Stream,
    /// Whether its content type comes from an earlier call and not from the caller.
    is_learned: bool,
}

impl Handle {
    /// The handle a map describes. A setting that cannot be used is for the caller to hear of
    /// as the operation's outcome.
    pub(crate) fn new(map: Term<'_>) -> NifResult<Result<Self, ErrorInfo>> {
        let options = Options::new(map);
        let mut dynamic: Vec<Arc<dyn Dynamic>> = Vec::new();
        if let Some(function) = options.get::<Term<'_>>("source")? {
            dynamic.push(Arc::new(Source::new(function)));
        }
        let config = ClientConfig {
            headers: options.get_or_default("headers")?,
            params: options.get_or_default("params")?,
            dynamic,
            timeout_ms: options.number("timeout_ms")?,
            long_poll_timeout_ms: options.number("long_poll_timeout_ms")?,
            sse_idle_timeout_ms: options.number("sse_idle_timeout_ms")?,
            connect_timeout_ms: options.number("connect_timeout_ms")?,
            retry: RetryNumbers {
                max_retries: options.number("max_retries")?,
                initial_delay_ms: options.number("initial_delay_ms")?,
                max_delay_ms: options.number("max_delay_ms")?,
                multiplier: options.number("multiplier")?,
            },
            ..ClientConfig::default()
        };
        let url: String = options.get_or_default("url")?;
        let stated: Option<String> = options.get("content_type")?;
        let learned = if stated.is_none() { learned(&url) } else { None };
        let is_learned = learned.is_some();
        let content_type = stated.or(learned);
        Ok(config.client().map(|client| Self {
            stream: Stream::of(&client, &url, content_type.as_deref(), Batching::Off),
            is_learned,
        }))
    }

    /// Keeps what the call found out about the content type.
    pub(crate) fn note<T>(&self, outcome: &Result<T, ErrorInfo>) {
        match outcome {
            // The stream was made anew with another type; the next call asks.
            Err(error) if error.code() == ErrorCode::ContentTypeMismatch && self.is_learned => self.forget(),
            Ok(_) | Err(_) if !self.is_learned => {
                if let Some(content_type) = self.stream.content_type() {
                    self.learn(content_type);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }

    pub(crate) fn learn(&self, content_type: &str) {
        let mut learned = LEARNED.lock();
        let learned = learned.get_or_insert_default();
        if learned.len() >= MOST_LEARNED {
            learned.clear();
        }
        learned.insert(self.stream.url().to_owned(), content_type.to_owned());
    }

    pub(crate) fn forget(&self) {
        if let Some(learned) = LEARNED.lock().as_mut() {
            learned.remove(self.stream.url());
        }
    }
}

/// Whether a handle's settings can be used: `:ok` or `{:error, details}`.
#[rustler::nif]
fn check_settings<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    Ok(match Handle::new(handle)? {
        Ok(_) => atom::ok().encode(env),
        Err(error) => (atom::error(), details(env, &error)).encode(env),
    })
}

fn learned(url: &str) -> Option<String> {
    LEARNED.lock().as_ref()?.get(url).cloned()
}
