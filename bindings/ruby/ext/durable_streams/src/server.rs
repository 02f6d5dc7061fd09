//! `Native::Server`: an embedded server, for tests.

use durable_streams_bindings::server::{FaultConfig, ServerConfig, TestServer};
use magnus::{Error, Module, Object, RHash, RModule, Ruby, function, method};

use crate::{convert::Options, wait::wait};

/// A server that runs.
#[magnus::wrap(class = "DurableStreams::Native::Server", free_immediately)]
pub(crate) struct NativeServer(TestServer);

pub(crate) fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Server", ruby.class_object())?;
    class.define_singleton_method("start", function!(NativeServer::start, 1))?;
    class.define_method("url", method!(|this: &NativeServer| this.0.url().to_owned(), 0))?;
    class.define_method("streams_url", method!(|this: &NativeServer| this.0.streams_url().to_owned(), 0))?;
    class.define_method("port", method!(|this: &NativeServer| this.0.port(), 0))?;
    class.define_method("inject_fault", method!(NativeServer::inject_fault, 1))?;
    class.define_method("clear_faults", method!(NativeServer::clear_faults, 0))?;
    class.define_method("live_readers", method!(NativeServer::live_readers, 0))?;
    class.define_method("clear", method!(NativeServer::clear, 0))?;
    class.define_method("stop", method!(NativeServer::stop, 0))
}

impl NativeServer {
    fn start(ruby: &Ruby, options: RHash) -> Result<Self, Error> {
        let options = Options::new(ruby, options);
        let config = ServerConfig {
            host: options.get("host")?,
            port: options.get("port")?,
            data_dir: options.get("data_dir")?,
            prefix: options.get("prefix")?,
            long_poll_timeout_ms: options.get("long_poll_timeout_ms")?,
        };
        wait(ruby, TestServer::start(config)).map(Self)
    }

    fn inject_fault(ruby: &Ruby, this: &Self, options: RHash) -> Result<(), Error> {
        let options = Options::new(ruby, options);
        let fault = FaultConfig {
            path: options.get_or_default("path")?,
            status: options.get("status")?,
            delay_ms: options.get("delay_ms")?,
            drop_connection: options.get_or_default("drop_connection")?,
            count: options.get("count")?,
            retry_after: options.get("retry_after")?,
            method: options.get("method")?,
            jitter_ms: options.get_or_default("jitter_ms")?,
            truncate_body_bytes: options.get("truncate_body_bytes")?,
            corrupt_body: options.get_or_default("corrupt_body")?,
            inject_sse_event: options.get("inject_sse_event")?,
            probability: options.get("probability")?,
        };
        wait(ruby, this.0.inject_fault(fault))
    }

    fn clear_faults(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.clear_faults())
    }

    fn live_readers(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        wait(ruby, this.0.live_readers())
    }

    fn clear(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.clear())
    }

    fn stop(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        wait(ruby, this.0.stop())
    }
}
