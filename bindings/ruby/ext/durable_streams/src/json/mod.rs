//! JSON between bytes and Ruby objects, in one call per batch.
//!
//! Not a validator of the protocol: which values are messages is the core's business. Read
//! next: [`decode`], [`encode`].

pub(crate) mod decode;
pub(crate) mod encode;
