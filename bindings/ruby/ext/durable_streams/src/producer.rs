//! `Native::Producer`: exactly-once writing.

use std::sync::Arc;

use durable_streams_bindings::producer::{Acknowledged, BatchNumbers, OnError, Producer, ProducerConfig};
use magnus::{Error, Module, Object, RHash, RModule, RString, Ruby, Value, function, method};

use crate::{
    convert::{Fields, Options, copied},
    error::raised,
    host::{Kept, prepare_dispatcher, reporter},
    stream::{NativeStream, retry},
    wait::wait,
};

/// A producer.
#[magnus::wrap(class = "DurableStreams::Native::Producer", free_immediately)]
pub(crate) struct NativeProducer(Producer);

pub(crate) fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Producer", ruby.class_object())?;
    class.define_singleton_method("new", function!(NativeProducer::new, 2))?;
    class.define_method("append", method!(NativeProducer::append, 1))?;
    class.define_method("append_and_wait", method!(NativeProducer::append_and_wait, 1))?;
    class.define_method("flush", method!(NativeProducer::flush, 0))?;
    class.define_method("detach", method!(NativeProducer::detach, 0))?;
    class.define_method("restart", method!(NativeProducer::restart, 0))?;
    class.define_method("close_stream", method!(NativeProducer::close_stream, 1))?;
    class.define_method("last_acknowledged", method!(NativeProducer::last_acknowledged, 0))?;
    class.define_method("epoch", method!(|this: &NativeProducer| this.0.epoch(), 0))?;
    class.define_method("next_seq", method!(|this: &NativeProducer| this.0.next_seq(), 0))?;
    class.define_method("pending_messages", method!(|this: &NativeProducer| this.0.pending_messages(), 0))
}

impl NativeProducer {
    fn new(ruby: &Ruby, stream: &NativeStream, options: RHash) -> Result<Self, Error> {
        let options = Options::new(ruby, options);
        let on_error = match options.get::<Value>("on_error")? {
            Some(callback) => {
                prepare_dispatcher();
                Some(Arc::new(reporter(Kept::new(ruby, callback)?)) as OnError)
            }
            None => None,
        };
        let config = ProducerConfig {
            producer_id: options.get_or_default("producer_id")?,
            numbers: BatchNumbers {
                epoch: options.get("epoch")?,
                max_batch_bytes: options.get("max_batch_bytes")?,
                max_batch_items: options.get("max_batch_items")?,
                max_in_flight: options.get("max_in_flight")?,
                linger_ms: options.get("linger_ms")?,
            },
            auto_claim: options.get_or_default("auto_claim")?,
            content_type: options.get("content_type")?,
            headers: options.get_or_default("headers")?,
            retry: retry(&options)?,
            on_error,
            ..ProducerConfig::default()
        };
        Producer::open(&stream.0, config).map(Self).map_err(|error| raised(ruby, &error))
    }

    /// Takes the message; waits only while the queue is full.
    fn append(ruby: &Ruby, this: &Self, message: RString) -> Result<(), Error> {
        // SAFETY: nothing of Ruby runs while the slice is in use.
        let taken = this.0.append(unsafe { message.as_slice() });
        match taken.map_err(|error| raised(ruby, &error))? {
            Some(receipt) => wait(ruby, receipt.room()),
            None => Ok(()),
        }
    }

    fn append_and_wait(ruby: &Ruby, this: &Self, message: RString) -> Result<RHash, Error> {
        let receipt = this.0.append_with_receipt(&copied(message)).map_err(|error| raised(ruby, &error))?;
        told(ruby, wait(ruby, receipt.acknowledged())?)
    }

    fn flush(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.flush())
    }

    fn detach(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.detach())
    }

    fn restart(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.restart())
    }

    fn close_stream(ruby: &Ruby, this: &Self, last: Option<RString>) -> Result<String, Error> {
        Ok(wait(ruby, this.0.close_stream(last.map(copied)))?.final_offset)
    }

    fn last_acknowledged(ruby: &Ruby, this: &Self) -> Result<Option<RHash>, Error> {
        this.0.last_acknowledged().map(|acknowledged| told(ruby, acknowledged)).transpose()
    }
}

fn told(ruby: &Ruby, acknowledged: Acknowledged) -> Result<RHash, Error> {
    let fields = Fields::new(ruby)
        .set("next_offset", acknowledged.offset)?
        .set("duplicate", acknowledged.duplicate)?
        .set("epoch", acknowledged.epoch)?
        .set("seq", acknowledged.seq)?;
    Ok(fields.done())
}
