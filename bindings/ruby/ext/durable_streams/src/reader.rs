//! `Native::Reader`: batches, one by one.

use durable_streams_bindings::reader::{ReadConfig, Reader, live_mode};
use magnus::{Error, Module, Object, RHash, RModule, Ruby, function, method};

use crate::{
    convert::{Fields, Options},
    error::raised,
    stream::NativeStream,
    wait::wait,
};

/// A read.
#[magnus::wrap(class = "DurableStreams::Native::Reader", free_immediately)]
pub(crate) struct NativeReader(Reader);

pub(crate) fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Reader", ruby.class_object())?;
    class.define_singleton_method("new", function!(NativeReader::new, 2))?;
    class.define_method("next_batch", method!(NativeReader::next_batch, 0))?;
    class.define_method("open", method!(NativeReader::open, 0))?;
    class.define_method("content_type", method!(|this: &NativeReader| this.0.content_type(), 0))?;
    class.define_method("status", method!(|this: &NativeReader| this.0.status(), 0))?;
    class.define_method("close", method!(|this: &NativeReader| this.0.close(), 0))?;
    class.define_method("closed?", method!(|this: &NativeReader| this.0.is_closed(), 0))
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
            ..ReadConfig::default()
        };
        Reader::open(&stream.0, config).map(Self).map_err(|error| raised(ruby, &error))
    }

    fn open(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.opened())
    }

    fn next_batch(ruby: &Ruby, this: &Self) -> Result<Option<RHash>, Error> {
        let Some(batch) = wait(ruby, this.0.next())? else { return Ok(None) };
        let encoding = if batch.is_json { ruby.utf8_encoding() } else { ruby.ascii8bit_encoding() };
        let fields = Fields::new(ruby)
            .set("data", ruby.enc_str_new(&batch.data, encoding))?
            .set("json", batch.is_json)?
            .set("empty", batch.is_empty)?
            .set("next_offset", batch.next_offset.to_query_value())?
            .set("cursor", batch.cursor)?
            .set("up_to_date", batch.up_to_date)?
            .set("stream_closed", batch.stream_closed)?
            .set("status", batch.status)?;
        Ok(Some(fields.done()))
    }
}
