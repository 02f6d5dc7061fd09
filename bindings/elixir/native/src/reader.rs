//! Reading: a process pulls one batch at a time. A read ends with the process that opened it.

use durable_streams_bindings::{
    ErrorCode, ErrorInfo,
    reader::{Batch, ReadConfig, Reader, live_mode},
};
use rustler::{
    Atom, Binary, Encoder, Env, LocalPid, Monitor, NifResult, NifUnitEnum, OwnedBinary, Reference, Resource,
    ResourceArc, Term, types::atom,
};

use crate::{
    error::details,
    handle::Handle,
    json,
    options::Options,
    reply::{self, Operation},
};

rustler::atoms! { ok, cursor, data, items, offset, status, stream_closed, up_to_date }

/// A read.
pub(crate) struct OpenReader(Reader);

#[rustler::resource_impl]
impl Resource for OpenReader {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.0.close();
    }
}

impl Drop for OpenReader {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What a batch of JSON becomes.
#[derive(Clone, Copy, PartialEq, Eq, NifUnitEnum)]
enum Decode {
    /// Terms, if the stream is one of JSON.
    Auto,
    /// Its text.
    Never,
    /// Terms, whatever the stream says it is.
    Always,
}

/// From here on a batch is made into terms where it keeps nothing else from running.
/// Units: bytes.
const LARGE: usize = 16 * 1024;

/// A read: `{:ok, reader}` or `{:error, details}`. Nothing is sent yet.
#[rustler::nif]
fn reader_open<'a>(env: Env<'a>, handle: Term<'a>, options: Term<'a>) -> NifResult<Term<'a>> {
    let options = Options::new(options);
    let live: String = options.get_or_default("live")?;
    let config = ReadConfig {
        offset: options.get("offset")?,
        cursor: options.get("cursor")?,
        if_none_match: options.get("if_none_match")?,
        timeout_ms: options.number("timeout_ms")?,
        max_batch_bytes: options.get("max_batch_bytes")?,
        vectored: true,
        read_ahead: options.get("read_ahead")?,
        ..ReadConfig::default()
    };
    let opened = Handle::new(handle)?
        .and_then(|handle| Reader::open(&handle.stream, ReadConfig { live: live_mode(&live)?, ..config }));
    Ok(match opened {
        Ok(reader) => {
            let reader = ResourceArc::new(OpenReader(reader));
            if env.monitor(&reader, &env.pid()).is_none() {
                // The process is being killed while it runs this.
                reader.0.close();
            }
            (ok(), reader).encode(env)
        }
        Err(error) => (atom::error(), details(env, &error)).encode(env),
    })
}

/// The next batch, or `nil` at the end.
#[rustler::nif]
fn reader_next<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    reader: ResourceArc<OpenReader>,
    decode: Decode,
) -> ResourceArc<Operation> {
    let pulled = reader.0.clone();
    let work = async move { pulled.next().await };
    reply::start(env, reference, work, move |env, batch| match batch {
        None => (ok(), atom::nil()).encode(env),
        Some(batch) if batch.byte_len() < LARGE => converted(env, &batch, decode),
        Some(batch) => tokio::task::block_in_place(|| converted(env, &batch, decode)),
    })
}

/// Ends the read at once. Repeating does nothing.
#[rustler::nif]
fn reader_close(reader: ResourceArc<OpenReader>) -> Atom {
    reader.0.close();
    ok()
}

/// The bytes of a batch, copied once from where they arrived.
fn gathered<'a>(env: Env<'a>, batch: &Batch) -> Binary<'a> {
    let mut gathered = OwnedBinary::new(batch.byte_len());
    let mut room = gathered.as_mut_slice();
    for piece in batch.pieces() {
        let (here, after) = room.split_at_mut(piece.len());
        here.copy_from_slice(piece);
        room = after;
    }
    gathered.release(env)
}

fn converted<'a>(env: Env<'a>, batch: &Batch, decode: Decode) -> Term<'a> {
    let text = gathered(env, batch);
    let is_wanted = decode == Decode::Always || (decode == Decode::Auto && batch.is_json);
    let decoded = if batch.data.is_empty() && is_wanted {
        Term::list_new_empty(env)
    } else if is_wanted {
        match json::decode(env, text) {
            Ok(term) if term.is_list() => term,
            // A stream of another type may hold a lone value.
            Ok(term) => vec![term].encode(env),
            Err(invalid) => {
                let what = format!("{} at byte {} of a batch", invalid.what, invalid.at);
                let error = ErrorInfo::new(ErrorCode::ParseError, what);
                return (atom::error(), details(env, &error)).encode(env);
            }
        }
    } else {
        atom::nil().encode(env)
    };
    let fields = rustler::term_map!(env, {
        items() => decoded,
        data() => text,
        offset() => batch.next_offset.to_query_value(),
        cursor() => batch.cursor.as_deref(),
        up_to_date() => batch.up_to_date,
        stream_closed() => batch.stream_closed,
        status() => batch.status,
    });
    (ok(), fields).encode(env)
}
