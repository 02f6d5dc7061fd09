//! What one address serves.

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;

use super::{
    answer::{self, Answer},
    connection::Connection,
    service::{Dropped, Service},
};

/// What one address serves: nothing but its state until the store is open, streams then.
#[derive(Debug, Default)]
pub(crate) struct Site {
    streams: OnceLock<Arc<Service>>,
}

impl Site {
    /// Starts serving; later calls change nothing.
    pub(crate) fn open(&self, streams: Arc<Service>) {
        let _ = self.streams.set(streams);
    }

    /// Answers one request.
    pub(crate) async fn handle(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> Result<Answer, Dropped> {
        match self.streams.get() {
            Some(service) => service.handle(connection, request).await,
            None => Ok(recovering(request.uri().path())),
        }
    }
}

fn recovering(path: &str) -> Answer {
    let mut answer = match path {
        "/healthz" => return answer::json(StatusCode::OK, r#"{"status":"ok"}"#),
        "/health" | "/readyz" => answer::json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"recovering"}"#),
        _ => answer::overloaded("the server is reading its storage; try again in a moment"),
    };
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
