//! The Ruby extension: converts arguments, waits without the lock of Ruby's threads, converts
//! results.
//!
//! What it is not: the surface that programs see, which is Ruby in `bindings/ruby/lib`, or a
//! place for rules of the protocol.
//!
//! Read next: `wait` for how a call blocks and is interrupted, `host` for callables that the
//! core asks, `json` for values, then one file per class.

mod convert;
mod error;
mod host;
mod json;
mod mock;
mod producer;
mod reader;
mod server;
mod stream;
mod wait;

use magnus::{Error, Module, Object, RString, Ruby, Value, function, rb_sys::AsRawValue};

#[magnus::init(name = "durable_streams_ruby")]
fn init(ruby: &Ruby) -> Result<(), Error> {
    let native = ruby.define_module("DurableStreams")?.define_module("Native")?;
    host::set_up(ruby);
    native.define_singleton_method("serve_callbacks", function!(host::serve, 0))?;
    native.define_singleton_method("generation", function!(generation, 0))?;
    native.define_singleton_method("generate", function!(generate, 1))?;
    native.define_singleton_method("json?", function!(is_json, 1))?;
    stream::define(ruby, native)?;
    reader::define(ruby, native)?;
    producer::define(ruby, native)?;
    server::define(ruby, native)?;
    mock::define(ruby, native)
}

/// A value as JSON text; `nil` when that is left to `JSON.generate`.
fn generate(ruby: &Ruby, value: Value) -> Option<RString> {
    let mut text = Vec::new();
    json::encode::encode(value.as_raw(), &mut text)?;
    Some(ruby.enc_str_new(&text, ruby.utf8_encoding()))
}

fn generation() -> u64 {
    durable_streams_bindings::runtime::generation()
}

/// Whether a text is one JSON value.
fn is_json(text: RString) -> bool {
    durable_streams::protocol::json_mode::validate_item(&convert::copied(text)).is_ok()
}
