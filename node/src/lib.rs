//! The Node-API addon of `@durable-streams/client`: streams, readers and producers of
//! `bindings/shared`, as classes and promises.
//!
//! What it is not: the API that users see. That is the TypeScript in `node/client/src`,
//! which this addon serves; what passes between the two is declared in
//! `node/client/src/native.ts`.
//!
//! Classes have the same name on both sides: napi-derive connects an `impl` block to a
//! renamed class only if it happens to expand after the class.
//!
//! Read next: [`js_loop`] for how threads and the JavaScript thread meet, [`answer`] for what
//! the core asks of JavaScript (dynamic headers, a custom `fetch`), [`reader`] for the hot path.

pub mod answer;
pub mod cancel;
pub mod constants;
pub mod dynamic;
pub mod error;
pub mod js_loop;
pub mod payload;
pub mod producer;
pub mod reader;
pub mod rules;
pub mod stream;
pub mod transport;
