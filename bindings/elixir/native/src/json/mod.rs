//! JSON between bytes and terms.
//!
//! Not a validator of the protocol: which values are messages is the core's business. Read
//! next: [`decode`], [`encode`].

mod decode;
mod encode;

use std::cell::RefCell;

use rustler::{Binary, Encoder, Env, OwnedBinary, Term};

pub(crate) use decode::decode;
pub(crate) use encode::Refused;
use encode::Scratch;

rustler::atoms! { ok, error, big }

/// Most a function may do on a scheduler that others wait for. Units: terms; bytes.
pub(crate) const SLICE: encode::Budget = encode::Budget { terms: 1_000, bytes: 32 * 1024 };

/// The text of a term: `{:ok, text}`, `{:error, reason}`, or `:big` when it is more than fits a
/// slice of a scheduler's time.
#[rustler::nif]
fn json_encode<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    encoded(env, term, SLICE)
}

/// The same without a limit, on a scheduler for long work.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_encode_dirty<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    encoded(env, term, encode::Budget { terms: usize::MAX, bytes: usize::MAX })
}

/// Lends the text of a term, if that takes no more than a slice of a scheduler's time.
pub(crate) fn with_text<'a, T>(term: Term<'a>, work: impl FnOnce(Result<&[u8], Refused<'a>>) -> T) -> T {
    thread_local! {
        // A function of the VM stays on its thread until it returns.
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| work(scratch.encode(term, SLICE)))
}

fn encoded<'a>(env: Env<'a>, term: Term<'a>, budget: encode::Budget) -> Term<'a> {
    match Scratch::default().encode(term, budget) {
        Ok(text) => (ok(), binary(env, text)).encode(env),
        Err(Refused::Big) => big().encode(env),
        Err(Refused::Term(term)) => (error(), term).encode(env),
    }
}

/// The term of a text: `{:ok, term}` or `{:error, what, position}`.
#[rustler::nif]
fn json_decode<'a>(env: Env<'a>, text: Binary<'a>) -> Term<'a> {
    decoded(env, text)
}

/// The same on a scheduler for long work.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_decode_dirty<'a>(env: Env<'a>, text: Binary<'a>) -> Term<'a> {
    decoded(env, text)
}

fn decoded<'a>(env: Env<'a>, text: Binary<'a>) -> Term<'a> {
    match decode(env, text) {
        Ok(term) => (ok(), term).encode(env),
        Err(invalid) => (error(), invalid.what, invalid.at).encode(env),
    }
}

/// Bytes as a binary of the VM.
fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Binary<'a> {
    OwnedBinary::from_slice(bytes).release(env)
}
