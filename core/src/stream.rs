//! A handle to one stream: create, append, close, delete, head; reads and producers start
//! here too.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use durable_streams_protocol::request::InvalidArgument;

use crate::{
    Offset,
    client::Client,
    detailed::Detailed,
    driver::{
        exchange::Exchange,
        url::{StreamUrl, join},
    },
    error::{ErrorCode, Failure, StreamError},
    options::{
        AppendOptions, AppendResponse, CloseOptions, CloseResponse, CreateOptions, DeleteOptions, HeadOptions,
        HeadResponse,
    },
};

/// A handle to one stream. Lightweight: clones share the client's connections and what is
/// known about the stream.
#[derive(Clone)]
pub struct DurableStream {
    client: Client,
    target: Arc<Target>,
    /// What the caller said the content type is.
    stated: Option<Arc<str>>,
    learned: Arc<LearnedType>,
}

struct Target {
    text: String,
    url: Result<StreamUrl, InvalidArgument>,
}

impl DurableStream {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        let joined = join(client.base_url(), name);
        let text = joined.as_deref().unwrap_or(name).to_owned();
        let url = joined.and_then(|url| StreamUrl::parse(&url));
        let text = url.as_ref().map_or(text, |url| url.display().to_string());
        Self { client, target: Arc::new(Target { text, url }), stated: None, learned: Arc::default() }
    }

    /// The stream's URL, without credentials.
    pub fn url(&self) -> &str {
        &self.target.text
    }

    /// The stream's content type: as set, else as the last create or head of this handle
    /// or one of its clones learned it.
    pub fn content_type(&self) -> Option<&str> {
        self.stated.as_deref().or_else(|| self.learned.get())
    }

    /// States the stream's content type, so that nobody has to ask the server.
    pub fn set_content_type(&mut self, content_type: impl Into<String>) {
        self.stated = Some(content_type.into().into());
    }

    /// Creates the stream as an open `application/octet-stream`.
    /// Errors: [`StreamError::AlreadyExists`] if it exists with other settings; the same
    /// settings are success. Source: protocol.md §5.
    pub async fn create(&self) -> Result<(), StreamError> {
        self.create_with_options(CreateOptions::new()).await
    }

    /// Creates the stream.
    /// Errors: [`StreamError::AlreadyExists`] if it exists with other settings; the same
    /// settings are success. Source: protocol.md §5.
    pub async fn create_with_options(&self, options: CreateOptions) -> Result<(), StreamError> {
        options.headers.checked()?;
        self.detailed().create(options).await.map(drop).map_err(Into::into)
    }

    /// Creates the stream; the same as [`DurableStream::create_with_options`].
    pub async fn create_with(&self, options: CreateOptions) -> Result<(), StreamError> {
        self.create_with_options(options).await
    }

    /// Appends data and resolves once the server has stored it. Repeated after answers that
    /// say "not now" and after failed connects, not after a connection that broke midway:
    /// the data may be stored then. Use a [`producer`](DurableStream::producer) for exactly-once.
    /// Shape: bytes; on JSON streams one JSON text, whose top-level array becomes several
    /// messages. Errors: [`StreamError::NotFound`], [`StreamError::Closed`],
    /// [`StreamError::EmptyAppend`]. Source: protocol.md §6.
    pub async fn append(&self, data: impl AsRef<[u8]>) -> Result<AppendResponse, StreamError> {
        self.append_with_options(data, AppendOptions::new()).await
    }

    /// Appends data with conditions.
    /// Errors: [`StreamError::Conflict`] if `Stream-Seq` is not above the last one, and
    /// those of [`DurableStream::append`]. Source: protocol.md §6.
    pub async fn append_with_options(
        &self,
        data: impl AsRef<[u8]>,
        options: AppendOptions,
    ) -> Result<AppendResponse, StreamError> {
        options.headers.checked()?;
        let data = Bytes::copy_from_slice(data.as_ref());
        if data.is_empty() {
            return Err(StreamError::EmptyAppend);
        }
        let answer = self.detailed().append(data, options).await?;
        let next_offset = self.required(answer.value.next_offset)?;
        Ok(AppendResponse { next_offset, etag: answer.value.etag })
    }

    /// Appends data with conditions; the same as [`DurableStream::append_with_options`].
    pub async fn append_with(
        &self,
        data: impl AsRef<[u8]>,
        options: AppendOptions,
    ) -> Result<AppendResponse, StreamError> {
        self.append_with_options(data, options).await
    }

    /// Ends the stream for everyone; nothing can be appended any more. Closing a closed
    /// stream is success. Source: protocol.md §7.
    pub async fn close(&self) -> Result<CloseResponse, StreamError> {
        self.close_with_options(CloseOptions::new()).await
    }

    /// Ends the stream for everyone, with a last message if the options carry one.
    /// Errors: [`StreamError::Closed`] if it already is closed and there is a last message.
    /// Source: protocol.md §7.
    pub async fn close_with_options(&self, options: CloseOptions) -> Result<CloseResponse, StreamError> {
        options.headers.checked()?;
        let answer = self.detailed().close(options).await?;
        Ok(CloseResponse { final_offset: self.required(answer.value.final_offset)? })
    }

    /// Ends the stream for everyone; the same as [`DurableStream::close_with_options`].
    pub async fn close_with(&self, options: CloseOptions) -> Result<CloseResponse, StreamError> {
        self.close_with_options(options).await
    }

    /// Deletes the stream with all its data.
    /// Errors: [`StreamError::NotFound`]. Source: protocol.md §8.
    pub async fn delete(&self) -> Result<(), StreamError> {
        self.delete_with(DeleteOptions::new()).await
    }

    /// Deletes the stream with all its data.
    /// Errors: [`StreamError::NotFound`]. Source: protocol.md §8.
    pub async fn delete_with(&self, options: DeleteOptions) -> Result<(), StreamError> {
        options.headers.checked()?;
        self.detailed().delete(options).await.map(drop).map_err(Into::into)
    }

    /// Asks for the stream's metadata; never extends its time to live.
    /// Errors: [`StreamError::NotFound`]. Source: protocol.md §9.
    pub async fn head(&self) -> Result<HeadResponse, StreamError> {
        self.head_with(HeadOptions::new()).await
    }

    /// Asks for the stream's metadata; never extends its time to live.
    /// Errors: [`StreamError::NotFound`]. Source: protocol.md §9.
    pub async fn head_with(&self, options: HeadOptions) -> Result<HeadResponse, StreamError> {
        options.headers.checked()?;
        Ok(self.detailed().head(options).await?.value.into())
    }

    /// The same operations with everything their answers told, and with failures that know
    /// code, facts and URL. Bindings stand on these.
    pub fn detailed(&self) -> Detailed<'_> {
        Detailed::new(self)
    }

    /// The client this handle belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What every request shares.
    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        self.client.exchange()
    }

    /// The stream's URL, or why there is none.
    pub(crate) fn target(&self) -> Result<&StreamUrl, Failure> {
        self.target.url.as_ref().map_err(|invalid| Failure::from(invalid.clone()))
    }

    /// What clones of this handle learned about the content type.
    pub(crate) fn learned(&self) -> &LearnedType {
        &self.learned
    }

    /// What the caller stated about the content type.
    pub(crate) fn stated(&self) -> Option<&str> {
        self.stated.as_deref()
    }

    fn required(&self, offset: Option<String>) -> Result<Offset, StreamError> {
        let missing = || {
            let detail = format!("{}: the answer breaks the protocol: `Stream-Next-Offset` is missing", self.url());
            StreamError::from(Failure::new(ErrorCode::ParseError, detail))
        };
        offset.map(Offset::new).ok_or_else(missing)
    }
}

impl fmt::Debug for DurableStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableStream")
            .field("url", &self.target.text)
            .field("content_type", &self.content_type())
            .finish_non_exhaustive()
    }
}

/// The content type that clones of a handle have learned. Every distinct type is kept
/// once, for as long as the handle lives, so that it can be lent out without a lock.
#[derive(Default)]
pub(crate) struct LearnedType {
    types: TypeList,
    /// Place of the current type in the list, counted from 1; 0 = not known.
    current: AtomicUsize,
    /// Held while the server is being asked, so that many writers ask once.
    pub(crate) inquiry: tokio::sync::Mutex<()>,
}

/// A list that only grows.
#[derive(Default)]
struct TypeList(OnceLock<Box<(Box<str>, Self)>>);

impl LearnedType {
    /// The content type learned last.
    pub(crate) fn get(&self) -> Option<&str> {
        let place = self.current.load(Ordering::Acquire).checked_sub(1)?;
        self.types.iter().nth(place)
    }

    /// Learns a content type, or forgets it.
    pub(crate) fn set(&self, content_type: Option<&str>) {
        let place = content_type.map_or(0, |content_type| self.types.place(content_type) + 1);
        self.current.store(place, Ordering::Release);
    }
}

impl TypeList {
    /// Where a type stands, after adding it if it is new.
    fn place(&self, content_type: &str) -> usize {
        let (mut list, mut place) = (self, 0);
        loop {
            let (known, rest) = &**list.0.get_or_init(|| Box::new((content_type.into(), Self::default())));
            if **known == *content_type {
                return place;
            }
            (list, place) = (rest, place + 1);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.0.get(), |entry| entry.1.0.get()).map(|entry| &*entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learned_type_can_change_and_be_forgotten() {
        let learned = LearnedType::default();
        assert_eq!(learned.get(), None);
        learned.set(Some("text/plain"));
        learned.set(Some("text/plain"));
        let lent = learned.get();
        learned.set(None);
        assert_eq!(learned.get(), None);
        learned.set(Some("application/json"));
        assert_eq!((lent, learned.get()), (Some("text/plain"), Some("application/json")));
        learned.set(Some("text/plain"));
        assert_eq!((learned.get(), learned.types.iter().count()), (Some("text/plain"), 2));
    }
    #[test]
    fn handles_go_anywhere() {
        fn anywhere<T: Clone + Send + Sync + fmt::Debug + 'static>() {}
        anywhere::<DurableStream>();
        anywhere::<Client>();
    }
}
