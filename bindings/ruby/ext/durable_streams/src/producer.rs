//! `Native::Producer`: exactly-once writing.

use std::{cell::RefCell, sync::Arc};

use durable_streams_bindings::producer::{Acknowledged, BatchNumbers, OnError, Producer, ProducerConfig, Receipt};
use magnus::{
    Error, Module, Object, RArray, RHash, RModule, RString, Ruby, Symbol, Value, function, method, prelude::*,
    rb_sys::AsRawValue,
};

use crate::{
    convert::{Fields, Options, copied},
    error::{raised, to_exception},
    host::{Kept, prepare_dispatcher, reporter},
    json::encode::encode,
    stream::{NativeStream, retry},
    wait::wait,
};

/// A producer.
#[magnus::wrap(class = "DurableStreams::Native::Producer", free_immediately)]
pub(crate) struct NativeProducer(Producer);

/// What to wait for before the next message: the queue was full.
#[magnus::wrap(class = "DurableStreams::Native::Receipt", free_immediately)]
pub(crate) struct NativeReceipt(RefCell<Option<Receipt>>);

thread_local! {
    /// Where messages are encoded, one after the other.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Scratch space beyond this is given back.
const MAX_SCRATCH: usize = 1024 * 1024;

pub(crate) fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Producer", ruby.class_object())?;
    class.define_singleton_method("new", function!(NativeProducer::new, 2))?;
    class.define_method("append", method!(NativeProducer::append, 1))?;
    class.define_method("append_all", method!(NativeProducer::append_all, 2))?;
    class.define_method("append_and_wait", method!(NativeProducer::append_and_wait, 1))?;
    class.define_method("flush", method!(NativeProducer::flush, 0))?;
    class.define_method("detach", method!(NativeProducer::detach, 0))?;
    class.define_method("restart", method!(NativeProducer::restart, 0))?;
    class.define_method("close_stream", method!(NativeProducer::close_stream, 1))?;
    class.define_method("last_acknowledged", method!(NativeProducer::last_acknowledged, 0))?;
    class.define_method("epoch", method!(|this: &NativeProducer| this.0.epoch(), 0))?;
    class.define_method("next_seq", method!(|this: &NativeProducer| this.0.next_seq(), 0))?;
    class.define_method("pending_messages", method!(|this: &NativeProducer| this.0.pending_messages(), 0))?;
    class.define_method("pending_bytes", method!(|this: &NativeProducer| this.0.pending_bytes(), 0))?;
    class.define_method("in_flight_batches", method!(|this: &NativeProducer| this.0.in_flight_batches(), 0))?;
    class.define_method("acknowledged_offset", method!(|this: &NativeProducer| this.0.acknowledged_offset(), 0))?;
    let receipt = native.define_class("Receipt", ruby.class_object())?;
    receipt.define_method("room", method!(NativeReceipt::room, 0))
}

impl NativeReceipt {
    const fn of(receipt: Receipt) -> Self {
        Self(RefCell::new(Some(receipt)))
    }

    fn room(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let receipt = this.0.take();
        receipt.map_or(Ok(()), |receipt| wait(ruby, receipt.room()))
    }
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
            max_queued_bytes: options.get("max_queued_bytes")?,
            max_queued_messages: options.get("max_queued_messages")?,
            headers: options.get_or_default("headers")?,
            retry: retry(&options)?,
            on_error,
        };
        Producer::open(&stream.0, config).map(Self).map_err(|error| raised(ruby, &error))
    }

    /// Takes the message, at once. A receipt comes back when the queue is full.
    fn append(ruby: &Ruby, this: &Self, message: Value) -> Result<Option<NativeReceipt>, Error> {
        let receipt = this.take(ruby, message)?;
        Ok(receipt.map(NativeReceipt::of))
    }

    /// Takes messages from this one on, until the queue is full or one is refused: the number of
    /// the next, the receipt, and the exception.
    fn append_all(
        ruby: &Ruby,
        this: &Self,
        messages: RArray,
        first: usize,
    ) -> Result<(usize, Option<NativeReceipt>, Option<Value>), Error> {
        let mut taken = first;
        // By number: encoding may call Ruby, which may change the array.
        while taken < messages.len() {
            match this.take(ruby, messages.entry(taken.cast_signed())?) {
                Ok(None) => taken += 1,
                Ok(Some(receipt)) => return Ok((taken + 1, Some(NativeReceipt::of(receipt)), None)),
                Err(error) => return Ok((taken, None, Some(to_exception(ruby, &error)?.as_value()))),
            }
        }
        Ok((taken, None, None))
    }

    fn take(&self, ruby: &Ruby, message: Value) -> Result<Option<Receipt>, Error> {
        let refused = |error| raised(ruby, &error);
        if let Some(text) = RString::from_value(message) {
            // SAFETY: nothing of Ruby runs while the slice is in use.
            return self.0.append(unsafe { text.as_slice() }).map_err(refused);
        }
        let encoded = SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.shrink_to(MAX_SCRATCH);
            // Neither is data that anybody means to append.
            if message.is_nil() || Symbol::from_value(message).is_some() {
                return None;
            }
            encode(message.as_raw(), scratch)?;
            Some(self.0.append_json(scratch))
        });
        match encoded {
            Some(taken) => taken.map_err(refused),
            None => {
                let text: RString = ruby
                    .class_object()
                    .const_get::<_, RModule>("DurableStreams")?
                    .const_get::<_, RModule>("Data")?
                    .funcall("text", (message,))?;
                // SAFETY: as above.
                self.0.append(unsafe { text.as_slice() }).map_err(refused)
            }
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
