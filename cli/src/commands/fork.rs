//! `fork`: a new stream that begins with the data of another one.

use durable_streams::CreateOptions;
use serde_json::json;

use crate::{args::ForkArgs, failure::Failure, session::Session};

/// Creates the fork.
pub async fn run(session: &Session, args: ForkArgs) -> Result<(), Failure> {
    let source = session.target(&args.source)?;
    let target = session.target(&args.new)?;
    let mut options = CreateOptions::new().fork_from(&source.url);
    if let Some(offset) = &args.offset {
        options = options.fork_offset(offset.as_str());
    }
    if let Some(sub_offset) = args.sub_offset {
        options = options.fork_sub_offset(sub_offset);
    }
    if let Some(ttl) = args.ttl {
        options = options.ttl(ttl);
    }
    if let Some(instant) = &args.expires_at {
        options = options.expires_at(instant);
    }
    let created = session.stream(&target).detailed().create(options).await;
    let created = created.map_err(|failure| Failure::request("fork", &source, &failure))?.value;
    session.report.done(
        "fork",
        &target,
        &format!("Stream \"{}\" forked successfully: \"{}\"\n  URL: {}", source.id, target.id, target.url),
        json!({
            "is_new": created.is_new,
            "source": source.id,
            "source_url": source.url,
            "content_type": created.content_type,
            "next_offset": created.next_offset,
        }),
    )
}
