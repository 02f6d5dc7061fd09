//! The one-shot operations with everything their answers told. [`DurableStream`]'s own
//! methods and all bindings stand on these.

use std::time::Duration;

use bytes::Bytes;
use durable_streams_protocol::{
    content_type,
    expiry::{Deadline, Expiry},
    request::{
        self, InvalidArgument,
        append::{Append, ProducerTag},
        close::Close,
        create::{Create, Fork},
    },
    response::{self, append::Appended, close::Closed, create::Created, head::Metadata},
};

pub use crate::driver::one_shot::Answer;
use crate::{
    Offset,
    driver::{
        exchange::Extras,
        one_shot::{perform, perform_streaming},
        url::{StreamUrl, is_absolute, join},
    },
    error::{ErrorCode, Failure},
    options::{AppendOptions, CloseOptions, CreateOptions, DeleteOptions, HeadOptions, HeadResponse, UserHeaders},
    stream::DurableStream,
    transport::BodyStream,
};

/// The operations of one stream; see [`DurableStream::detailed`].
#[derive(Debug, Clone, Copy)]
pub struct Detailed<'a> {
    stream: &'a DurableStream,
}

impl<'a> Detailed<'a> {
    pub(crate) const fn new(stream: &'a DurableStream) -> Self {
        Self { stream }
    }

    /// Creates the stream; the answer tells whether it is new.
    /// Errors: `ALREADY_EXISTS`, `INVALID_ARGUMENT`, `BAD_REQUEST`, `NOT_FOUND` (a fork's source).
    /// Source: protocol.md §5, §21.
    pub async fn create(&self, options: CreateOptions) -> Result<Answer<Created>, Failure> {
        let source = options.fork_from.as_deref().map(|source| self.fork_source(source)).transpose()?;
        let stated = options.content_type.as_deref().or_else(|| self.stream.stated());
        let fallback = source.is_none().then_some(content_type::DEFAULT);
        let create = Create {
            content_type: stated.or(fallback),
            expiry: expiry(&options)?,
            body: options.initial_data.clone(),
            closed: options.closed,
            fork: fork(&options, source.as_deref())?,
        };
        let plan = create.plan()?;
        let read = |plan: &_, head: &_, _| response::create::outcome(plan, head);
        let answer = self.perform(&plan, &options.headers, read).await?;
        self.stream.learned().set(answer.value.content_type.as_deref().or(stated).or(fallback));
        Ok(answer)
    }

    /// Appends data.
    /// Shape: bytes; on JSON streams one JSON text, whose top-level array becomes several
    /// messages. Errors: `NOT_FOUND`, `STREAM_CLOSED`, `SEQUENCE_CONFLICT`,
    /// `CONTENT_TYPE_MISMATCH`, `PAYLOAD_TOO_LARGE`; with a producer also `STALE_EPOCH`,
    /// `SEQUENCE_GAP`. Source: protocol.md §6.
    pub async fn append(&self, data: Bytes, options: AppendOptions) -> Result<Answer<Appended>, Failure> {
        if data.is_empty() {
            return Err(InvalidArgument::new("data", "an append needs at least one byte").into());
        }
        let producer = options
            .producer
            .as_ref()
            .map(|(id, epoch, seq)| ProducerTag::id(id).map(|id| ProducerTag { id, epoch: *epoch, seq: *seq }));
        let append = Append {
            body: data,
            content_type: &self.content_type_for_write(options.content_type.as_deref(), &options.headers).await?,
            seq: options.seq.as_deref(),
            if_match: options.if_match.as_deref(),
            producer: producer.transpose()?,
            close: false,
        };
        let plan = append.plan()?;
        self.perform(&plan, &options.headers, |plan, head, _| response::append::outcome(plan, head)).await
    }

    /// Appends data that is still being made, as one append: stored whole or not at all.
    /// Sent once, without a time limit of its own.
    /// Shape, Errors, Source: as [`Detailed::append`].
    pub async fn append_streaming(
        &self,
        body: BodyStream,
        options: AppendOptions,
    ) -> Result<Answer<Appended>, Failure> {
        let append = Append {
            // What comes is not known yet; an empty one is refused by the server.
            body: Bytes::from_static(b"?"),
            content_type: &self.content_type_for_write(options.content_type.as_deref(), &options.headers).await?,
            seq: options.seq.as_deref(),
            if_match: options.if_match.as_deref(),
            producer: None,
            close: false,
        };
        let plan = append.plan()?;
        let extras = Extras { headers: options.headers.checked()?.clone(), ..Extras::default() };
        let (exchange, url) = (self.stream.exchange(), self.stream.target()?);
        perform_streaming(exchange, url, &plan, &extras, body, response::append::outcome).await
    }

    /// Ends the stream for everyone, with a last message if the options carry one.
    /// Errors: `NOT_FOUND`, `STREAM_CLOSED` if there is a last message. Source: protocol.md §7.
    pub async fn close(&self, options: CloseOptions) -> Result<Answer<Closed>, Failure> {
        let content_type = if options.data.is_empty() {
            String::new()
        } else {
            self.content_type_for_write(options.content_type.as_deref(), &options.headers).await?
        };
        let plan = Close { body: options.data.clone(), content_type: &content_type, producer: None }.plan()?;
        self.perform(&plan, &options.headers, |plan, head, _| response::close::outcome(plan, head)).await
    }

    /// Deletes the stream.
    /// Errors: `NOT_FOUND`, `GONE`. Source: protocol.md §8.
    pub async fn delete(&self, options: DeleteOptions) -> Result<Answer<()>, Failure> {
        let answer = self.perform(&request::delete::plan(), &options.headers, response::delete::outcome).await?;
        self.stream.learned().set(None);
        Ok(answer)
    }

    /// Asks for the stream's metadata.
    /// Errors: `NOT_FOUND`, `GONE`. Source: protocol.md §9.
    pub async fn head(&self, options: HeadOptions) -> Result<Answer<Metadata>, Failure> {
        let read = |plan: &_, head: &_, _| response::head::outcome(plan, head);
        let answer = self.perform(&request::head::plan(), &options.headers, read).await?;
        self.stream.learned().set(answer.value.content_type.as_deref());
        Ok(answer)
    }

    /// The content type an append to this stream needs: what the handle knows, else the
    /// server's answer to one HEAD, which is remembered.
    /// Errors: those of [`Detailed::head`].
    pub async fn write_content_type(&self) -> Result<String, Failure> {
        self.content_type_for_write(None, &UserHeaders::default()).await
    }

    /// The content type to write with: the call's, else the handle's, else the server's
    /// answer to one HEAD, which is remembered.
    pub(crate) async fn content_type_for_write(
        &self,
        option: Option<&str>,
        headers: &UserHeaders,
    ) -> Result<String, Failure> {
        if let Some(known) = option.or_else(|| self.stream.content_type()) {
            return Ok(known.to_owned());
        }
        let _asking = self.stream.learned().inquiry.lock().await;
        if let Some(learned) = self.stream.learned().get() {
            return Ok(learned.to_owned());
        }
        match self.head(HeadOptions { headers: headers.clone() }).await {
            Ok(answer) => Ok(answer.value.content_type.unwrap_or_else(|| content_type::DEFAULT.to_owned())),
            // A server may implement writes only (protocol.md §2).
            Err(failure) if failure.code() == ErrorCode::NotSupported => Ok(content_type::DEFAULT.to_owned()),
            Err(failure) => Err(failure),
        }
    }

    async fn perform<T>(
        &self,
        plan: &request::RequestPlan,
        headers: &UserHeaders,
        read: impl Fn(&request::RequestPlan, &response::ReplyHead, bool) -> Result<T, Box<response::Refusal>>,
    ) -> Result<Answer<T>, Failure> {
        let url = self.stream.target()?;
        let extras = Extras { headers: headers.checked()?.clone(), ..Extras::default() };
        perform(self.stream.exchange(), url, plan, &extras, read).await
    }

    /// The path by which the server knows a fork's source: a URL's own path; a name below
    /// the base URL; or a path that already starts with the base URL's.
    fn fork_source(&self, source: &str) -> Result<String, Failure> {
        let refuse = |reason| Failure::from(InvalidArgument::new("fork_from", reason));
        let target = self.stream.target()?;
        if is_absolute(source) {
            let url = StreamUrl::parse(source)?;
            if !url.same_origin(target) {
                return Err(refuse(format!("{source:?} is on another server than {}", target.display())));
            }
            return Ok(url.path().to_owned());
        }
        let Some(base) = self.stream.client().base_url() else {
            return Ok(source.to_owned());
        };
        let base_path = StreamUrl::parse(base)?.path().trim_end_matches('/').to_owned();
        if source.strip_prefix(&*base_path).is_some_and(|rest| rest.starts_with('/')) {
            return Ok(source.to_owned());
        }
        Ok(StreamUrl::parse(&join(Some(base), source)?)?.path().to_owned())
    }
}

fn expiry(options: &CreateOptions) -> Result<Option<Expiry>, InvalidArgument> {
    match (options.ttl, options.expires_at.as_deref()) {
        (Some(_), Some(_)) => Err(InvalidArgument::new("ttl", "excludes expires_at; set one of them")),
        (Some(ttl), None) => Ok(Some(Expiry::Ttl(whole_seconds(ttl)))),
        (None, Some(text)) => match Deadline::parse(text) {
            Some(deadline) => Ok(Some(Expiry::At(deadline))),
            None => Err(InvalidArgument::new("expires_at", format!("{text:?} is not an RFC 3339 timestamp"))),
        },
        (None, None) => Ok(None),
    }
}

/// A fraction counts as a further second: a stream may live too long, never too short.
const fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add((span.subsec_nanos() > 0) as u64)
}

fn fork<'o>(options: &'o CreateOptions, source: Option<&'o str>) -> Result<Option<Fork<'o>>, InvalidArgument> {
    let Some(source_path) = source else {
        return match (&options.fork_offset, options.fork_sub_offset) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(InvalidArgument::new("fork_offset", "needs fork_from")),
            (None, Some(_)) => Err(InvalidArgument::new("fork_sub_offset", "needs fork_from")),
        };
    };
    Ok(Some(Fork { source_path, offset: options.fork_offset.as_ref(), sub_offset: options.fork_sub_offset }))
}

impl From<Metadata> for HeadResponse {
    fn from(metadata: Metadata) -> Self {
        let offset = Offset::new(metadata.next_offset);
        Self {
            content_type: metadata.content_type,
            next_offset: offset.clone(),
            offset,
            closed: metadata.closed,
            stream_closed: metadata.closed,
            ttl: metadata.ttl_seconds.map(Duration::from_secs),
            expires_at: metadata.expires_at,
            etag: metadata.etag,
        }
    }
}
