//! What the core asks of JavaScript, and the answers. A question is one call of the function
//! given to `Loop`; the answer comes back by the question's token, now or later.

use bytes::Bytes;
use napi::{
    bindgen_prelude::{Null, ToNapiValue},
    sys,
};
use napi_derive::napi;

use crate::{error::JsErrorNumber, js_loop::Loop, payload::Payload};

/// A question to JavaScript, or news for it.
#[derive(Debug)]
pub(crate) enum Question {
    /// The dynamic headers and parameters of the next HTTP request.
    Values,
    /// Send this request with the handle's own `fetch`.
    Fetch(FetchRequest),
    /// The next piece of the body of the answer to an earlier `Fetch`, named by its token.
    Chunk(u32),
    /// Nobody needs that exchange any more.
    Abort(u32),
    /// The next piece of a streamed append.
    Piece,
}

/// A request for a custom `fetch`.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct FetchRequest {
    /// HTTP method.
    pub method: String,
    /// Whole URL.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body; empty when there is none.
    pub body: Payload,
}

/// How JavaScript answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Headers, then parameters.
    Values(Vec<(String, String)>, Vec<(String, String)>),
    /// Status and headers; the body follows on demand.
    Head(u16, Vec<(String, String)>),
    /// A piece of a body; `None` at its end.
    Chunk(Option<Bytes>),
    /// A callback threw, or `fetch` rejected.
    Failed(JsFailure),
}

/// An error of JavaScript.
#[derive(Debug)]
pub(crate) struct JsFailure {
    pub(crate) number: JsErrorNumber,
    pub(crate) text: String,
    pub(crate) is_connect: bool,
}

impl Question {
    const fn kind(&self) -> u32 {
        match self {
            Self::Values => 0,
            Self::Fetch(_) => 1,
            Self::Chunk(_) => 2,
            Self::Abort(_) => 3,
            Self::Piece => 4,
        }
    }

    /// Calls the asking function. What it throws becomes an uncaught exception of the host.
    pub(crate) fn put(self, env: sys::napi_env, ask: sys::napi_value, source: u32, token: u32) {
        let kind = self.kind();
        // SAFETY: on the environment's thread, with a living environment and its function.
        unsafe {
            let payload = match self {
                Self::Values | Self::Piece => Null::to_napi_value(env, Null),
                Self::Fetch(request) => FetchRequest::to_napi_value(env, request),
                Self::Chunk(exchange) | Self::Abort(exchange) => u32::to_napi_value(env, exchange),
            };
            let values = [
                u32::to_napi_value(env, kind),
                u32::to_napi_value(env, source),
                u32::to_napi_value(env, token),
                payload,
            ];
            let Ok(values) = values.into_iter().collect::<napi::Result<Vec<_>>>() else { return };
            let Ok(receiver) = <()>::to_napi_value(env, ()) else { return };
            let mut result = std::ptr::null_mut();
            sys::napi_call_function(env, receiver, ask, values.len(), values.as_ptr(), &mut result);
        }
    }
}

#[napi]
impl Loop {
    /// Answers with the dynamic headers and parameters of a request.
    #[napi]
    pub fn answer_values(&self, token: u32, headers: Vec<(String, String)>, params: Vec<(String, String)>) {
        self.link.answered(token, Answer::Values(headers, params));
    }

    /// Answers with the head of a response.
    #[napi]
    pub fn answer_head(&self, token: u32, status: u16, headers: Vec<(String, String)>) {
        self.link.answered(token, Answer::Head(status, headers));
    }

    /// Answers with a piece of a body, or with its end.
    #[napi]
    pub fn answer_chunk(&self, token: u32, chunk: Option<&[u8]>) {
        self.link.answered(token, Answer::Chunk(chunk.map(Bytes::copy_from_slice)));
    }

    /// Answers with an error, which JavaScript keeps under a number. `is_connect` says that
    /// nothing reached the server.
    #[napi]
    pub fn answer_failure(&self, token: u32, number: u32, text: String, is_connect: bool) {
        let number = JsErrorNumber(number);
        self.link.answered(token, Answer::Failed(JsFailure { number, text, is_connect }));
    }
}
