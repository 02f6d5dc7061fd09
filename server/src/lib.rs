//! A Durable Streams server: an engine that keeps the rules per stream, stores
//! that keep the bytes, and an HTTP service in front.
//!
//! What it is not: a client; nothing here depends on the client crate.
//!
//! Read next: [`engine`] for the life of an append, [`store`] for what a store
//! promises, [`http`] for the surface.

mod backend;
#[cfg(feature = "bin")]
pub mod config;
pub mod embedded;
pub mod engine;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
pub mod http;
mod launch;
mod metrics;
pub mod path;
pub mod server;
pub mod store;
pub mod subscriptions;
mod tls;
