//! Acknowledgements: all of a request's, or none (protocol.md §23.6).

use std::collections::BTreeMap;

use durable_streams_protocol::offset::Position;

use super::{model::Link, model::Subscription};
use crate::path::StreamPath;

/// "I have processed `stream` up to and including `offset`", as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    /// The acknowledged stream.
    pub(crate) stream: StreamPath,
    /// The token, not yet judged.
    pub(crate) offset: String,
}

/// Judges all acknowledgements of a request against the links and moves the cursors,
/// or names the first bad one and moves nothing.
pub(crate) fn apply(subscription: &mut Subscription, acks: &[Ack]) -> Result<(), String> {
    let mut moved: BTreeMap<&StreamPath, Position> = BTreeMap::new();
    for ack in acks {
        let link = subscription.links.get(&ack.stream);
        let offset = judge(link, moved.get(&ack.stream).copied(), &ack.offset)
            .map_err(|reason| format!("offset {:?} of {} {reason}", shortened(&ack.offset), ack.stream))?;
        moved.insert(&ack.stream, offset);
    }
    for (path, offset) in moved {
        subscription.acknowledge_to(path, offset);
    }
    Ok(())
}

/// `earlier` is where an earlier acknowledgement of the same request leaves the cursor.
fn judge(link: Option<&Link>, earlier: Option<Position>, offset: &str) -> Result<Position, String> {
    let link = link.ok_or("is refused: the subscription does not follow that stream")?;
    let offset = Position::parse(offset.as_bytes()).ok_or("is not an offset this server issued")?;
    let cursor = earlier.or(link.acked);
    if Some(offset) < cursor {
        return Err(format!("lies before the cursor, {}", cursor.unwrap_or_default()));
    }
    match link.tail {
        Some(tail) if offset <= tail => Ok(offset),
        Some(tail) => Err(format!("lies beyond the tail, {tail}")),
        None => Err("is refused: the stream does not exist".to_owned()),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
