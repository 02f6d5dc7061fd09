//! `close`: ends a stream for good, with an optional last message.

use durable_streams::CloseOptions;
use serde_json::json;

use crate::{
    args::CloseArgs,
    content::{message_body, one_message},
    escapes::unescape,
    failure::Failure,
    kind,
    session::Session,
};

/// Closes the stream.
pub async fn run(session: &Session, args: CloseArgs) -> Result<(), Failure> {
    let target = session.target(&args.id)?;
    let stream = session.stream(&target);
    let mut options = CloseOptions::new();
    if !args.content.is_empty() {
        let text = args.content.join(" ");
        let kind = kind::resolve("close", &stream, &target, &args.kind, args.kind.json).await?;
        let content = one_message(&text, unescape(&text), kind.is_json)?;
        options = options.content_type(&kind.content_type).data(message_body(&content, &kind));
    }
    let closed = stream.detailed().close(options).await;
    let closed = closed.map_err(|failure| Failure::request("close", &target, &failure))?.value;
    let at = closed.final_offset.as_deref().map(|offset| format!("\n  Final offset: {offset}")).unwrap_or_default();
    session.report.done(
        "close",
        &target,
        &format!("Stream closed successfully: \"{}\"{at}", target.id),
        json!({ "final_offset": closed.final_offset }),
    )
}
