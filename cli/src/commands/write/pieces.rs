//! Long bytes: pieces through a producer, so that a repeated request never doubles one.

use std::io::{self, Read as _};

use serde_json::json;

use super::{PIECE_BYTES, Write, random_producer_id, unreadable};
use crate::{failure::Failure, input, kind::Kind, progress, units::size};

/// Writes what was read already, then the rest of standard input.
pub(super) async fn run(write: &Write<'_>, kind: &Kind, begun: Vec<u8>) -> Result<(), Failure> {
    let producer = write
        .stream
        .producer(random_producer_id()?)
        .content_type(&kind.content_type)
        .max_batch_bytes(PIECE_BYTES)
        .build()
        .map_err(|error| Failure::no_producer(&error))?;
    let bar = progress::of_standard_input();
    let mut total = 0;
    let mut rest = input::pieces(io::Cursor::new(begun).chain(io::stdin()), PIECE_BYTES);
    while let Some(piece) = rest.recv().await {
        let piece = piece.map_err(unreadable)?;
        total += piece.len() as u64;
        producer.append(&piece).accepted_detailed().await.map_err(|failure| write.failed(&failure))?;
        bar.inc(piece.len() as u64);
    }
    // Detaching delivers what is left.
    producer.detailed().detach().await.map_err(|failure| write.failed(&failure))?;
    bar.finish_and_clear();
    write.session.report.done(
        "write",
        &write.target,
        &format!("Wrote {} to stream \"{}\"", size(total), write.target.id),
        json!({ "bytes": total }),
    )
}
