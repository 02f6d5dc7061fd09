//! Client for Durable Streams: append-only streams over HTTP that can be resumed from any
//! offset, tailed live, and written exactly once.
//!
//! What it is: [`Client`] and [`DurableStream`] with every operation of the protocol, a
//! reader for catch-up, long-poll and server-sent events, an idempotent [`Producer`].
//!
//! What it is not: the rules of the protocol live in [`protocol`]; here are only the
//! loops, the HTTP transport and the Rust API.
//!
//! Read next: [`DurableStream`] for the operations, [`error`] for the two levels of
//! errors, [`transport`] and [`host`] for replacing the network and the clock.
//!
//! ```no_run
//! use durable_streams::{Client, Offset};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder().base_url("http://localhost:4437/v1/stream").build()?;
//! let tides = client.stream("tides");
//! tides.create().await?;
//! tides.append(b"high").await?;
//! # Ok(())
//! # }
//! ```

mod client;
pub mod detailed;
mod driver;
pub mod error;
pub mod host;
#[cfg(feature = "json")]
mod json;
mod options;
pub mod producer;
pub mod reader;
mod stream;
pub mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use durable_streams_protocol as protocol;
pub use durable_streams_protocol::{offset::Offset, retry::RetryPolicy};
pub use http;
#[cfg(feature = "rustls")]
pub use reqwest;

/// An embedded server.
#[cfg(feature = "server")]
pub mod server {
    pub use durable_streams_server::{server::*, *};
}

#[cfg(feature = "json")]
pub use crate::reader::{JsonBatch, JsonItem, JsonReader};
#[cfg(feature = "rustls")]
pub use crate::transport::reqwest::client_builder as http_client_builder;
pub use crate::{
    client::{Client, ClientBuilder},
    driver::exchange::BoxError,
    error::{ErrorCode, Failure, InvalidHeaderError, NetworkError, ProducerError, StreamError},
    options::{
        AppendOptions, AppendResponse, CloseOptions, CloseResponse, CreateOptions, DeleteOptions, HeadOptions,
        HeadResponse,
    },
    producer::{Acknowledgement, AppendReceipt, Producer, ProducerBuilder},
    reader::{Chunk, ChunkIterator, LiveMode, ReadBuilder},
    stream::DurableStream,
};

/// What nearly every program needs.
pub mod prelude {
    pub use crate::{Chunk, Client, LiveMode, Offset, StreamError};
}

// The README's programs compile, and the one that brings its own server runs.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../../README.md")]
struct Readme;
