//! The Ruby extension: converts arguments, waits without the lock of Ruby's threads, converts
//! results.
//!
//! What it is not: the surface that programs see, which is Ruby in `bindings/ruby/lib`, or a
//! place for rules of the protocol.
//!
//! Read next: `wait` for how a call blocks and is interrupted, `host` for callables that the
//! core asks, then one file per class.

mod convert;
mod error;
mod host;
mod producer;
mod reader;
mod server;
mod stream;
mod wait;

use magnus::{Error, Module, Object, Ruby, function};

#[magnus::init(name = "durable_streams_ruby")]
fn init(ruby: &Ruby) -> Result<(), Error> {
    let native = ruby.define_module("DurableStreams")?.define_module("Native")?;
    host::set_up(ruby);
    native.define_singleton_method("serve_callbacks", function!(host::serve, 0))?;
    native.define_singleton_method("generation", function!(generation, 0))?;
    stream::define(ruby, native)?;
    reader::define(ruby, native)?;
    producer::define(ruby, native)?;
    server::define(ruby, native)
}

fn generation() -> u64 {
    durable_streams_bindings::runtime::generation()
}
