//! `Native::Reader`: batches, one by one; `Native::Batch`: the messages of one.

use std::cell::RefCell;

use durable_streams_bindings::{
    Bytes, ErrorCode, ErrorInfo,
    reader::{Carried, ReadConfig, Reader, live_mode},
};
use magnus::{
    Error, Module, Object, RArray, RHash, RModule, RString, Ruby, Value, function, method, rb_sys::FromRawValue,
    value::ReprValue,
};

use crate::{
    convert::{Fields, Options, copied},
    error::raised,
    json::decode::{Failed, decode},
    stream::NativeStream,
    wait::wait,
};

/// A read.
#[magnus::wrap(class = "DurableStreams::Native::Reader", free_immediately)]
pub(crate) struct NativeReader(Reader);

/// The JSON of a batch, decoded when that is asked for.
#[magnus::wrap(class = "DurableStreams::Native::Batch", free_immediately)]
pub(crate) struct NativeBatch(RefCell<Bytes>);

pub(crate) fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Reader", ruby.class_object())?;
    class.define_singleton_method("new", function!(NativeReader::new, 2))?;
    class.define_method("next_batch", method!(NativeReader::next_batch, 0))?;
    class.define_method("open", method!(NativeReader::open, 0))?;
    class.define_method("content_type", method!(|this: &NativeReader| this.0.content_type(), 0))?;
    class.define_method("status", method!(|this: &NativeReader| this.0.status(), 0))?;
    class.define_method("close", method!(|this: &NativeReader| this.0.close(), 0))?;
    class.define_method("closed?", method!(|this: &NativeReader| this.0.is_closed(), 0))?;
    class.define_method("headers", method!(NativeReader::headers, 0))?;
    let batch = native.define_class("Batch", ruby.class_object())?;
    batch.define_singleton_method("new", function!(NativeBatch::of, 1))?;
    batch.define_method("text", method!(NativeBatch::text, 0))?;
    batch.define_method("part", method!(NativeBatch::part, 2))?;
    batch.define_method("let_go", method!(|this: &NativeBatch| this.let_go(), 0))
}

impl Drop for NativeBatch {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl NativeBatch {
    /// Of text that is JSON although its stream's type does not say so.
    fn of(ruby: &Ruby, text: RString) -> Self {
        Self::new(ruby, copied(text))
    }

    fn new(ruby: &Ruby, text: Bytes) -> Self {
        // The collector sees a small object otherwise, and comes too late.
        ruby.gc_adjust_memory_usage(text.len().cast_signed());
        Self(RefCell::new(text))
    }

    /// Gives the text back, for the core to use its memory again.
    fn let_go(&self) {
        let text = self.0.take();
        // SAFETY: the collector drops a batch on a thread that holds the lock; so does whoever made
        // it or calls this.
        unsafe { rb_sys::rb_gc_adjust_memory_usage(-text.len().cast_signed() as _) };
    }

    fn text(ruby: &Ruby, this: &Self) -> RString {
        ruby.enc_str_new(&*this.0.borrow(), ruby.utf8_encoding())
    }

    /// The next messages from a place on, this many at most, and the place of the rest.
    fn part(ruby: &Ruby, this: &Self, at: usize, most: usize) -> Result<(RArray, Option<usize>), Error> {
        // Ruby runs between the parts, and may run within one.
        let text = this.0.borrow().clone();
        match decode(&text, at, most) {
            Ok((messages, rest)) => {
                // SAFETY: it was made a moment ago, and stands on the stack.
                let messages = unsafe { Value::from_raw(messages) };
                Ok((RArray::from_value(messages).unwrap_or_else(|| ruby.ary_new()), rest))
            }
            Err(Failed::Raised(error)) => Err(error),
            Err(Failed::Invalid(what)) => {
                let what = format!("the stream's data is not JSON: {what}");
                Err(raised(ruby, &ErrorInfo::new(ErrorCode::ParseError, what)))
            }
        }
    }
}

impl NativeReader {
    fn new(ruby: &Ruby, stream: &NativeStream, options: RHash) -> Result<Self, Error> {
        let options = Options::new(ruby, options);
        let live: String = options.get_or_default("live")?;
        let config = ReadConfig {
            offset: options.get("offset")?,
            live: live_mode(&live).map_err(|error| raised(ruby, &error))?,
            cursor: options.get("cursor")?,
            if_none_match: options.get("if_none_match")?,
            read_ahead: options.get("read_ahead")?,
            headers: options.get_or_default("headers")?,
            params: options.get_or_default("params")?,
            timeout_ms: options.get("timeout_ms")?,
            max_batch_bytes: options.get("max_batch_bytes")?,
            vectored: true,
            ..ReadConfig::default()
        };
        Reader::open(&stream.0, config).map(Self).map_err(|error| raised(ruby, &error))
    }

    fn headers(ruby: &Ruby, this: &Self) -> RHash {
        ruby.hash_from_iter(this.0.headers())
    }

    fn open(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.opened())
    }

    fn next_batch(ruby: &Ruby, this: &Self) -> Result<Option<RHash>, Error> {
        // Ruby may raise when the batch is there already.
        let Some(batch) = wait(ruby, this.0.carry())?.and_then(Carried::arrived) else { return Ok(None) };
        let data = if batch.is_json {
            ruby.into_value(NativeBatch::new(ruby, batch.data))
        } else {
            let bytes = ruby.str_buf_new(batch.byte_len());
            batch.pieces().for_each(|piece| bytes.cat(piece));
            bytes.as_value()
        };
        let fields = Fields::new(ruby)
            .set("data", data)?
            .set("json", batch.is_json)?
            .set("empty", batch.is_empty)?
            .set("next_offset", batch.next_offset.to_query_value())?
            .set("cursor", batch.cursor)?
            .set("up_to_date", batch.up_to_date)?
            .set("stream_closed", batch.stream_closed)?
            .set("status", batch.status)?
            .set("sse_given_up", this.0.sse_given_up())?;
        Ok(Some(fields.done()))
    }
}
