//! `Native::Stream`: the operations of one request.

use std::sync::Arc;

use durable_streams_bindings::{
    Transport,
    client::{ClientConfig, Dynamic, RetryNumbers},
    message::Message,
    stream::{AppendConfig, Appended, Batching, CreateConfig, Stream},
};
use magnus::{Error, Module, Object, RHash, RModule, RString, Ruby, Value, function, method};

use crate::{
    convert::{Fields, Options, copied},
    error::raised,
    host::{Kept, Source, pieces, prepare_dispatcher},
    mock::NativeMock,
    wait::wait,
};

/// A handle.
#[magnus::wrap(class = "DurableStreams::Native::Stream", free_immediately)]
pub(crate) struct NativeStream(pub(crate) Stream);

pub(crate) fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Stream", ruby.class_object())?;
    class.define_singleton_method("new", function!(NativeStream::new, 1))?;
    class.define_method("url", method!(NativeStream::url, 0))?;
    class.define_method("content_type", method!(NativeStream::content_type, 0))?;
    class.define_method("create", method!(NativeStream::create, 1))?;
    class.define_method("append", method!(NativeStream::append, 3))?;
    class.define_method("append_body", method!(NativeStream::append_body, 2))?;
    class.define_method("append_stream", method!(NativeStream::append_stream, 2))?;
    class.define_method("close_stream", method!(NativeStream::close_stream, 3))?;
    class.define_method("delete", method!(NativeStream::delete, 0))?;
    class.define_method("head", method!(NativeStream::head, 0))
}

/// Retry numbers; absent ones keep the core's.
pub(crate) fn retry(options: &Options<'_>) -> Result<RetryNumbers, Error> {
    Ok(RetryNumbers {
        max_retries: options.get("max_retries")?,
        initial_delay_ms: options.get("initial_delay_ms")?,
        max_delay_ms: options.get("max_delay_ms")?,
        multiplier: options.get("multiplier")?,
    })
}

fn append_config(options: &Options<'_>) -> Result<AppendConfig, Error> {
    let producer = match options.get::<String>("producer_id")? {
        Some(id) => Some((id, options.get_or_default("producer_epoch")?, options.get_or_default("producer_seq")?)),
        None => None,
    };
    Ok(AppendConfig {
        seq: options.get("seq")?,
        if_match: options.get("if_match")?,
        content_type: options.get("content_type")?,
        producer,
        headers: options.get_or_default("headers")?,
    })
}

fn appended(ruby: &Ruby, appended: Appended) -> Result<RHash, Error> {
    Fields::new(ruby)
        .set("next_offset", appended.next_offset)?
        .set("duplicate", appended.duplicate)?
        .set("etag", appended.etag)?
        .set("closed", appended.closed)?
        .set("producer_epoch", appended.producer_epoch)?
        .set("producer_seq", appended.producer_seq)?
        .told(appended.told)
}

fn message(data: RString, is_value: bool) -> Message {
    if is_value { Message::Value(copied(data)) } else { Message::Text(copied(data)) }
}

impl NativeStream {
    fn new(ruby: &Ruby, options: RHash) -> Result<Self, Error> {
        let options = Options::new(ruby, options);
        let source = options.get::<Value>("source")?;
        let mut dynamic: Vec<Arc<dyn Dynamic>> = Vec::new();
        if let Some(source) = source {
            prepare_dispatcher();
            dynamic.push(Arc::new(Source(Kept::new(ruby, source)?)));
        }
        // A shared request has no thread of its own that could evaluate callables.
        let batching =
            if dynamic.is_empty() && options.get_or_default("batching")? { Batching::Shared } else { Batching::Off };
        let config = ClientConfig {
            base_url: options.get("base_url")?,
            headers: options.get_or_default("headers")?,
            params: options.get_or_default("params")?,
            dynamic,
            timeout_ms: options.get("timeout_ms")?,
            long_poll_timeout_ms: options.get("long_poll_timeout_ms")?,
            sse_idle_timeout_ms: options.get("sse_idle_timeout_ms")?,
            connect_timeout_ms: options.get("connect_timeout_ms")?,
            retry: retry(&options)?,
            transport: options.get::<&NativeMock>("mock")?.map(|mock| Arc::clone(&mock.0) as Arc<dyn Transport>),
            ..ClientConfig::default()
        };
        let url: String = options.get_or_default("url")?;
        let content_type: Option<String> = options.get("content_type")?;
        let stream = Stream::new(&config, &url, content_type.as_deref()).map_err(|error| raised(ruby, &error))?;
        Ok(Self(stream.with_batching(batching)))
    }

    fn url(&self) -> String {
        self.0.url().to_owned()
    }

    fn content_type(&self) -> Option<String> {
        self.0.content_type().map(str::to_owned)
    }

    fn create(ruby: &Ruby, this: &Self, options: RHash) -> Result<RHash, Error> {
        let options = Options::new(ruby, options);
        let config = CreateConfig {
            content_type: options.get("content_type")?,
            ttl_seconds: options.get("ttl_seconds")?,
            expires_at: options.get("expires_at")?,
            body: options.bytes("body")?,
            closed: options.get_or_default("closed")?,
            fork_from: options.get("fork_from")?,
            fork_offset: options.get("fork_offset")?,
            fork_sub_offset: options.get("fork_sub_offset")?,
            headers: options.get_or_default("headers")?,
        };
        let created = wait(ruby, this.0.create(config))?;
        Fields::new(ruby)
            .set("is_new", created.is_new)?
            .set("content_type", created.content_type)?
            .set("next_offset", created.next_offset)?
            .set("closed", created.closed)?
            .told(created.told)
    }

    fn append(ruby: &Ruby, this: &Self, data: RString, is_value: bool, options: RHash) -> Result<RHash, Error> {
        Self::send(ruby, this, message(data, is_value), options)
    }

    /// Sends a request's body as it is.
    fn append_body(ruby: &Ruby, this: &Self, data: RString, options: RHash) -> Result<RHash, Error> {
        Self::send(ruby, this, Message::Body(copied(data)), options)
    }

    fn send(ruby: &Ruby, this: &Self, message: Message, options: RHash) -> Result<RHash, Error> {
        let config = append_config(&Options::new(ruby, options))?;
        appended(ruby, wait(ruby, this.0.append(message, config))?)
    }

    /// Sends what a callable gives until it gives nothing.
    fn append_stream(ruby: &Ruby, this: &Self, source: Value, options: RHash) -> Result<RHash, Error> {
        let config = append_config(&Options::new(ruby, options))?;
        let source = Kept::new(ruby, source)?;
        let work = async { this.0.append_streaming(pieces(source).await?, config).await };
        appended(ruby, wait(ruby, work)?)
    }

    fn close_stream(
        ruby: &Ruby,
        this: &Self,
        data: Option<RString>,
        is_value: bool,
        content_type: Option<String>,
    ) -> Result<RHash, Error> {
        let last = data.map(|data| message(data, is_value));
        let closed = wait(ruby, this.0.close_stream(last, content_type.as_deref(), &[]))?;
        Fields::new(ruby).set("final_offset", closed.final_offset)?.told(closed.told)
    }

    fn delete(ruby: &Ruby, this: &Self) -> Result<RHash, Error> {
        let told = wait(ruby, this.0.delete(&[]))?;
        Fields::new(ruby).told(told)
    }

    fn head(ruby: &Ruby, this: &Self) -> Result<RHash, Error> {
        let head = wait(ruby, this.0.head(&[]))?;
        Fields::new(ruby)
            .set("content_type", head.content_type)?
            .set("next_offset", head.offset)?
            .set("stream_closed", head.closed)?
            .set("ttl_seconds", head.ttl_seconds)?
            .set("expires_at", head.expires_at)?
            .set("etag", head.etag)?
            .set("cache_control", head.cache_control)?
            .told(head.told)
    }
}
