//! What kind of content a write carries: its type, and whether it counts as JSON.

use durable_streams::{
    DurableStream, ErrorCode, HeadOptions,
    protocol::content_type::{self, is_json},
};

use crate::{args::TypeArgs, failure::Failure, report::warn, target::Target};

/// How a write is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Content type of the request.
    pub content_type: String,
    /// The content must be JSON: asked for, or the stream demands it.
    pub is_json: bool,
    /// The stream keeps JSON messages, so a message is wrapped into an array.
    pub keeps_messages: bool,
}

/// Finds out how to send: an explicit type decides; else the stream is asked for its own (one HEAD).
/// JSON on a stream of another type is checked, sent as bytes, and remarked on.
pub async fn resolve(
    verb: &'static str,
    stream: &DurableStream,
    target: &Target,
    args: &TypeArgs,
    json: bool,
) -> Result<Kind, Failure> {
    if let Some(given) = given(args, json)? {
        let keeps_messages = is_json(&given);
        return Ok(Kind { content_type: given, is_json: keeps_messages, keeps_messages });
    }
    let content_type = match stream.detailed().head(HeadOptions::new()).await {
        Ok(head) => head.value.content_type.unwrap_or_else(|| content_type::DEFAULT.to_owned()),
        // A server may implement writes only (protocol.md §2).
        Err(failure) if failure.code() == ErrorCode::NotSupported && json => content_type::JSON.to_owned(),
        Err(failure) if failure.code() == ErrorCode::NotSupported => content_type::DEFAULT.to_owned(),
        Err(failure) => return Err(Failure::request(verb, target, &failure)),
    };
    let keeps_messages = is_json(&content_type);
    if json && !keeps_messages {
        warn(&format!(
            "stream \"{}\" is {content_type}; the JSON text is stored as plain bytes (create it with --json to keep messages)",
            target.id
        ));
    }
    Ok(Kind { content_type, is_json: json || keeps_messages, keeps_messages })
}

/// The content type spelled out on the line, checked.
/// Errors: one that is not `type/subtype`, or not JSON although JSON is asked for.
pub fn given(args: &TypeArgs, json: bool) -> Result<Option<String>, Failure> {
    let Some(given) = &args.content_type else { return Ok(None) };
    if !content_type::is_valid(given) {
        return Err(Failure::Usage(format!(
            "--content-type \"{given}\" is not a content type; give something like text/plain or application/json"
        )));
    }
    if json && !is_json(given) {
        return Err(Failure::Usage(format!(
            "--json and --content-type \"{given}\" contradict each other; leave one of them away"
        )));
    }
    Ok(Some(given.clone()))
}
