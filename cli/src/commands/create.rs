//! `create`: PUT. Repeating with the same settings succeeds.

use durable_streams::{CreateOptions, protocol::content_type};
use serde_json::json;

use crate::{args::CreateArgs, failure::Failure, kind, session::Session};

/// Creates the stream.
pub async fn run(session: &Session, args: CreateArgs) -> Result<(), Failure> {
    let target = session.target(&args.id)?;
    let content_type = match kind::given(&args.content, args.content.json)? {
        Some(given) => given,
        None if args.content.json => content_type::JSON.to_owned(),
        None => content_type::DEFAULT.to_owned(),
    };
    let mut options = CreateOptions::new().content_type(&content_type).closed(args.closed);
    if let Some(ttl) = args.ttl {
        options = options.ttl(ttl);
    }
    if let Some(instant) = args.expires_at {
        options = options.expires_at(instant);
    }
    let created = session.stream(&target).detailed().create(options).await;
    let created = created.map_err(|failure| Failure::request("create", &target, &failure))?.value;
    session.report.done(
        "create",
        &target,
        &format!("Stream created successfully: \"{}\"\n  URL: {}", target.id, target.url),
        json!({
            "is_new": created.is_new,
            "content_type": created.content_type.unwrap_or(content_type),
            "next_offset": created.next_offset,
            "closed": created.closed,
        }),
    )
}
