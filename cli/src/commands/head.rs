//! `head`: HEAD, in words.

use durable_streams::{HeadOptions, protocol::content_type};
use serde_json::json;

use crate::{args::IdArgs, failure::Failure, session::Session};

/// Shows what the server tells about the stream.
pub async fn run(session: &Session, args: IdArgs) -> Result<(), Failure> {
    let target = session.target(&args.id)?;
    let head = session.stream(&target).detailed().head(HeadOptions::new()).await;
    let head = head.map_err(|failure| Failure::request("inspect", &target, &failure))?.value;
    let content_type = head.content_type.as_deref().unwrap_or(content_type::DEFAULT);
    let expiry = match (head.ttl_seconds, &head.expires_at) {
        (Some(seconds), _) => format!("after {seconds} s without use"),
        (None, Some(instant)) => format!("at {instant}"),
        (None, None) => "never".to_owned(),
    };
    let sentences = format!(
        "Stream \"{}\"\n  URL: {}\n  Content type: {content_type}\n  Next offset: {}\n  Closed: {}\n  Expires: {expiry}",
        target.id,
        target.url,
        head.next_offset,
        if head.closed { "yes" } else { "no" },
    );
    let facts = json!({
        "content_type": content_type,
        "next_offset": head.next_offset,
        "closed": head.closed,
        "ttl_seconds": head.ttl_seconds,
        "expires_at": head.expires_at,
        "etag": head.etag,
    });
    session.report.done("head", &target, &sentences, facts)
}
