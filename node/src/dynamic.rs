//! Headers and parameters that JavaScript gives for each HTTP attempt.

use std::sync::Arc;

use durable_streams_bindings::{
    BoxFuture,
    client::{Dynamic, Resolved},
    error::HostError,
};

use crate::{
    answer::{Answer, Question},
    js_loop::Link,
};

/// The functions that JavaScript keeps under the number `source`.
#[derive(Debug)]
pub(crate) struct JsValues {
    pub(crate) link: Arc<Link>,
    pub(crate) source: u32,
}

impl Dynamic for JsValues {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolved, durable_streams::BoxError>> {
        let (link, source) = (Arc::clone(&self.link), self.source);
        Box::pin(async move {
            match link.ask(source, Question::Values).await {
                Some(Answer::Values(headers, params)) => Ok(Resolved { headers, params }),
                Some(Answer::Failed(failure)) => Err(HostError::new(failure.text, failure.number).boxed()),
                Some(Answer::Head(..) | Answer::Chunk(_)) | None => Err("the JavaScript environment has ended".into()),
            }
        })
    }
}
