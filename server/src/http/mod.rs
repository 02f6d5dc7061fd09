//! The HTTP service: [`service`] routes a request to [`read`] or [`write`], which ask the
//! engine; [`listener`] and [`connection`] bring requests in.

pub(crate) mod answer;
pub(crate) mod body;
mod clock;
mod compress;
pub(crate) mod connection;
mod etag;
mod faults;
pub(crate) mod listener;
mod live;
pub(crate) mod matcher;
pub(crate) mod origin;
mod query;
mod read;
mod refusal;
pub(crate) mod request_body;
pub(crate) mod service;
pub(crate) mod site;
mod sse;
pub(crate) mod upload;
pub(crate) mod upstream;
mod write;

pub(crate) use self::{connection::Phase, faults::Faults};
pub use self::{
    faults::{Fault, SseEvent},
    origin::{Network, OriginPolicy},
    service::{CorsPolicy, HttpOptions},
};
