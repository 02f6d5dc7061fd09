//! A server with faults on order, for tests of programs.

use durable_streams_bindings::server::{FaultConfig, ServerConfig, TestServer};
use rustler::{Encoder, Env, NifResult, Reference, Resource, ResourceArc, Term};

use crate::{
    options::Options,
    reply::{self, Operation},
};

rustler::atoms! { ok, port, resource, url }

/// A server that runs.
pub(crate) struct Running(TestServer);

#[rustler::resource_impl]
impl Resource for Running {}

#[rustler::nif]
fn server_start<'a>(env: Env<'a>, reference: Reference<'a>, options: Term<'a>) -> NifResult<ResourceArc<Operation>> {
    let options = Options::new(options);
    let config = ServerConfig {
        host: options.get("host")?,
        port: options.get("port")?,
        data_dir: options.get("data_dir")?,
        prefix: options.get("prefix")?,
        long_poll_timeout_ms: options.get("long_poll_timeout_ms")?,
    };
    Ok(reply::start(env, reference, TestServer::start(config), |env, server| {
        let fields = rustler::term_map!(env, {
            url() => server.streams_url(),
            port() => server.port(),
            resource() => ResourceArc::new(Running(server.clone())),
        });
        (ok(), fields).encode(env)
    }))
}

#[rustler::nif]
fn server_inject_fault<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    server: ResourceArc<Running>,
    options: Term<'a>,
) -> NifResult<ResourceArc<Operation>> {
    let options = Options::new(options);
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
        probability: options.number("probability")?,
    };
    let server = server.0.clone();
    Ok(reply::start_unit(env, reference, async move { server.inject_fault(fault).await }))
}

#[rustler::nif]
fn server_clear_faults<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    server: ResourceArc<Running>,
) -> ResourceArc<Operation> {
    let server = server.0.clone();
    reply::start_unit(env, reference, async move { server.clear_faults().await })
}

#[rustler::nif]
fn server_live_readers<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    server: ResourceArc<Running>,
) -> ResourceArc<Operation> {
    let server = server.0.clone();
    let work = async move { server.live_readers().await };
    reply::start(env, reference, work, |env, count| (ok(), count).encode(env))
}

#[rustler::nif]
fn server_clear<'a>(env: Env<'a>, reference: Reference<'a>, server: ResourceArc<Running>) -> ResourceArc<Operation> {
    let server = server.0.clone();
    reply::start_unit(env, reference, async move { server.clear().await })
}

#[rustler::nif]
fn server_stop<'a>(env: Env<'a>, reference: Reference<'a>, server: ResourceArc<Running>) -> ResourceArc<Operation> {
    let server = server.0.clone();
    reply::start_unit(env, reference, async move { server.stop().await })
}
