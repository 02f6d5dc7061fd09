//! One stream: create, append, close, delete, head.

use std::sync::Arc;

use durable_streams::{
    AppendOptions, Client, CloseOptions, CreateOptions, DeleteOptions, DurableStream, HeadOptions,
    detailed::Answer,
    protocol::{content_type, response},
    transport::BodyStream,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    Bytes,
    client::{ClientConfig, span},
    error::{ErrorInfo, header_pairs},
    message::{self, Message},
    runtime,
};

/// How concurrent appends of one handle travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batching {
    /// Each append is a request of its own.
    #[default]
    Off,
    /// Appends that come while one is under way share the next request.
    Shared,
    /// The same, and a failed request fails those that waited behind it: what was called
    /// later is never stored without what was called before.
    Ordered,
}

/// A handle to one stream. Clones share connections and what is known of the stream.
#[derive(Clone, Debug)]
pub struct Stream {
    inner: DurableStream,
    queue: Arc<Queue>,
    made_in: u64,
}

/// Settings of a stream to create; absent ones are not sent.
#[derive(Debug, Clone, Default)]
pub struct CreateConfig {
    /// Content type; a fork inherits its source's.
    pub content_type: Option<String>,
    /// Sliding time to live. Units: seconds; a fraction counts as a further second.
    pub ttl_seconds: Option<f64>,
    /// Fixed deadline, RFC 3339.
    pub expires_at: Option<String>,
    /// First data.
    pub body: Option<Bytes>,
    /// Creates the stream closed.
    pub closed: bool,
    /// Source of a fork: its URL on the same server, its path there, or with a base URL its name
    /// below that.
    pub fork_from: Option<String>,
    /// Where the fork diverges.
    pub fork_offset: Option<String>,
    /// How far into the unit at the fork offset. Units: bytes or messages.
    pub fork_sub_offset: Option<u64>,
    /// Headers of this request.
    pub headers: Vec<(String, String)>,
}

/// Settings of an append.
#[derive(Debug, Clone, Default)]
pub struct AppendConfig {
    /// Writer coordination token.
    pub seq: Option<String>,
    /// Only if the stream still has this entity tag.
    pub if_match: Option<String>,
    /// Content type of the data, instead of the handle's.
    pub content_type: Option<String>,
    /// Producer id, epoch and sequence number, counted by the caller.
    pub producer: Option<(String, u64, u64)>,
    /// Headers of this request.
    pub headers: Vec<(String, String)>,
}

/// What the server said to an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// How many times the request was sent.
    pub attempts: u32,
}

/// A created stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Created {
    /// Whether this call created it.
    pub is_new: bool,
    /// Content type as stored.
    pub content_type: Option<String>,
    /// The tail.
    pub next_offset: Option<String>,
    /// Whether the stream is closed.
    pub closed: bool,
    /// The answer.
    pub told: Told,
}

/// A stored append.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// The new tail; a server may leave it out for duplicates.
    pub next_offset: Option<String>,
    /// Whether the server had accepted this producer request before.
    pub duplicate: bool,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
    /// Epoch in force, for a producer's request.
    pub producer_epoch: Option<u64>,
    /// Highest accepted sequence number, for a producer's request.
    pub producer_seq: Option<u64>,
    /// The answer.
    pub told: Told,
}

/// A closed stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closed {
    /// The tail, which no longer moves.
    pub final_offset: Option<String>,
    /// The answer.
    pub told: Told,
}

/// What a server tells about a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Content type as stored.
    pub content_type: Option<String>,
    /// The tail.
    pub offset: String,
    /// Whether the stream is closed.
    pub closed: bool,
    /// Sliding time to live as configured. Units: seconds.
    pub ttl_seconds: Option<u64>,
    /// Fixed deadline, RFC 3339.
    pub expires_at: Option<String>,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
    /// How caches may keep it.
    pub cache_control: Option<String>,
    /// The answer.
    pub told: Told,
}

impl Stream {
    /// A handle, without any I/O. A URL that cannot be used fails the first operation.
    /// Errors: `INVALID_ARGUMENT` naming the setting.
    pub fn new(config: &ClientConfig, url: &str, content_type: Option<&str>) -> Result<Self, ErrorInfo> {
        Ok(Self::of(&config.client()?, url, content_type, Batching::Off))
    }

    /// A handle of a client that exists.
    pub fn of(client: &Client, url: &str, content_type: Option<&str>, batching: Batching) -> Self {
        let mut inner = client.stream(url);
        if let Some(content_type) = content_type {
            inner.set_content_type(content_type);
        }
        Self { inner, queue: Arc::new(Queue::new(batching)), made_in: runtime::generation() }
    }

    /// The same stream with another way for concurrent appends to travel.
    #[must_use]
    pub fn with_batching(mut self, batching: Batching) -> Self {
        self.queue = Arc::new(Queue::new(batching));
        self
    }

    /// The stream's URL, without credentials.
    pub fn url(&self) -> &str {
        self.inner.url()
    }

    /// The content type, if it was stated or learned.
    pub fn content_type(&self) -> Option<&str> {
        self.inner.content_type()
    }

    /// The core's handle.
    pub const fn core(&self) -> &DurableStream {
        &self.inner
    }

    /// Refuses to work in the child of a fork.
    /// Errors: `INTERNAL_ERROR`.
    pub fn check(&self) -> Result<(), ErrorInfo> {
        runtime::check(self.made_in, "stream handle")
    }

    /// Creates the stream; the same settings on a stream that exists are success.
    /// Errors: `ALREADY_EXISTS`, `INVALID_ARGUMENT`, `NOT_FOUND` (a fork's source).
    /// Source: protocol.md §5, §21.
    pub async fn create(&self, config: CreateConfig) -> Result<Created, ErrorInfo> {
        self.check()?;
        let mut options = CreateOptions::new().closed(config.closed);
        if let Some(content_type) = config.content_type {
            options = options.content_type(content_type);
        }
        if let Some(ttl) = span("ttl_seconds", config.ttl_seconds.map(|seconds| seconds * 1000.0))? {
            options = options.ttl(ttl);
        }
        if let Some(instant) = config.expires_at {
            options = options.expires_at(instant);
        }
        if let Some(body) = config.body {
            options = options.initial_data(body);
        }
        if let Some(source) = config.fork_from {
            options = options.fork_from(source);
        }
        if let Some(offset) = config.fork_offset {
            options = options.fork_offset(offset);
        }
        if let Some(sub_offset) = config.fork_sub_offset {
            options = options.fork_sub_offset(sub_offset);
        }
        for (name, value) in &config.headers {
            options = options.header(name, value);
        }
        let answer = self.inner.detailed().create(options).await?;
        let told = told(&answer);
        let value = answer.value;
        Ok(Created {
            is_new: value.is_new,
            content_type: value.content_type,
            next_offset: value.next_offset,
            closed: value.closed,
            told,
        })
    }

    /// Appends one message and resolves once the server has stored it, perhaps in one request
    /// with others. The data leaves in the order of the calls.
    /// Errors: `INVALID_ARGUMENT`, `NOT_FOUND`, `STREAM_CLOSED`, `SEQUENCE_CONFLICT`,
    /// `CONTENT_TYPE_MISMATCH`, `PAYLOAD_TOO_LARGE`. Source: protocol.md §6.
    pub async fn append(&self, message: Message, config: AppendConfig) -> Result<Appended, ErrorInfo> {
        self.check()?;
        let is_alone = config.producer.is_some()
            || config.if_match.is_some()
            || !config.headers.is_empty()
            || !message.can_share();
        if is_alone || self.queue.batching == Batching::Off {
            return self.append_now(vec![message], config).await;
        }
        self.enqueue(message, config)?.await.unwrap_or_else(|_| Err(ErrorInfo::cancelled()))
    }

    /// Appends data that is still being made, as one append: stored whole or not at all. Sent
    /// once; the producer of `config` is not used.
    /// Shape: the request's body as it is. Errors: as [`Stream::append`].
    pub async fn append_streaming(&self, body: BodyStream, config: AppendConfig) -> Result<Appended, ErrorInfo> {
        self.check()?;
        let content_type = self.type_for(&[], config.content_type.as_deref()).await?;
        let mut options = AppendOptions::new().content_type(content_type);
        if let Some(seq) = config.seq {
            options = options.seq(seq);
        }
        if let Some(etag) = config.if_match {
            options = options.if_match(etag);
        }
        for (name, value) in &config.headers {
            options = options.header(name, value);
        }
        Ok(self.inner.detailed().append_streaming(body, options).await?.into())
    }

    /// Puts a message in the queue at once, in the order of the calls; the receiver resolves
    /// when the server has stored it. Dropping the receiver takes back what has not been sent;
    /// when all have dropped theirs, the request under way is aborted.
    /// Errors: `INTERNAL_ERROR` without a runtime.
    pub fn enqueue(&self, message: Message, config: AppendConfig) -> Result<oneshot::Receiver<Stored>, ErrorInfo> {
        let (tell, told) = oneshot::channel();
        let waiting = Waiting { message, seq: config.seq, content_type: config.content_type, tell };
        if self.queue.push(waiting) {
            let stream = self.clone();
            runtime::handle()?.spawn(async move { stream.drain_queue().await });
        }
        Ok(told)
    }

    /// Ends the stream for everyone, with a last message if there is one.
    /// Errors: `NOT_FOUND`; `STREAM_CLOSED` if there is a last message. Source: protocol.md §7.
    pub async fn close_stream(
        &self,
        last: Option<Message>,
        content_type: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<Closed, ErrorInfo> {
        self.check()?;
        let mut options = CloseOptions::new();
        if let Some(last) = last {
            let content_type = self.type_for(std::slice::from_ref(&last), content_type).await?;
            last.check(&content_type)?;
            options = options.data(message::body(&[last], &content_type)).content_type(content_type);
        }
        for (name, value) in headers {
            options = options.header(name, value);
        }
        let answer = self.inner.detailed().close(options).await?;
        let told = told(&answer);
        Ok(Closed { final_offset: answer.value.final_offset, told })
    }

    /// Deletes the stream with all its data.
    /// Errors: `NOT_FOUND`, `GONE`. Source: protocol.md §8.
    pub async fn delete(&self, headers: &[(String, String)]) -> Result<Told, ErrorInfo> {
        self.check()?;
        let options = headers.iter().fold(DeleteOptions::new(), |options, (name, value)| options.header(name, value));
        Ok(told(&self.inner.detailed().delete(options).await?))
    }

    /// Asks for the stream's metadata.
    /// Errors: `NOT_FOUND`, `GONE`. Source: protocol.md §9.
    pub async fn head(&self, headers: &[(String, String)]) -> Result<Head, ErrorInfo> {
        self.check()?;
        let options = headers.iter().fold(HeadOptions::new(), |options, (name, value)| options.header(name, value));
        let answer = self.inner.detailed().head(options).await?;
        let told = told(&answer);
        let value = answer.value;
        Ok(Head {
            content_type: value.content_type,
            offset: value.next_offset,
            closed: value.closed,
            ttl_seconds: value.ttl_seconds,
            expires_at: value.expires_at,
            etag: value.etag,
            cache_control: value.cache_control,
            told,
        })
    }

    /// The type these messages are written with. A value makes JSON of a type nobody knows.
    async fn type_for(&self, messages: &[Message], stated: Option<&str>) -> Result<String, ErrorInfo> {
        if let Some(known) = stated.or_else(|| self.inner.content_type()) {
            return Ok(known.to_owned());
        }
        if messages.iter().any(|message| matches!(message, Message::Value(_))) {
            return Ok(content_type::JSON.to_owned());
        }
        Ok(self.inner.detailed().write_content_type().await?)
    }

    async fn append_now(&self, messages: Vec<Message>, config: AppendConfig) -> Result<Appended, ErrorInfo> {
        let content_type = self.type_for(&messages, config.content_type.as_deref()).await?;
        for message in &messages {
            message.check(&content_type)?;
        }
        let body = message::body(&messages, &content_type);
        drop(messages);
        let mut options = AppendOptions::new().content_type(content_type);
        if let Some(seq) = config.seq {
            options = options.seq(seq);
        }
        if let Some(etag) = config.if_match {
            options = options.if_match(etag);
        }
        if let Some((id, epoch, seq)) = config.producer {
            options = options.producer(id, epoch, seq);
        }
        for (name, value) in &config.headers {
            options = options.header(name, value);
        }
        Ok(self.inner.detailed().append(body, options).await?.into())
    }

    /// Sends what is queued, request by request, until nothing is left.
    async fn drain_queue(&self) {
        while let Some(group) = self.queue.next_group() {
            self.send_group(group).await;
        }
    }

    async fn send_group(&self, group: Vec<Waiting>) {
        // Who no longer waits has taken the message back.
        let group: Vec<Waiting> = group.into_iter().filter(|waiting| !waiting.tell.is_closed()).collect();
        let stated = group.first().and_then(|waiting| waiting.content_type.clone());
        let (good, mut tells) = match self.sort_out(group, stated.as_deref()).await {
            Ok(sorted) => sorted,
            Err(()) => return,
        };
        if good.is_empty() {
            return;
        }
        let seq = tells.iter().rev().find_map(|(_, seq)| seq.clone());
        let config = AppendConfig { seq, content_type: stated, ..AppendConfig::default() };
        let stored = tokio::select! {
            biased;
            stored = self.append_now(good, config) => stored,
            // Everybody took theirs back: the request goes, too. It may have been carried out.
            () = all_gone(&mut tells) => return,
        };
        if let (Err(error), Batching::Ordered) = (&stored, self.queue.batching) {
            self.queue.fail_all(error);
        }
        for (tell, _) in tells {
            // Nobody waits any more: the data is stored all the same.
            let _ = tell.send(stored.clone());
        }
    }

    /// Parts the messages that can be sent from those that are refused, which are told so.
    async fn sort_out(&self, group: Vec<Waiting>, stated: Option<&str>) -> Result<(Vec<Message>, Vec<Teller>), ()> {
        let messages: Vec<Message> = group.iter().map(|waiting| waiting.message.clone()).collect();
        let content_type = match self.type_for(&messages, stated).await {
            Ok(content_type) => content_type,
            Err(error) => {
                for waiting in group {
                    let _ = waiting.tell.send(Err(error.clone()));
                }
                return Err(());
            }
        };
        let (mut good, mut tells) = (Vec::new(), Vec::new());
        for waiting in group {
            match waiting.message.check(&content_type) {
                Ok(()) => {
                    good.push(waiting.message);
                    tells.push((waiting.tell, waiting.seq));
                }
                Err(error) => drop(waiting.tell.send(Err(error))),
            }
        }
        Ok((good, tells))
    }
}

async fn all_gone(tells: &mut [Teller]) {
    for (tell, _) in tells {
        tell.closed().await;
    }
}

/// What an append ended with.
pub type Stored = Result<Appended, ErrorInfo>;

/// Whom to tell, and the token the message came with.
type Teller = (oneshot::Sender<Stored>, Option<String>);

/// Appends of one handle that wait for the request before theirs.
#[derive(Debug)]
struct Queue {
    batching: Batching,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: Vec<Waiting>,
    is_draining: bool,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    seq: Option<String>,
    content_type: Option<String>,
    tell: oneshot::Sender<Stored>,
}

impl Queue {
    /// Most bytes that share a request. A server may limit bodies; a larger message travels
    /// alone.
    const MAX_BYTES: usize = 1024 * 1024;

    fn new(batching: Batching) -> Self {
        Self { batching, state: Mutex::default() }
    }

    /// Adds an append; `true` when somebody must start to drain.
    fn push(&self, waiting: Waiting) -> bool {
        let mut state = self.state.lock();
        state.waiting.push(waiting);
        !std::mem::replace(&mut state.is_draining, true)
    }

    /// The appends of the next request: those at the front that share a content type and fit
    /// together. `None` ends the draining.
    fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        let Some(first) = state.waiting.first() else {
            state.is_draining = false;
            return None;
        };
        let content_type = first.content_type.clone();
        let mut bytes = 0;
        let fitting = state.waiting.iter().take_while(|waiting| {
            bytes += waiting.message.bytes().len();
            waiting.content_type == content_type && bytes <= Self::MAX_BYTES
        });
        let count = fitting.count().max(1);
        Some(state.waiting.drain(..count).collect())
    }

    fn fail_all(&self, error: &ErrorInfo) {
        let waiting = std::mem::take(&mut self.state.lock().waiting);
        for waiting in waiting {
            let _ = waiting.tell.send(Err(error.clone()));
        }
    }
}

impl From<Answer<response::append::Appended>> for Appended {
    fn from(answer: Answer<response::append::Appended>) -> Self {
        let told = told(&answer);
        let value = answer.value;
        Self {
            next_offset: value.next_offset,
            duplicate: value.duplicate,
            closed: value.closed,
            etag: value.etag,
            producer_epoch: value.producer_epoch,
            producer_seq: value.producer_seq,
            told,
        }
    }
}

fn told<T>(answer: &Answer<T>) -> Told {
    Told { status: answer.head.status.as_u16(), headers: header_pairs(&answer.head.headers), attempts: answer.attempts }
}
