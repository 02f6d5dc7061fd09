//! The operations of one request. Headers of a call are among those of its handle.

use durable_streams_bindings::{
    message::Message,
    stream::{AppendConfig, Appended, CreateConfig, Told},
};
use rustler::{Binary, Encoder, Env, NifResult, Reference, ResourceArc, Term, types::atom};

use crate::{
    handle::Handle,
    options::{Options, copied},
    reply::{self, Operation},
};

rustler::atoms! {
    ok, cache_control, content_type, duplicate, etag, expires_at, final_offset, headers, is_new, next_offset,
    producer_epoch, producer_seq, status, stream_closed, ttl_seconds,
}

#[rustler::nif]
fn create<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    handle: Term<'a>,
    options: Term<'a>,
) -> NifResult<ResourceArc<Operation>> {
    let handle = Handle::new(handle)?;
    let options = Options::new(options);
    let config = CreateConfig {
        content_type: options.get("content_type")?,
        ttl_seconds: options.number("ttl_seconds")?,
        expires_at: options.get("expires_at")?,
        body: options.bytes("body")?,
        closed: options.get_or_default("closed")?,
        fork_from: options.get("fork_from")?,
        fork_offset: options.get("fork_offset")?,
        fork_sub_offset: options.get("fork_sub_offset")?,
        headers: Vec::new(),
    };
    let work = async move {
        let handle = handle?;
        let created = handle.stream.create(config).await?;
        match &created.content_type {
            Some(content_type) => handle.learn(content_type),
            None => handle.forget(),
        }
        Ok(created)
    };
    Ok(reply::start(env, reference, work, |env, created| {
        let fields = rustler::term_map!(env, {
            is_new() => created.is_new,
            content_type() => created.content_type,
            next_offset() => created.next_offset,
            stream_closed() => created.closed,
            status() => created.told.status,
            headers() => created.told.headers,
        });
        (ok(), fields).encode(env)
    }))
}

/// Appends a body as it is: on a JSON stream an array becomes several messages.
#[rustler::nif]
fn append<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    handle: Term<'a>,
    data: Binary<'a>,
    options: Term<'a>,
) -> NifResult<ResourceArc<Operation>> {
    let handle = Handle::new(handle)?;
    let options = Options::new(options);
    let config = append_config(&options)?;
    let message = Message::Body(copied(env, data));
    let work = async move {
        let handle = handle?;
        let outcome = handle.stream.append(message, config).await;
        handle.note(&outcome);
        outcome
    };
    Ok(reply::start(env, reference, work, stored))
}

/// Settings of an append.
pub(crate) fn append_config(options: &Options<'_>) -> NifResult<AppendConfig> {
    let producer = match options.get::<String>("producer_id")? {
        Some(id) => Some((id, options.get_or_default("producer_epoch")?, options.get_or_default("producer_seq")?)),
        None => None,
    };
    Ok(AppendConfig {
        seq: options.get("seq")?,
        if_match: options.get("if_match")?,
        content_type: options.get("content_type")?,
        producer,
        headers: Vec::new(),
    })
}

/// What the server said to an append: `{:ok, map}`.
pub(crate) fn stored(env: Env<'_>, appended: Appended) -> Term<'_> {
    let fields = rustler::term_map!(env, {
        next_offset() => appended.next_offset,
        duplicate() => appended.duplicate,
        stream_closed() => appended.closed,
        etag() => appended.etag,
        producer_epoch() => appended.producer_epoch,
        producer_seq() => appended.producer_seq,
        status() => appended.told.status,
    });
    (ok(), fields).encode(env)
}

#[rustler::nif]
fn close_stream<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    handle: Term<'a>,
    options: Term<'a>,
) -> NifResult<ResourceArc<Operation>> {
    let handle = Handle::new(handle)?;
    let options = Options::new(options);
    let last = options.bytes("body")?.map(Message::Body);
    let content_type: Option<String> = options.get("content_type")?;
    let work = async move {
        let handle = handle?;
        let outcome = handle.stream.close_stream(last, content_type.as_deref(), &[]).await;
        handle.note(&outcome);
        outcome
    };
    Ok(reply::start(env, reference, work, |env, closed| {
        (ok(), rustler::term_map!(env, { final_offset() => closed.final_offset })).encode(env)
    }))
}

#[rustler::nif]
fn delete<'a>(env: Env<'a>, reference: Reference<'a>, handle: Term<'a>) -> NifResult<ResourceArc<Operation>> {
    let handle = Handle::new(handle)?;
    let work = async move {
        let handle = handle?;
        handle.forget();
        handle.stream.delete(&[]).await
    };
    Ok(reply::start(env, reference, work, |env, _: Told| atom::ok().encode(env)))
}

#[rustler::nif]
fn head<'a>(env: Env<'a>, reference: Reference<'a>, handle: Term<'a>) -> NifResult<ResourceArc<Operation>> {
    let handle = Handle::new(handle)?;
    let work = async move {
        let handle = handle?;
        let head = handle.stream.head(&[]).await?;
        if let Some(content_type) = &head.content_type {
            handle.learn(content_type);
        }
        Ok(head)
    };
    Ok(reply::start(env, reference, work, |env, head| {
        let fields = rustler::term_map!(env, {
            next_offset() => head.offset,
            content_type() => head.content_type,
            stream_closed() => head.closed,
            ttl_seconds() => head.ttl_seconds,
            expires_at() => head.expires_at,
            etag() => head.etag,
            cache_control() => head.cache_control,
            status() => head.told.status,
            headers() => head.told.headers,
        });
        (ok(), fields).encode(env)
    }))
}
