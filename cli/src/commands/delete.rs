//! `delete`: DELETE.

use durable_streams::DeleteOptions;
use serde_json::json;

use crate::{args::IdArgs, failure::Failure, session::Session};

/// Deletes the stream.
pub async fn run(session: &Session, args: IdArgs) -> Result<(), Failure> {
    let target = session.target(&args.id)?;
    let deleted = session.stream(&target).detailed().delete(DeleteOptions::new()).await;
    deleted.map_err(|failure| Failure::request("delete", &target, &failure))?;
    session.report.done("delete", &target, &format!("Stream deleted successfully: \"{}\"", target.id), json!({}))
}
