//! The HTTP service: [`service`] routes a request to [`read`] or [`write`], which ask the
//! engine; [`listener`] and [`connection`] bring requests in.

pub(crate) mod answer;
pub(crate) mod body;
mod clock;
mod compress;
mod connection;
mod etag;
mod faults;
pub(crate) mod listener;
mod live;
pub(crate) mod matcher;
mod origin;
mod query;
mod read;
mod refusal;
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
